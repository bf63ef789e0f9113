"""The files of a source, in a folder or in an object store.

Names are relative to the source, with ``/``. Listings are streamed: a million files need no memory.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from threading import Lock

from stt_model.base import redact
from stt_model.corpus import AUDIO_SUFFIXES
from stt_model.importing.clip import ImportSourceError
from stt_model.storage import StoredObject, cache_directory, local_path, store_of

FOREIGN_SUFFIXES = (
    *(".m4a", ".aac", ".wma", ".mp4", ".mkv", ".webm", ".mov", ".amr", ".3gp"),
    *(".g722", ".gsm"),  # of telephony: they have no header, so their names alone say what they are
)
"""Suffixes of recordings that only FFmpeg's libraries read."""
MEDIA_SUFFIXES = (
    *(*AUDIO_SUFFIXES, ".sph", ".aif", ".aiff", ".au", ".caf", ".w64"),
    *FOREIGN_SUFFIXES,
)
"""All suffixes of recordings."""

_LOOK = 3000
"""Number of names that formats are recognised by."""


class Tree:
    """A folder on this machine, or one file of it."""

    def __init__(self, root: Path, only: str = "", *, label: str = "") -> None:
        self.root = root.absolute()
        self._label = label
        self.only = only
        """The single file that was given; its audio may be anywhere below ``root``."""

    @property
    def label(self) -> str:
        """What people call the source."""
        return self._label or str(self.root / self.only)

    def names(self) -> Iterator[str]:
        """Yield every file, folder by folder, sorted by name within a folder."""
        if self.only:
            yield self.only
            return
        for folder, folders, files in os.walk(self.root, onerror=_refuse, followlinks=True):
            folders[:] = sorted(each for each in folders if not _is_hidden(each))
            inside = Path(folder).relative_to(self.root)
            for name in sorted(files):
                if not _is_hidden(name):
                    yield (inside / name).as_posix()

    @cached_property
    def look(self) -> tuple[str, ...]:
        """The first names, for recognising the format."""
        return tuple(islice(self.names(), _LOOK))

    def find(self, *suffixes: str) -> Iterator[str]:
        """Yield the files with these suffixes, ignoring case."""
        return (name for name in self.names() if name.lower().endswith(suffixes))

    def seen(self, *suffixes: str) -> list[str]:
        """Return those of the first names with these suffixes, ignoring case."""
        return [name for name in self.look if name.lower().endswith(suffixes)]

    def exists(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        try:
            return (self.root / name).is_file()
        except OSError:
            # The name is too long, or the folder is not accessible.
            return False

    def local(self, name: str) -> Path:
        """Return the file on this machine."""
        return self.root / name

    def place(self, name: str) -> str:
        """Return the file's name for a manifest."""
        if name.startswith("file://"):
            return str(local_path(name))
        if "://" in name or PurePosixPath(name).is_absolute():
            return name
        return os.path.normpath(self.root / name)

    def head(self, name: str, size: int = 1 << 16) -> bytes:
        """Return the first bytes of a file."""
        try:
            with self.local(name).open("rb") as file:
                return file.read(size)
        except OSError as error:
            raise ImportSourceError(f"{self.local(name)}: {error.strerror}") from error


class StoredTree(Tree):
    """The objects below an address. Small files are fetched; audio stays there."""

    def __init__(self, uri: str, only: str = "") -> None:
        self._store = store_of(uri)
        self._uri = uri.rstrip("/")
        self.only = only
        # On disk, and removed with the connection.
        self._listing = sqlite3.connect("", check_same_thread=False)
        self._lock = Lock()
        self._listing.execute("CREATE TABLE objects (name TEXT PRIMARY KEY, size, etag, modified)")
        prefix = f"{self._uri}/"
        self._listing.executemany(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
            (
                (each.uri.removeprefix(prefix), each.size, each.etag, each.modified.isoformat())
                for each in self._store.list(self._uri)
            ),
        )

    @property
    def label(self) -> str:
        """What people call the source."""
        return redact(f"{self._uri}/{self.only}" if self.only else self._uri)

    def names(self) -> Iterator[str]:
        """Yield every object, by name."""
        if self.only:
            yield self.only
            return
        for (name,) in self._listing.execute("SELECT name FROM objects ORDER BY name"):
            if not any(map(_is_hidden, PurePosixPath(name).parts)):
                yield name

    def exists(self, name: str) -> bool:
        """Tell whether there is an object of this name."""
        return self.stored(name) is not None

    def stored(self, name: str) -> StoredObject | None:
        """Return the object of this name from the listing."""
        with self._lock:
            row = self._listing.execute(
                "SELECT size, etag, modified FROM objects WHERE name = ?",
                (os.path.normpath(name),),
            ).fetchone()
        if row is None:
            return None
        uri = f"{self._uri}/{os.path.normpath(name)}"
        key = uri.split("/", 3)[3]
        return StoredObject(uri, key, row[0], row[1], datetime.fromisoformat(row[2]))

    def stored_at(self, place: str) -> StoredObject | None:
        """Return the object at an address that ``place`` returned."""
        prefix = f"{self._uri}/"
        return self.stored(place[len(prefix) :]) if place.startswith(prefix) else None

    def local(self, name: str) -> Path:
        """Fetch the object into the local cache; each version once."""
        stored = self.stored(name)
        if stored is None:
            raise ImportSourceError(f"{self._uri}/{name}: expected an object, found none")
        place = cache_directory() / "import" / stored.version / PurePosixPath(name).name
        if not place.exists():
            self._store.download_version(stored, place)
        return place

    def place(self, name: str) -> str:
        """Return the object's name for a manifest."""
        return name if "://" in name else f"{self._uri}/{os.path.normpath(name)}"

    def head(self, name: str, size: int = 1 << 16) -> bytes:
        """Return the first bytes of an object, with one request."""
        stored = self.stored(name)
        if stored is None:
            raise ImportSourceError(f"{self._uri}/{name}: expected an object, found none")
        return self._store.read(stored, 0, min(size, stored.size))


def is_media(name: str) -> bool:
    """Tell whether a name is that of a recording."""
    return name.lower().endswith(MEDIA_SUFFIXES)


class Stems:
    """The audio files of a tree by stem, kept on disk.

    For formats that name a clip by its stem alone.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._rows = sqlite3.connect("")
        self._rows.execute("CREATE TABLE stems (stem TEXT, name TEXT)")
        self._rows.executemany(
            "INSERT INTO stems VALUES (?, ?)",
            ((PurePosixPath(name).stem, name) for name in names if is_media(name)),
        )
        self._rows.execute("CREATE INDEX by_stem ON stems (stem)")

    def find(self, stem: str) -> list[str]:
        """Return the names of the files with this stem."""
        found = self._rows.execute("SELECT name FROM stems WHERE stem = ? ORDER BY name", (stem,))
        return [name for (name,) in found]


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn a library's exceptions about a file into one line that names it."""
    try:
        yield
    except ImportSourceError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ImportSourceError(f"{path}: cannot be read: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Return a library's message about a file; programming errors become "a damaged file"."""
    if isinstance(error, OSError) and error.strerror:
        # Without the number and the file, which is named anyway.
        return error.strerror
    reason = " ".join(str(error).split())[:300]
    if not reason or isinstance(error, (LookupError, TypeError, AttributeError)):
        return f"another kind of file or a damaged one ({type(error).__name__} {reason})"
    return reason


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "lost+found")


def _refuse(error: OSError) -> None:
    """Refuse a folder that cannot be listed: its clips would be left out without a word."""
    if error.errno == errno.ELOOP:
        return  # links in a circle end here
    raise ImportSourceError(
        f"{error.filename}: expected a folder that can be read, found: {error.strerror}; give"
        " yourself the right to read it, or move it out of the source"
    ) from error
