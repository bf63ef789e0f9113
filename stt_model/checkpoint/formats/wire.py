"""Read protocol buffers field by field, with every length checked and nothing copied."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stt_model.checkpoint.formats.flatbuffer import Bytes
from stt_model.checkpoint.formats.model import UnreadableError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Field = tuple[int, int, int | Bytes]
"""Field number, wire type, and a number or bytes; fixed-size values are bytes too."""


def fields(message: Bytes) -> Iterator[Field]:
    """Yield a message's fields in order.

    Raises:
        UnreadableError: a length beyond the end, or a field of unknown form.
    """
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            value, position = _varint(message, position)
            yield number, wire_type, value
            continue
        if wire_type == BYTES:
            length, position = _varint(message, position)
        elif wire_type in (FIXED32, FIXED64):
            length = 4 if wire_type == FIXED32 else 8
        else:
            raise UnreadableError(f"damaged: a field of unknown form {wire_type}")
        if number == 0 or position + length > end:
            raise UnreadableError("damaged or truncated: a field beyond the end")
        yield number, wire_type, message[position : position + length]
        position += length


def number_of(message: Bytes, field: int, default: int = 0) -> int:
    """Return an integer field; the last occurrence counts."""
    for number, _, value in fields(message):
        if number == field and isinstance(value, int):
            default = value
    return default


def bytes_of(message: Bytes, field: int) -> Bytes | None:
    """Return the bytes of a field, or None; the last occurrence counts."""
    found = None
    for number, wire_type, value in fields(message):
        if number == field and wire_type != VARINT and not isinstance(value, int):
            found = value
    return found


def text(value: Bytes | None) -> str:
    """Return a string; bytes that are not UTF-8 are escaped."""
    return "" if value is None else value.tobytes().decode(errors="backslashreplace")


def signed(value: int) -> int:
    """Return the signed value of a 64-bit number."""
    return value - (1 << 64) if value >= 1 << 63 else value


def varints(packed: Bytes) -> list[int]:
    """Return the numbers packed into one field."""
    found, position = [], 0
    while position < len(packed):
        value, position = _varint(packed, position)
        found.append(signed(value))
    return found


def _varint(message: Bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = int(message[position])
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, position
    raise UnreadableError("damaged or truncated: a number without an end")


def as_bytes(data: bytes) -> Bytes:
    """Return bytes in the form that these functions take."""
    return np.frombuffer(data, np.uint8)
