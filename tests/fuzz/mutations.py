"""Damage to bytes, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

_BYTES = (0, 1, 9, 10, 13, 34, 44, 47, 127, 128, 254, 255)
_NUMBERS = (b"0", b"-1", b"99999999999999999999", b"1e999", b"nan", b"4294967296", b"2147483648")


def mutate(data: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """Return ``data`` with one to eight kinds of damage, perhaps with parts of ``others``."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 8))):
        draw.choice(_KINDS)(changed, others, draw)
    return bytes(changed)


def _place(data: bytearray, draw: random.Random) -> int:
    # Heads say how long the rest is, and so do ends.
    near = draw.random()
    if near < 0.3:
        return draw.randrange(min(len(data), 256) + 1)
    if near < 0.4:
        return max(0, len(data) - draw.randrange(256))
    return draw.randrange(len(data) + 1)


def _set_byte(data: bytearray, others: Sequence[bytes], draw: random.Random) -> None:
    at = _place(data, draw)
    data[at : at + 1] = bytes([draw.choice((*_BYTES, draw.randrange(256)))])


def _flip_bit(data: bytearray, others: Sequence[bytes], draw: random.Random) -> None:
    if data:
        data[min(_place(data, draw), len(data) - 1)] ^= 1 << draw.randrange(8)


def _set_word(data: bytearray, others: Sequence[bytes], draw: random.Random) -> None:
    at, size = _place(data, draw), draw.choice((2, 4, 8))
    number = draw.choice((0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1))
    data[at : at + size] = number.to_bytes(size, draw.choice(("little", "big")))


def _cut(data: bytearray, others: Sequence[bytes], draw: random.Random) -> None:
    at = _place(data, draw)
    del data[at : len(data) if draw.random() < 0.4 else at + draw.randrange(1, 64)]


def _repeat(data: bytearray, others: Sequence[bytes], draw: random.Random) -> None:
    at = _place(data, draw)
    part = bytes(data[at : at + draw.randrange(1, 128)])
    data[at:at] = part * draw.choice((1, 2, 16, 200))


def _splice(data: bytearray, others: Sequence[bytes], draw: random.Random) -> None:
    other = draw.choice(others)
    start = draw.randrange(len(other) + 1)
    at = _place(data, draw)
    data[at : at + draw.randrange(64)] = other[start : start + draw.randrange(1, 512)]


def _set_number(data: bytearray, others: Sequence[bytes], draw: random.Random) -> None:
    """Replace a number that is written in digits."""
    at = _place(data, draw)
    while at < len(data) and not 48 <= data[at] <= 57:
        at += 1
    end = at
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    data[at:end] = draw.choice(_NUMBERS)


_KINDS = (_set_byte, _set_byte, _flip_bit, _set_word, _cut, _repeat, _splice, _set_number)
