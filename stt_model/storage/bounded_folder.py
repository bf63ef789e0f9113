"""A bounded cache on disk for files that can be made again, shared by processes."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

_SHARE_BETWEEN_SCANS = 50
_GIB = 2**30

log = logging.getLogger(__name__)


class BoundedFolder:
    """A folder limited to about ``limit`` bytes; nothing outside of it is deleted.

    The least recently used files are removed first, whoever wrote them, but never those that this
    process has used: a pass over a set larger than the limit would otherwise evict each file just
    before its turn. There is no index that could be locked or lost, so processes can share a folder
    without knowing of each other, also on a network disk; each may briefly exceed the limit by 2 %.
    Files whose names end in ``LOCK_SUFFIX`` are left alone.

    Args:
        folder: created if it does not exist.
        limit: bytes.
        otherwise: what happens to files that do not fit, logged once.

    Raises:
        OSError: the folder cannot be written to.
    """

    LOCK_SUFFIX = ".lock"

    def __init__(self, folder: Path, limit: int, otherwise: str) -> None:
        self.folder, self._limit, self._otherwise = folder, limit, otherwise
        self._margin = limit // _SHARE_BETWEEN_SCANS
        self._lock = threading.Lock()
        self._room, self._pending = 0, 0
        # The folder is measured when the first file needs room: if all are there, never.
        self._taken = limit + 1
        self._is_open = True
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / f".{uuid.uuid4().hex}"
        mark.touch()
        # By the disk's clock, which may differ from this machine's.
        self._started = mark.stat().st_mtime
        mark.unlink()

    @contextlib.contextmanager
    def room_for(self, size: int) -> Iterator[bool]:
        """Reserve room for ``size`` bytes, which the block writes if this yields True.

        The room is released if the block fails. OSError is not raised: it ends the caching.
        """
        if not self._take(size):
            yield False
            return
        try:
            yield True
        except BaseException as error:
            with self._lock:
                self._room += size
            if not isinstance(error, OSError):
                raise
            self.close(f"cannot be written to any more: {error.strerror}")
        finally:
            with self._lock:
                self._pending -= size

    def mark_used(self, path: Path) -> None:
        """Mark a file as used by this process; OSError if it is gone."""
        if path.stat().st_mtime < self._started:
            os.utime(path)

    def close(self, reason: str) -> None:
        """Accept no more files; the reason is logged the first time."""
        if self._is_open:
            self._is_open = False
            log.warning("%s: %s; %s", self.folder, reason, self._otherwise)

    def _take(self, size: int) -> bool:
        with self._lock:
            if self._is_open and size <= self._limit:
                if self._taken > self._margin or self._room < size:
                    self._look(size)
                if self._room >= size:
                    self._room -= size
                    self._taken += size
                    self._pending += size
                    return True
            return False

    def _look(self, size: int) -> None:
        """Measure the free room, after making some if needed."""
        wanted = max(size, self._margin)
        entries = sorted(self._entries(self.folder))
        room = self._limit - self._pending - sum(entry_size for _, entry_size, _ in entries)
        for used, entry_size, path in entries:
            if room >= wanted or used >= self._started:
                break
            # Another process may have been faster.
            with contextlib.suppress(OSError):
                path.unlink()
                room += entry_size
        self._room, self._taken = max(room, 0), 0
        if room < self._margin and not self._pending:
            self.close(f"full: {self._limit / _GIB:.3g} GiB, of which this process uses all")

    def _entries(self, folder: Path) -> Iterator[tuple[float, int, Path]]:
        """Yield the time of last use, size and path of each file; files that vanish are skipped."""
        with contextlib.suppress(OSError), os.scandir(folder) as found:
            for each in found:
                if each.is_dir(follow_symlinks=False):
                    yield from self._entries(Path(each.path))
                    continue
                with contextlib.suppress(OSError):
                    status = each.stat(follow_symlinks=False)
                    if not each.name.endswith(self.LOCK_SUFFIX):
                        yield status.st_mtime, status.st_size, Path(each.path)
