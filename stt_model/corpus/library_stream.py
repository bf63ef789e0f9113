"""A stream for native libraries, which print a callback's exceptions instead of passing them on."""

from __future__ import annotations

import contextlib
import os
from typing import BinaryIO

from stt_model.base import BootstrapError


class LibraryStream:
    """Reads ``handle``, and raises nothing.

    A damaged header can ask for a position before the start, and a store can fail. The library then
    gets an end of file, and reports by itself that it cannot read the file.
    """

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none if that fails."""
        try:
            return self._handle.read(size)
        except (OSError, BootstrapError):
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; stay if there is no such position."""
        with contextlib.suppress(OSError, ValueError, OverflowError):
            return self._handle.seek(offset, whence)
        return self._handle.tell()

    def tell(self) -> int:
        """Return the position."""
        return self._handle.tell()
