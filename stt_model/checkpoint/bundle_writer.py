"""Write TensorFlow checkpoints ("tensor bundles") without TensorFlow, a block at a time.

The formats are those that ``stt_model.checkpoint.bundle`` reads. TensorFlow's own writer needs all
variables in memory at once, in the checkpoint's form, which would be the peak memory of training.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from stt_model.checkpoint.bundle import BLOCK_BYTES, DTYPES, MAGIC, mask_crc32c

_NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
_HEADER = b"\x08\x01\x1a\x02\x08\x01"  # a BundleHeaderProto: one data file, version 1
_HANDLES_BYTES = 40


@runtime_checkable
class Blockwise(Protocol):
    """An array that is computed while it is written."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the parts of the array, in the order of its elements."""


Variable = NDArray[Any] | Blockwise


def blocks_of(values: Variable) -> Iterator[NDArray[Any]]:
    """Yield an array in blocks of a few megabytes, in the order of its elements."""
    if not isinstance(values, np.ndarray):
        yield from values.blocks()
        return
    flat = values.reshape(-1)
    length = BLOCK_BYTES // flat.itemsize
    for start in range(0, len(flat), length):
        yield flat[start : start + length]


def write_bundle(prefix: Path, variables: Mapping[str, Variable]) -> None:
    """Write ``prefix.index`` and ``prefix.data-00000-of-00001``, and sync them to disk.

    OSError of the disk passes through; partly written files are left.
    """
    entries = {b"": _HEADER}
    with prefix.with_name(f"{prefix.name}.data-00000-of-00001").open("wb") as file:
        for name, values in sorted(variables.items()):
            offset, crc = file.tell(), 0
            for block in blocks_of(values):
                data = block.astype(block.dtype.newbyteorder("<"), copy=False).tobytes()
                crc = google_crc32c.extend(crc, data)
                file.write(data)
            entries[name.encode()] = _entry(values, offset, file.tell() - offset, crc)
        _keep(file)
    with prefix.with_name(f"{prefix.name}.index").open("wb") as file:
        file.write(_table(entries))
        _keep(file)


def _keep(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _entry(values: Variable, offset: int, size: int, crc: int) -> bytes:
    """A BundleEntryProto."""
    shape = b"".join(_bytes_field(2, _number_field(1, length)) for length in values.shape)
    return (
        _number_field(1, _NUMBERS[np.dtype(values.dtype)])
        + _bytes_field(2, shape)
        + _number_field(4, offset)
        + _number_field(5, size)
        + _varint(6 << 3 | 5)
        + struct.pack("<I", mask_crc32c(crc))
    )


def _number_field(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes_field(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _table(entries: Mapping[bytes, bytes]) -> bytes:
    """A sorted string table: all entries in one block, an empty block, a pointer to the first."""
    table = bytearray()

    def append(block: bytes) -> bytes:
        handle = _varint(len(table)) + _varint(len(block))
        stored = block + b"\0"  # not compressed
        table.extend(stored + struct.pack("<I", mask_crc32c(google_crc32c.value(stored))))
        return handle

    data = append(_block(entries))
    about = append(_block({}))
    index = append(_block({max(entries): data}))
    footer = (about + index).ljust(_HANDLES_BYTES, b"\0") + struct.pack("<Q", MAGIC)
    return bytes(table) + footer


def _block(entries: Mapping[bytes, bytes]) -> bytes:
    """Entries in order, and their offsets; no key shares a prefix with another."""
    block = bytearray()
    starts = []
    for key, value in sorted(entries.items()):
        starts.append(len(block))
        block += _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value
    starts = starts or [0]
    return bytes(block) + struct.pack(f"<{len(starts)}I", *starts) + struct.pack("<I", len(starts))
