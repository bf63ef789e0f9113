"""A stream for a native library, which prints what is raised at it instead of handing it on."""

from __future__ import annotations

import contextlib
import os
from typing import BinaryIO

from stt_model.base import BootstrapError


class LibraryStream:
    """Reads ``handle``, and raises nothing.

    A damaged header leads to places before the start, and a store may fail: the library then reads
    the end, and says itself that it cannot read the file.
    """

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle

    def read(self, size: int) -> bytes:
        """Return up to so many bytes; none where that fails."""
        try:
            return self._handle.read(size)
        except (OSError, BootstrapError):
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; stay where there is no such place."""
        with contextlib.suppress(OSError, ValueError, OverflowError):
            return self._handle.seek(offset, whence)
        return self._handle.tell()

    def tell(self) -> int:
        """Return the place."""
        return self._handle.tell()
