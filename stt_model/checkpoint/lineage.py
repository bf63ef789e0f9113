"""The contents of ``lineage.json``: where a checkpoint comes from."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from stt_model.checkpoint.formats.model import DeployedModel
from stt_model.corpus import iter_utterances
from stt_model.storage import sha256_file

PACKAGES = ("stt-bootstrap", "tensorflow", "keras", "numpy")


def describe_run() -> dict[str, Any]:
    """Return the time (UTC) and the versions of this run."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"time": now, "versions": versions}


def describe_import(model: DeployedModel) -> dict[str, Any]:
    """Return the lineage entry for weights that were read from a deployed model."""
    status = model.path.stat()
    return {
        "step": "import",
        "file": model.path.name,
        "sha256": _digest(model.path, status.st_mtime_ns, status.st_size),
        "format": model.format,
        "quantised": model.quantised,
    }


def imports_in(lineage: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """Yield the imports from deployed models, the nearest ancestor first."""
    while isinstance(lineage, Mapping):
        if lineage.get("step") == "import":
            yield lineage
        source = lineage.get("source")
        lineage = source.get("lineage") if isinstance(source, Mapping) else None


def was_quantised(lineage: Mapping[str, Any] | None) -> bool:
    """Tell whether any ancestor's weights were stored in 8 bits."""
    return any(bool(each.get("quantised")) for each in imports_in(lineage))


@lru_cache(maxsize=16)
def _digest(path: Path, modified: int, size: int) -> str:
    """SHA-256 of a file, read again only if it has changed."""
    return sha256_file(path)


def digest_manifests(paths: Sequence[Path]) -> str:
    """Return a digest of manifests: each clip's file name, size in bytes and transcript.

    Folders and the order of the rows do not count: it is the sum of the rows' sha256, so that no
    row has to be kept.
    """
    rows = (
        f"{utterance.path.name}\0{utterance.wav_filesize}\0{utterance.transcript}"
        for path in paths
        for utterance in iter_utterances(path)
    )
    return f"{sum(map(_number, rows)) % 2**256:064x}"


def _number(row: str) -> int:
    return int.from_bytes(hashlib.sha256(row.encode("utf-8", "surrogatepass")).digest(), "big")
