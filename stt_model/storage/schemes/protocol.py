"""What a scheme has to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from stt_model.storage.stored import StoredObject


class Scheme(Protocol):
    """Everything that is done with the URIs of one scheme.

    Every method raises StorageError, one line; OSError of the disk passes through.
    """

    names: tuple[str, ...]
    """What stands before ``://``, in small letters; "" for a plain path."""
    shown: str
    """How such a URI is written, for messages."""
    is_local: bool
    """Whether it leads to the file systems of this machine."""

    def bring(
        self, uri: str, *, size_limit: int, progress: bool = False
    ) -> AbstractContextManager[Path]:
        """Yield where the file or folder lies on this machine, while the block lasts.

        ``size_limit`` is in bytes; ``progress`` draws a bar where there is a terminal.
        """
        ...

    def check(self, uri: str) -> None:
        """Raise unless there is something, as far as that can be known without fetching it."""
        ...

    def put(self, source: Path, uri: str) -> None:
        """Copy a file or a folder there, whole or not at all."""
        ...


class Store(Protocol):
    """An object store: objects have URIs, and can be listed and read in part.

    Threads may share one; processes make their own. Every method raises StoreError, one line
    without a credential: MissingError where there is no such object, ChangedError where it is no
    longer the one that was looked at. OSError of the disk passes through.
    """

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Yield the objects below ``uri``, as below a folder, by name."""
        ...

    def stat(self, uri: str) -> StoredObject:
        """Return what the store says of one object."""
        ...

    def open(self, uri: str) -> BinaryIO:
        """Return the content of an object as a stream."""
        ...

    def read(self, stored: StoredObject, start: int, size: int) -> bytes:
        """Return ``size`` bytes of an object that was looked at."""
        ...

    def download(self, uri: str, target: Path) -> None:
        """Make ``target`` a file with the content of an object, whole or not at all."""
        ...

    def download_version(self, stored: StoredObject, target: Path) -> None:
        """Do so for an object that was looked at."""
        ...

    def download_objects(
        self,
        objects: Iterable[StoredObject],
        uri: str,
        target_dir: Path,
        *,
        advance: Callable[[int], object] = bool,
    ) -> int:
        """Download objects below ``uri`` under their names into a folder; return how many."""
        ...

    def upload(self, path: Path, uri: str) -> None:
        """Store a file, whole or not at all."""
        ...

    def remove(self, uri: str) -> None:
        """Remove an object; where there is none, that is no error."""
        ...


@runtime_checkable
class StoreScheme(Protocol):
    """What the scheme of an object store has besides."""

    def store(self, environ: Mapping[str, str]) -> Store:
        """Return the store that environment variables describe."""
        ...


def split_scheme(uri: str) -> tuple[str, str]:
    """Return scheme ("" for a path) and what follows ``://``."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", uri)
    return (found[1].lower(), uri[found.end() :]) if found else ("", uri)


def split_root(uri: str) -> tuple[str, str]:
    """Return the bucket that the URI of an object begins with, ``s3://bucket``, and the rest."""
    scheme, rest = split_scheme(uri)
    bucket, _, path = rest.partition("/")
    return f"{scheme}://{bucket}", path
