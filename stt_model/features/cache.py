"""Features kept on disk from one run to the next, for any number of runs at once.

An entry is one file, named after the clip's content under a folder named after all that the
features depend on besides. It is written beside its place and then renamed, and carries a checksum:
whatever is not whole is computed again. There is no index to lock or to lose, so that runs share a
folder without knowing of each other, on a network disk too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.base import DataError

log = logging.getLogger(__name__)

GIB = 2**30

_CHECKSUM = 4
_SHARE_BETWEEN_SCANS = 50


@dataclass(frozen=True, order=True)
class _Entry:
    used: float
    """Seconds since the epoch."""
    size: int
    path: Path


class FeatureCache:
    """Features by the digest of their clip, in no more than about ``limit`` bytes.

    Where room is needed, what was used the longest ago goes first, whoever put it there, but never
    what this run has used: a pass over more than there is room for would otherwise throw out
    each entry just before its turn. What finds no room is computed each time.

    Args:
        folder: made if there is none.
        columns: of the features; an entry is float32 [frames, columns].
        settings: all that the features depend on besides the clip.
        limit: bytes; runs that share the folder may go 2 % over it each, for a moment.

    Raises:
        DataError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, columns: int, settings: Mapping[str, Any], limit: int) -> None:
        # Below a folder of its own, outside of which nothing is ever deleted.
        self._root = folder / "stt-bootstrap-features"
        self._columns, self._limit = columns, limit
        content = json.dumps(settings, sort_keys=True, indent=2).encode()
        self._folder = self._root / hashlib.sha256(content).hexdigest()[:16]
        self._lock = threading.Lock()
        # Room is looked for when the first entry needs it: where all are there, never.
        self._since_scan = limit
        self._open = True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            about = self._folder / "settings.json"
            self._put(about, content)
            # By the clock of the disk, which need not be this machine's.
            self._started = about.stat().st_mtime
        except OSError as error:
            raise DataError(
                f"{folder}: cannot be written to: {error.strerror}; give --feature_cache another"
                " folder"
            ) from error

    def get(self, digest: str, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the features of the clip with this digest; computed and kept if they are not."""
        path = self._folder / digest[:2] / digest[2:]
        features = self._read(path)
        if features is None:
            features = compute()
            self._keep(path, features)
        return features

    def _read(self, path: Path) -> NDArray[np.float32] | None:
        try:
            data = path.read_bytes()
            if path.stat().st_mtime < self._started:
                os.utime(path)
        except OSError:
            return None
        checksum, values = data[:_CHECKSUM], data[_CHECKSUM:]
        if checksum != _checksum(values):
            return None
        return np.frombuffer(values, np.float32).reshape(-1, self._columns)

    def _keep(self, path: Path, features: NDArray[np.float32]) -> None:
        values = features.tobytes()
        with self._lock:
            if self._since_scan > self._limit // _SHARE_BETWEEN_SCANS:
                self._make_room()
            if not self._open:
                return
            self._since_scan += len(values)
        try:
            path.parent.mkdir(exist_ok=True)
            self._put(path, _checksum(values) + values)
        except OSError as error:
            self._close(f"cannot be written to any more: {error.strerror}")

    def _put(self, path: Path, data: bytes) -> None:
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            beside.write_bytes(data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def _make_room(self) -> None:
        entries = sorted(_entries(self._root))
        room = self._limit - sum(entry.size for entry in entries)
        wanted = self._limit // _SHARE_BETWEEN_SCANS
        for entry in entries:
            if room >= wanted or entry.used >= self._started:
                break
            # Another run may have been faster.
            with contextlib.suppress(OSError):
                entry.path.unlink()
                room += entry.size
        self._since_scan = 0
        if room < wanted:
            self._close(f"full: {self._limit / GIB:.3g} GiB, of which this run uses all")

    def _close(self, reason: str) -> None:
        if self._open:
            self._open = False
            log.warning("%s: %s; what is not in it is computed each time", self._root, reason)


def _checksum(values: bytes) -> bytes:
    return zlib.crc32(values).to_bytes(_CHECKSUM, "little")


def _entries(folder: Path) -> Iterator[_Entry]:
    """Yield every file below a folder; one that vanishes meanwhile is left out."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for each in found:
            if each.is_dir(follow_symlinks=False):
                yield from _entries(Path(each.path))
                continue
            with contextlib.suppress(OSError):
                status = each.stat(follow_symlinks=False)
                yield _Entry(status.st_mtime, status.st_size, Path(each.path))
