"""Objects of a store as clips: read in part, or kept on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import re
import threading
from collections import defaultdict
from pathlib import Path
from typing import BinaryIO

from stt_model.base import AlreadyLockedError, DataError, atomic_write, locked
from stt_model.corpus.clip_places import Place, checked_size, read_part
from stt_model.storage import (
    BlockReader,
    BoundedFolder,
    Store,
    StoredObject,
    StoreError,
    cache_directory,
    store_of,
)

LIMIT_VARIABLE = "STT_BOOTSTRAP_CLIP_CACHE_GIB"
DEFAULT_GIB = 10.0

_GIB = 2**30
_KNOWN_VERSIONS = 1 << 17
_HEADER_PART = 1 << 13
"""Bytes of an object per request when only its header is needed."""
_HEADER_PARTS = 64


class RangedReader(io.BufferedReader):
    """Reads an object in small parts, fetching only those that are read."""

    def __init__(self, store: Store, stored: StoredObject) -> None:
        self.failure: StoreError | None = None
        """The store's exception, which the library that reads does not pass on."""
        self._part = functools.lru_cache(_HEADER_PARTS)(
            lambda start: store.read(stored, start, min(_HEADER_PART, stored.size - start))
        )
        super().__init__(BlockReader(self._read, stored.size, _HEADER_PART), buffer_size=1)

    def _read(self, start: int, size: int) -> bytes:
        skipped = start % _HEADER_PART
        try:
            return self._part(start - skipped)[skipped : skipped + size]
        except StoreError as error:
            self.failure = error
            raise


class ClipCache:
    """A cache of a store's objects in ``folder``, limited to about ``limit`` bytes.

    Files are kept by URI and ETag, written under another name and then renamed. For eviction see
    ``stt_model.storage.BoundedFolder``. Objects that do not fit are read from the store each time.
    """

    def __init__(self, folder: Path, limit: int, store: Store) -> None:
        self._store = store
        self._folder = BoundedFolder(
            folder / "stt-bootstrap-clips", limit, "other clips are read from the store each time"
        )
        self._lock = threading.Lock()
        self._holders: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # Asked once per process, so that an epoch costs no requests for cached objects.
        self._stat = functools.lru_cache(_KNOWN_VERSIONS)(store.stat)

    def read(self, place: Place) -> bytes:
        """Return the bytes of a clip; errors as in ``open_clip``."""
        stored = self._stat(place.holder)
        if place.size is None:
            return self.read_stored(stored)
        size = checked_size(place, stored.size)
        kept = self._path(stored)
        with contextlib.suppress(FileNotFoundError):
            return self._read_kept(kept, place)
        self._bring_shard(stored, kept)
        with contextlib.suppress(FileNotFoundError):
            return self._read_kept(kept, place)
        return self._store.read(stored, place.start, size)

    def read_stored(self, stored: StoredObject) -> bytes:
        """Return the bytes of a clip that is an object whose metadata is known."""
        place, kept = Place(stored.uri), self._path(stored)
        size = checked_size(place, stored.size)
        with contextlib.suppress(FileNotFoundError):
            return self._read_kept(kept, place)
        content = self._store.read(stored, 0, size)
        self._keep(kept, content)
        return content

    def look_at(self, uri: str) -> StoredObject:
        """Return an object's metadata from the store."""
        return self._stat(uri)

    def open_header(self, place: Place) -> BinaryIO:
        """Return an object as a stream that reads it in small parts; errors as in ``open_clip``."""
        return self.open_stored_header(self._stat(place.holder))

    def open_stored_header(self, stored: StoredObject) -> BinaryIO:
        """Like ``open_header``, for an object whose metadata is known."""
        with contextlib.suppress(FileNotFoundError):
            return io.BytesIO(self._read_kept(self._path(stored), Place(stored.uri)))
        return RangedReader(self._store, stored)

    def _path(self, stored: StoredObject) -> Path:
        name = stored.version
        return self._folder.folder / name[:2] / name[2:]

    def _read_kept(self, kept: Path, place: Place) -> bytes:
        self._folder.mark_used(kept)
        return read_part(kept, place)

    def _keep(self, kept: Path, content: bytes) -> None:
        with self._folder.room_for(len(content)) as there_is_room:
            if there_is_room:
                with atomic_write(kept) as beside:
                    beside.write_bytes(content)

    def _bring_shard(self, stored: StoredObject, kept: Path) -> None:
        """Fetch a whole shard, unless there is no room or another process is doing so."""
        with self._lock:
            holder = self._holders[stored.uri]
        with holder, contextlib.suppress(AlreadyLockedError):
            if kept.exists():
                return
            with self._folder.room_for(stored.size) as there_is_room:
                if there_is_room:
                    self._download_alone(stored, kept)

    def _download_alone(self, stored: StoredObject, kept: Path) -> None:
        kept.parent.mkdir(exist_ok=True)
        lock = kept.with_name(f".{kept.name}{BoundedFolder.LOCK_SUFFIX}")
        arriving = kept.with_name(f".{kept.name}.arriving")
        with locked(lock):
            try:
                if kept.exists():
                    return
                self._store.download_version(stored, arriving)
                os.utime(arriving)
                arriving.replace(kept)
            except OSError:
                # Free the disk again if it is full.
                for part in kept.parent.glob(f"*{arriving.name}*"):
                    part.unlink(missing_ok=True)
                raise
            finally:
                lock.unlink(missing_ok=True)


_caches: dict[tuple[int, str, bytes], ClipCache] = {}


def cache_of(uri: str) -> ClipCache:
    """Return this process's cache for the store of a URI.

    Raises DataError, one line, if it cannot be written to.
    """
    settings = (
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith(("AWS_", "S3_ADDRESSING", "STT_BOOTSTRAP_"))
    )
    # Only a digest of the credentials. Per process, since a forked process cannot share its
    # parent's connections.
    digest = hashlib.sha256(os.fsencode("\0".join(settings))).digest()
    key = os.getpid(), uri.partition("://")[0].lower(), digest
    # If several threads come here at once, all use the first one's cache.
    return _caches.get(key) or _caches.setdefault(key, _open_cache(uri))


def _open_cache(uri: str) -> ClipCache:
    given = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_GIB)
    if not re.fullmatch(r"\d+(\.\d+)?", given):
        raise DataError(f"{LIMIT_VARIABLE}: expected a number of GiB, found {given!r}")
    folder = cache_directory()
    try:
        return ClipCache(folder, int(float(given) * _GIB), store_of(uri))
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written to: {error.strerror}; set STT_BOOTSTRAP_CACHE to another"
            " folder"
        ) from error
