"""Where clips lie: in files, in an object store, or as members of tar shards in either.

A member is named by ``SHARD.tar#NAME@OFFSET+SIZE`` (bytes), so that it is found without reading the
shard. What comes from a store goes through a bounded cache: single clips, and shards whole.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import logging
import os
import re
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from stt_model.base import AlreadyLockedError, DataError, atomic_write, locked, open_regular
from stt_model.corpus import opus_packets
from stt_model.storage import (
    BlockReader,
    ObjectStore,
    StoredObject,
    StoreError,
    cache_directory,
    is_stored,
)

LIMIT_VARIABLE = "STT_BOOTSTRAP_CLIP_CACHE_GIB"
DEFAULT_GIB = 10.0

_GIB = 2**30
_SHARE_BETWEEN_SCANS = 50
_KNOWN_VERSIONS = 1 << 17
_LOCK_SUFFIX = ".lock"
_HEADER_PART = 1 << 13
"""Bytes of an object that are asked for at once where only its header is wanted."""
_HEADER_PARTS = 64
_MEMBER = re.compile(
    r"(?P<holder>.*\.(?:tar|sdb))#(?P<name>[^#]*)@(?P<start>[0-9]+)\+(?P<size>[0-9]+)", re.DOTALL
)
_LONGEST_NUMBER = 18
"""Digits of a place within a shard; more of them lie behind the end of every shard."""
CLIP_LIMIT = 2**30
"""Bytes of a clip, which is read whole: an hour of the best recording is below that."""

_logger = logging.getLogger(__name__)


class ShardError(DataError):
    """A shard that ends before a clip does; ``found`` says so without its name."""

    def __init__(self, holder: str, expected: int, found: int) -> None:
        self.found = f"a shard of {found} bytes, not {expected} or more; pack the dataset again"
        super().__init__(f"{holder}: {self.found}")


class ClipSizeError(DataError):
    """A clip that is too large to be read; ``found`` says so without its name."""

    def __init__(self, place: str, size: int) -> None:
        self.found = f"{size} bytes, where at most {CLIP_LIMIT} are read; cut it into utterances"
        super().__init__(f"{place}: {self.found}")


class _Place(NamedTuple):
    holder: str
    """The file or object that the bytes are in."""
    start: int = 0
    size: int | None = None
    """None for all of ``holder``."""


def member_name(shard: str, name: str, start: int, size: int) -> str:
    """Return how a manifest names a member of a shard, whose content starts at a byte."""
    # What divides the name from the shard's can be no part of it.
    return f"{shard}#{name.replace('#', '_')}@{start}+{size}"


def file_name(place: str) -> str:
    """Return the name of a clip, without that of its folder or shard."""
    match = _MEMBER.fullmatch(place)
    return match["name"] if match else place.rpartition("/")[2]


def is_file(place: Path | str) -> bool:
    """Return whether a clip is a file of its own on this machine."""
    return not is_stored(str(place)) and not _MEMBER.fullmatch(str(place))


def open_clip(place: Path | str) -> BinaryIO:
    """Open a clip for reading, wherever it lies.

    Raises OSError for a file that cannot be read or is a pipe or a device, MissingError for an
    object that is not there, any other StoreError for a store that does not answer, ShardError for
    a shard that is too short, and ClipSizeError for what is above ``CLIP_LIMIT``.
    """
    if is_file(place):
        file = open_regular(place)
        if (size := os.fstat(file.fileno()).st_size) > CLIP_LIMIT:
            file.close()
            raise ClipSizeError(str(place), size)
        return file
    found = _parse(str(place))
    if is_stored(found.holder):
        content = _cache().read(found)
    else:
        content = _read_part(Path(found.holder), found)
    if file_name(str(place)).endswith(opus_packets.SUFFIX):
        try:
            content = opus_packets.to_ogg(content)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
    return io.BytesIO(content)


def open_header(place: Path | str) -> BinaryIO:
    """Open a clip for reading its header: of an object only the parts that are read are asked for.

    A clip that is kept already, or lies in a shard, is opened as by ``open_clip``; errors as there.
    """
    if is_file(place) or _MEMBER.fullmatch(str(place)):
        return open_clip(place)
    return _cache().open_header(_Place(str(place)))


def open_stored_header(stored: StoredObject) -> BinaryIO:
    """Do as ``open_header`` for an object that was looked at."""
    return _cache().open_stored_header(stored)


def _parse(place: str) -> _Place:
    if match := _MEMBER.fullmatch(place):
        return _Place(match["holder"], _number(match["start"]), _number(match["size"]))
    return _Place(place)


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER


def _read_part(path: Path, place: _Place) -> bytes:
    with open_regular(path) as file:
        total = os.fstat(file.fileno()).st_size
        size = _checked_size(place, total)
        file.seek(place.start)
        content = file.read(size)
    if len(content) != size:
        raise ShardError(place.holder, place.start + size, total)
    return content


def _checked_size(place: _Place, total: int) -> int:
    """Return the bytes of a clip whose holder has ``total``, before any memory is taken for it."""
    size = total if place.size is None else place.size
    if place.start + size > total:
        raise ShardError(place.holder, place.start + size, total)
    if size > CLIP_LIMIT:
        raise ClipSizeError(place.holder, size)
    return size


class RangedReader(io.BufferedReader):
    """Reads an object in small parts, and asks the store for no more than those that are read."""

    def __init__(self, store: ObjectStore, stored: StoredObject) -> None:
        self.failure: StoreError | None = None
        """What the store raised, which the library that reads here does not hand on."""
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
    """Objects of a store, kept in ``folder`` in no more than about ``limit`` bytes.

    Kept by URI and ETag, as files that are written beside their place and renamed, for any number
    of processes at once. Where room is needed, what was used the longest ago goes first, but never
    what this process has used: an epoch over more than there is room for would otherwise throw out
    each clip just before its turn. What finds no room is read from the store each time.
    """

    def __init__(self, folder: Path, limit: int, store: ObjectStore) -> None:
        # Below a folder of its own, outside of which nothing is ever deleted.
        self._folder, self._limit, self._store = folder / "stt-bootstrap-clips", limit, store
        self._folder.mkdir(parents=True, exist_ok=True)
        started = self._folder / f".{uuid.uuid4().hex}"
        started.touch()
        # By the clock of the disk, which need not be this machine's.
        self._started = started.stat().st_mtime
        started.unlink()
        self._lock = threading.Lock()
        self._room = -1
        self._holders: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # Asked once a process: an epoch costs no request for what is kept.
        self._stat = functools.lru_cache(_KNOWN_VERSIONS)(store.stat)

    def read(self, place: _Place) -> bytes:
        """Return the bytes of a clip; errors as of ``open_clip``."""
        stored = self._stat(place.holder)
        size = _checked_size(place, stored.size)
        kept = self._path(stored)
        with contextlib.suppress(FileNotFoundError):
            return self._read_kept(kept, place)
        if place.size is None:
            content = self._store.read(stored, 0, stored.size)
            self._keep(kept, content)
            return content
        self._bring_shard(stored, kept)
        with contextlib.suppress(FileNotFoundError):
            return self._read_kept(kept, place)
        return self._store.read(stored, place.start, size)

    def open_header(self, place: _Place) -> BinaryIO:
        """Return an object as a stream that reads it in small parts; errors as of ``open_clip``."""
        return self.open_stored_header(self._stat(place.holder))

    def open_stored_header(self, stored: StoredObject) -> BinaryIO:
        """Do so for an object that was looked at."""
        with contextlib.suppress(FileNotFoundError):
            return io.BytesIO(self._read_kept(self._path(stored), _Place(stored.uri)))
        return RangedReader(self._store, stored)

    def _path(self, stored: StoredObject) -> Path:
        name = stored.version
        return self._folder / name[:2] / name[2:]

    def _read_kept(self, kept: Path, place: _Place) -> bytes:
        if kept.stat().st_mtime < self._started:
            os.utime(kept)
        return _read_part(kept, place)

    def _keep(self, kept: Path, content: bytes) -> None:
        with self._room_for(len(content)) as there_is_room:
            if there_is_room:
                with atomic_write(kept) as beside:
                    beside.write_bytes(content)

    def _bring_shard(self, stored: StoredObject, kept: Path) -> None:
        """Bring a whole shard, unless there is no room or another process is doing so."""
        with self._lock:
            holder = self._holders[stored.uri]
        with holder:
            if kept.exists():
                return
            with self._room_for(stored.size) as there_is_room:
                if there_is_room:
                    self._download_alone(stored, kept)

    def _download_alone(self, stored: StoredObject, kept: Path) -> None:
        kept.parent.mkdir(exist_ok=True)
        lock = kept.with_name(f".{kept.name}{_LOCK_SUFFIX}")
        arriving = kept.with_name(f".{kept.name}.arriving")
        with locked(lock):
            try:
                if kept.exists():
                    return
                self._store.download_version(stored, arriving)
                os.utime(arriving)
                arriving.replace(kept)
            except OSError:
                # A disk that is full is not left so.
                for part in kept.parent.glob(f"*{arriving.name}*"):
                    part.unlink(missing_ok=True)
                raise
            finally:
                lock.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _room_for(self, size: int) -> Iterator[bool]:
        """Take ``size`` bytes of the room, if there are, and give them back if the block fails.

        A disk that cannot take them is no error, and neither is another process that has the shard.
        """
        if not self._has_room(size):
            yield False
            return
        try:
            yield True
        except BaseException as error:
            with self._lock:
                self._room += size
            if isinstance(error, OSError):
                self._stop_keeping(error)
            elif not isinstance(error, AlreadyLockedError):
                raise

    def _stop_keeping(self, error: OSError) -> None:
        with self._lock:
            if self._room:
                _logger.warning("%s: no more clips are kept: %s", self._folder, error.strerror)
            self._room = 0

    def _has_room(self, size: int) -> bool:
        """Take ``size`` bytes of the room that there is, after making some if need be."""
        with self._lock:
            if self._room < size and (self._room < 0 or self._room > self._margin):
                self._room = self._make_room(max(size, self._margin))
            if self._room < size:
                return False
            self._room -= size
            return True

    @property
    def _margin(self) -> int:
        return self._limit // _SHARE_BETWEEN_SCANS

    def _make_room(self, wanted: int) -> int:
        entries = sorted(_entries(self._folder))
        room = self._limit - sum(size for _, size, _ in entries)
        for used, size, path in entries:
            if room >= wanted or used >= self._started:
                break
            # Another process may have been faster.
            with contextlib.suppress(OSError):
                path.unlink()
                room += size
        return max(room, 0)


def _entries(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield when each file was used last, its bytes, and its path; what vanishes is left out."""
    for path in folder.glob("*/*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            if path.suffix != _LOCK_SUFFIX:
                yield status.st_mtime, status.st_size, path


_caches: dict[tuple[int, bytes], ClipCache] = {}


def _cache() -> ClipCache:
    """Return the one cache that this process has for its environment."""
    settings = (
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith(("AWS_", "S3_ADDRESSING", "STT_BOOTSTRAP_"))
    )
    # Of credentials no more than a digest. By process, as connections cannot be shared with the one
    # that this one was forked from.
    key = os.getpid(), hashlib.sha256(os.fsencode("\0".join(settings))).digest()
    # Of threads that come here at once, all take the one that was first.
    return _caches.get(key) or _caches.setdefault(key, _open_cache())


def _open_cache() -> ClipCache:
    given = os.environ.get(LIMIT_VARIABLE) or str(DEFAULT_GIB)
    if not re.fullmatch(r"\d+(\.\d+)?", given):
        raise DataError(f"{LIMIT_VARIABLE}: expected a number of GiB, found {given!r}")
    folder = cache_directory()
    try:
        return ClipCache(folder, int(float(given) * _GIB), ObjectStore.from_environment())
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written to: {error.strerror}; set STT_BOOTSTRAP_CACHE to another"
        ) from error
