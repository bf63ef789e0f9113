"""What a scheme has to do."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol


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
    is_store: bool
    """Whether it leads into an object store, whose objects can be listed and read in part."""

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


def split_scheme(uri: str) -> tuple[str, str]:
    """Return scheme ("" for a path) and what follows ``://``."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", uri)
    return (found[1].lower(), uri[found.end() :]) if found else ("", uri)
