"""Read FlatBuffers, the encoding of ``.tflite`` files, with every offset and count checked.

Only fields of the schema are followed, so a table that points at itself does no harm, and a
vector is never longer than the rest of the file.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.checkpoint.formats.model import UnreadableError

Bytes = NDArray[np.uint8]


class Table:
    """One table: fields by their number in the schema, counted from 0."""

    def __init__(self, data: Bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._vtable = position - _integer(data, "<i", position)
        self._vtable_bytes = _integer(data, "<H", self._vtable)

    def number(self, field: int, kind: str, default: int | float = 0) -> Any:
        """Return a scalar field; ``kind`` is its ``struct`` format."""
        place = self._place(field)
        return _integer(self._data, f"<{kind}", place) if place else default

    def table(self, field: int) -> Table | None:
        """Return the table that a field refers to, or None if the field is absent."""
        place = self._place(field)
        return Table(self._data, self._referred(place)) if place else None

    def tables(self, field: int, limit: int) -> list[Table]:
        """Return a vector of tables, empty if the field is absent."""
        start, count = self._vector(field, 4, limit)
        places = range(start, start + 4 * count, 4)
        return [Table(self._data, self._referred(place)) for place in places]

    def numbers(self, field: int, dtype: str, limit: int) -> NDArray[Any]:
        """Return a vector of numbers as a view of the file, empty if the field is absent."""
        kind = np.dtype(dtype)
        start, count = self._vector(field, kind.itemsize, limit)
        return self._data[start : start + count * kind.itemsize].view(kind)

    def text(self, field: int, limit: int = 1024) -> str:
        """Return a string; bytes that are not UTF-8 are escaped."""
        return self.numbers(field, "u1", limit).tobytes().decode(errors="backslashreplace")

    def _place(self, field: int) -> int:
        """The position of a field, or 0."""
        entry = 4 + 2 * field
        if entry + 2 > self._vtable_bytes:
            return 0
        offset = _integer(self._data, "<H", self._vtable + entry)
        return self._position + offset if offset else 0

    def _referred(self, place: int) -> int:
        offset: int = _integer(self._data, "<I", place)
        return place + offset

    def _vector(self, field: int, item_bytes: int, limit: int) -> tuple[int, int]:
        """Where a vector's items begin, and how many there are."""
        place = self._place(field)
        if not place:
            return 0, 0
        start = self._referred(place)
        count: int = _integer(self._data, "<I", start)
        if count > limit or start + 4 + count * item_bytes > len(self._data):
            raise UnreadableError(f"damaged or truncated: a list of {count} items")
        return start + 4, count


def root_table(data: Bytes, identifier: bytes) -> Table:
    """Return the table that a file begins with.

    Raises:
        UnreadableError: another file identifier, or an offset beyond the end.
    """
    found = data[4:8].tobytes()
    if found != identifier:
        raise UnreadableError(f"the file identifier {found!r}, expected {identifier!r}")
    return Table(data, _integer(data, "<I", 0))


def _integer(data: Bytes, kind: str, place: int) -> Any:
    size = struct.calcsize(kind)
    if not 0 <= place <= len(data) - size:
        raise UnreadableError("damaged or truncated: an offset beyond the end of the file")
    return struct.unpack(kind, data[place : place + size].tobytes())[0]
