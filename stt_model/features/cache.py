"""A cache of features on disk, shared by any number of runs.

An entry is one file named after the clip's content, in a folder named after everything else that
the features depend on. It is written under another name and then renamed, and has a checksum:
damaged entries are computed again. There is no index that could be locked or lost, so runs can
share a folder without knowing of each other, also on a network disk.
"""

from __future__ import annotations

import hashlib
import json
import uuid
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.base import DataError, atomic_write
from stt_model.storage import BoundedFolder

GIB = 2**30

_CHECKSUM = 4


class FeatureCache:
    """Features by the digest of their clip, limited to about ``limit`` bytes.

    For eviction see ``stt_model.storage.BoundedFolder``. Features that do not fit are computed each
    time.

    Args:
        folder: created if it does not exist.
        columns: of the features; an entry is float32 [frames, columns].
        settings: everything that the features depend on besides the clip.
        limit: bytes.

    Raises:
        DataError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, columns: int, settings: Mapping[str, Any], limit: int) -> None:
        content = json.dumps(settings, sort_keys=True, indent=2).encode()
        self._columns = columns
        try:
            self._kept = BoundedFolder(
                folder / "stt-bootstrap-features",
                limit,
                "features that do not fit are computed each time",
            )
            self._folder = self._kept.folder / hashlib.sha256(content).hexdigest()[:16]
            self._folder.mkdir(exist_ok=True)
            with atomic_write(self._folder / "settings.json") as beside:
                beside.write_bytes(content)
        except OSError as error:
            raise DataError(
                f"{folder}: cannot be written to: {error.strerror}; give --feature_cache another"
                " folder"
            ) from error

    def get(self, digest: str, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the features of the clip with this digest; compute and cache them if needed."""
        path = self._folder / digest[:2] / digest[2:]
        features = self._read(path)
        if features is None:
            features = compute()
            self._keep(path, features)
        return features

    def _read(self, path: Path) -> NDArray[np.float32] | None:
        try:
            data = path.read_bytes()
            self._kept.mark_used(path)
        except OSError:
            return None
        checksum, values = data[:_CHECKSUM], data[_CHECKSUM:]
        if checksum != _checksum(values):
            return None
        return np.frombuffer(values, np.float32).reshape(-1, self._columns)

    def _keep(self, path: Path, features: NDArray[np.float32]) -> None:
        values = features.tobytes()
        with self._kept.room_for(_CHECKSUM + len(values)) as there_is_room:
            if there_is_room:
                path.parent.mkdir(exist_ok=True)
                self._put(path, _checksum(values) + values)

    def _put(self, path: Path, data: bytes) -> None:
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            beside.write_bytes(data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def _checksum(values: bytes) -> bytes:
    return zlib.crc32(values).to_bytes(_CHECKSUM, "little")
