"""A stream over something that is read in blocks by position."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any


class BlockReader(io.RawIOBase):
    """Reads ``total`` bytes through ``read(start, size)``, at most ``block`` at once."""

    def __init__(self, read: Callable[[int, int], bytes], total: int, block: int) -> None:
        self._read = read
        self._total = total
        self._block = block
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position; nothing is fetched before the next read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._total}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from its start; return how many bytes that were, 0 at the end."""
        content = self._next(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def readall(self) -> bytes:
        """Return all that follows."""
        # The base class would ask for 8 KiB at a time.
        return b"".join(iter(lambda: self._next(self._block), b""))

    def _next(self, size: int) -> bytes:
        size = min(size, self._block, max(0, self._total - self._position))
        content = self._read(self._position, size) if size else b""
        self._position += len(content)
        return content
