"""The interface of a scheme."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from stt_model.storage.stored import StoredObject


class Scheme(Protocol):
    """Everything that can be done with the URIs of one scheme.

    Every method raises StorageError, one line; OSError of the disk passes through.
    """

    names: tuple[str, ...]
    """The part before ``://``, in lower case; "" for a plain path."""
    shown: str
    """The scheme as messages show it."""
    is_local: bool
    """Whether its URIs are on this machine's file systems."""

    def bring(
        self, uri: str, *, size_limit: int, progress: bool = False
    ) -> AbstractContextManager[Path]:
        """Yield the local path of the file or folder for the duration of the block.

        ``size_limit`` is in bytes; ``progress`` draws a bar where there is a terminal.
        """
        ...

    def check(self, uri: str) -> None:
        """Raise unless the URI exists, as far as that can be known without fetching it."""
        ...

    def check_writable(self, uri: str) -> None:
        """Raise unless a folder could be written there; nothing of the attempt is left."""
        ...

    def put(self, source: Path, uri: str) -> None:
        """Copy a file or a folder there, whole or not at all."""
        ...


class Store(Protocol):
    """An object store: objects have URIs, and can be listed and read in part.

    Threads may share one; processes make their own. Every method raises StoreError, one line
    without a credential: MissingError if there is no such object, ChangedError if it has changed
    since its metadata was read. OSError of the disk passes through.
    """

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Yield the objects below ``uri``, as in a folder, by name."""
        ...

    def stat(self, uri: str) -> StoredObject:
        """Return the metadata of one object."""
        ...

    def open(self, uri: str) -> BinaryIO:
        """Return the content of an object as a stream."""
        ...

    def read(self, stored: StoredObject, start: int, size: int) -> bytes:
        """Return ``size`` bytes of this version of an object."""
        ...

    def download(self, uri: str, target: Path) -> None:
        """Make ``target`` a file with the content of an object, whole or not at all."""
        ...

    def download_version(self, stored: StoredObject, target: Path) -> None:
        """Like ``download``, of exactly this version."""
        ...

    def download_objects(
        self,
        objects: Iterable[StoredObject],
        uri: str,
        target_dir: Path,
        *,
        advance: Callable[[int], object] = bool,
    ) -> int:
        """Download objects below ``uri`` into a folder, keeping names; return how many."""
        ...

    def upload(self, path: Path, uri: str) -> None:
        """Store a file, whole or not at all."""
        ...

    def remove(self, uri: str) -> None:
        """Remove an object, if it exists."""
        ...


@runtime_checkable
class StoreScheme(Protocol):
    """A scheme that leads into an object store."""

    def store(self, environ: Mapping[str, str]) -> Store:
        """Return the store that environment variables describe."""
        ...


def split_scheme(uri: str) -> tuple[str, str]:
    """Return the scheme ("" for a path) and the part after ``://``."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", uri)
    return (found[1].lower(), uri[found.end() :]) if found else ("", uri)


def split_root(uri: str) -> tuple[str, str]:
    """Return the bucket of an object's URI, ``s3://bucket``, and the rest."""
    scheme, rest = split_scheme(uri)
    bucket, _, path = rest.partition("/")
    return f"{scheme}://{bucket}", path
