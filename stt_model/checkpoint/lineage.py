"""What every ``lineage.json`` says about where a checkpoint comes from."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from stt_model.corpus import iter_utterances

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
    """Return a digest of what manifests say: each clip's file name, size in bytes and transcript.

    The folders that the clips lie in do not count, nor does the order of the rows: it is the sum
    of the rows' sha256, for which none has to be kept.
    """
    rows = (
        f"{utterance.path.name}\0{utterance.wav_filesize}\0{utterance.transcript}"
        for path in paths
        for utterance in iter_utterances(path)
    )
    return f"{sum(map(_number, rows)) % 2**256:064x}"


def _number(row: str) -> int:
    return int.from_bytes(hashlib.sha256(row.encode("utf-8", "surrogatepass")).digest(), "big")
