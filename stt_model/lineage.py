"""What every ``lineage.json`` says about where a checkpoint comes from."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from stt_model.corpus import read_manifest

PACKAGES = ("stt-bootstrap", "tensorflow", "keras", "numpy")


def describe_run() -> dict[str, Any]:
    """Return when this ran (UTC) and with which versions."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"time": now, "versions": versions}


def digest_manifests(paths: Sequence[Path]) -> str:
    """Return the sha256 of what manifests say: each clip's file name, size in bytes and transcript.

    The folders that the clips lie in do not count, nor does the order of the rows.
    """
    rows = (
        f"{utterance.path.name}\0{utterance.wav_filesize}\0{utterance.transcript}"
        for path in paths
        for utterance in read_manifest(path)
    )
    return _digest(sorted(rows))


def _digest(rows: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
