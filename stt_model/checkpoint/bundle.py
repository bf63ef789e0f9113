"""Read TensorFlow checkpoints ("tensor bundles") with numpy alone, without TensorFlow.

A bundle is ``PREFIX.index``, a sorted string table of variable names and the positions of their
bytes, and ``PREFIX.data-SSSSS-of-NNNNN``, those bytes. Formats: TensorFlow's
``tensor_bundle.proto`` and ``lib/io/table``, which is LevelDB's table format.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from stt_model.base import CheckpointError

MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_BLOCK_TRAILER_BYTES = 5  # one byte of compression, four of checksum
_UNCOMPRESSED = 0
BLOCK_BYTES = 4 << 20
_CRC_MASK_DELTA = 0xA282EAD8

# TensorFlow's DataType numbers; variables of other kinds (strings, …) are listed but not read.
DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    5: np.dtype("<i2"),
    6: np.dtype("i1"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    17: np.dtype("<u2"),
    19: np.dtype("<f2"),
    22: np.dtype("<u4"),
    23: np.dtype("<u8"),
}


@dataclass(frozen=True)
class Entry:
    """The position of one variable: ``offset`` and ``size`` in bytes, in data file ``shard``."""

    dtype: np.dtype[Any] | None  # None: a type that this reader does not support
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int  # masked, as TensorFlow stores it
    sliced: bool  # a partitioned variable, whose bytes are stored under other keys


class Bundle:
    """One checkpoint's variables: ``entries`` without reading any data, ``read`` for one of them.

    Args:
        prefix: the path without ``.index``.

    Raises:
        CheckpointError: the index is missing, truncated, damaged, compressed or not a bundle's.
    """

    def __init__(self, prefix: Path | str) -> None:
        self.prefix = Path(prefix)
        self.index_path = self.prefix.with_name(self.prefix.name + ".index")
        try:
            table = self.index_path.read_bytes()
        except OSError as error:
            raise CheckpointError(
                f"{self.index_path}: cannot read the checkpoint's index: {error.strerror}"
            ) from error
        try:
            values = dict(_table_items(table))
            self._shards = _parse_header(values.pop(b""))
            # The parts of a sliced variable have binary keys.
            self.entries = {
                key.decode(errors="backslashreplace"): _parse_entry(value)
                for key, value in values.items()
            }
        except _Malformed as error:
            raise CheckpointError(f"{self.index_path}: {error}; copy or fetch it again") from error
        except (KeyError, IndexError, ValueError, struct.error) as error:
            raise CheckpointError(
                f"{self.index_path}: not the index of a TensorFlow checkpoint, or damaged; "
                "copy or fetch it again"
            ) from error

    def data_path(self, shard: int = 0) -> Path:
        """Path of data file number ``shard``."""
        return self.prefix.with_name(f"{self.prefix.name}.data-{shard:05}-of-{self._shards:05}")

    def check_files(self) -> None:
        """Check, without reading data, that every data file is there and long enough.

        Raises:
            CheckpointError: one is missing or shorter than the index says.
        """
        ends: dict[int, int] = {}
        for entry in self.entries.values():
            ends[entry.shard] = max(ends.get(entry.shard, 0), entry.offset + entry.size)
        for shard, end in sorted(ends.items()):
            path = self.data_path(shard)
            if not path.is_file():
                raise CheckpointError(
                    f"{path}: the checkpoint's data file is missing; copy it beside "
                    f"{self.index_path.name}"
                )
            if path.stat().st_size < end:
                raise CheckpointError(
                    f"{path}: truncated: expected {end} bytes or more, found "
                    f"{path.stat().st_size}; copy or fetch it again"
                )

    def read(self, name: str) -> NDArray[Any]:
        """Return one variable, read-only, after verifying its checksum.

        Raises:
            CheckpointError: the name is unknown, its type cannot be read, or its bytes are missing
                or damaged.
        """
        entry = self._entry(name)
        # Usually one block, so nothing is joined, and a damaged size allocates no memory.
        data = b"".join(self.blocks(name, size=max(1, self._available(entry))))
        return np.frombuffer(data, entry.dtype).reshape(entry.shape)

    def blocks(self, name: str, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Yield one variable's bytes, at most ``size`` at a time; errors as in ``read``.

        The checksum is verified after the last block.
        """
        entry = self._entry(name)
        path = self.data_path(entry.shard)
        left, crc = entry.size, 0
        try:
            with path.open("rb") as file:
                file.seek(entry.offset)
                while left and (block := file.read(min(size, left))):
                    left -= len(block)
                    crc = google_crc32c.extend(crc, block)
                    yield block
        except OSError as error:
            raise CheckpointError(
                f"{path}: cannot read the checkpoint's data: {error.strerror}"
            ) from error
        if left or mask_crc32c(crc) != entry.crc32c:
            found = "truncated" if left else "damaged (checksum differs)"
            raise CheckpointError(
                f"{path}: the bytes of {name} are {found}; copy or fetch it again"
            )

    def _entry(self, name: str) -> Entry:
        """Return the entry of a variable that can be read as an array of its shape."""
        entry = self.entries.get(name)
        if entry is None:
            raise CheckpointError(f"{self.index_path}: no variable {name!r} in this checkpoint")
        if entry.dtype is None or entry.sliced:
            kind = "in slices" if entry.sliced else "of a type other than numbers"
            raise CheckpointError(f"{self.index_path}: {name} is stored {kind}; cannot be read")
        if entry.size != math.prod(entry.shape) * entry.dtype.itemsize:
            raise CheckpointError(
                f"{self.index_path}: {name} has {entry.size} bytes, which do not fill its shape "
                f"{list(entry.shape)}; copy or fetch it again"
            )
        return entry

    def _available(self, entry: Entry) -> int:
        path = self.data_path(entry.shard)
        return min(entry.size, path.stat().st_size - entry.offset) if path.is_file() else 0


class _Malformed(Exception):
    """The problem of an index, without its path."""


def _masked_crc32c(data: bytes) -> int:
    return mask_crc32c(google_crc32c.value(data))


def mask_crc32c(crc: int) -> int:
    """Return a checksum in TensorFlow's masked form."""
    return (((crc >> 15) | (crc << 17)) + _CRC_MASK_DELTA) & 0xFFFFFFFF


def _table_items(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a sorted string table, verifying the blocks' checksums."""
    if len(table) < _FOOTER_BYTES or struct.unpack("<Q", table[-8:])[0] != MAGIC:
        raise _Malformed("not the index of a TensorFlow checkpoint, or truncated")
    footer = table[-_FOOTER_BYTES:]
    _, position = _parse_handle(footer, 0)  # the metaindex, which TensorFlow leaves empty
    index_handle, _ = _parse_handle(footer, position)
    for _, handle in _block_items(_read_block(table, index_handle)):
        yield from _block_items(_read_block(table, _parse_handle(handle, 0)[0]))


def _parse_handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    offset, position = _parse_varint(data, position)
    size, position = _parse_varint(data, position)
    return (offset, size), position


def _read_block(table: bytes, handle: tuple[int, int]) -> bytes:
    offset, size = handle
    end = offset + size
    if end + _BLOCK_TRAILER_BYTES > len(table):
        raise _Malformed("truncated or damaged: a block is beyond its end")
    compression = table[end]
    (stored,) = struct.unpack_from("<I", table, end + 1)
    if _masked_crc32c(table[offset : end + 1]) != stored:
        raise _Malformed("damaged: the checksum of a block differs")
    if compression != _UNCOMPRESSED:
        raise _Malformed("a compressed index, which TensorFlow's Saver does not write")
    return table[offset:end]


def _block_items(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block; each key is stored as its difference from the one before."""
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise _Malformed("damaged: a block is shorter than its own list of keys")
    position, key = 0, b""
    while position < end:
        shared, position = _parse_varint(block, position)
        unshared, position = _parse_varint(block, position)
        length, position = _parse_varint(block, position)
        if position + unshared + length > end:
            raise _Malformed("damaged: an entry is beyond its block")
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + length]
        position += length


def _parse_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 1 << 63:
            return value, position
    raise _Malformed("damaged: a number out of range")


def _proto_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and raw values of a protocol buffer; fixed32 values come as integers."""
    position = 0
    while position < len(message):
        tag, position = _parse_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        value: int | bytes
        if wire_type == 0:
            value, position = _parse_varint(message, position)
        elif wire_type == 2:
            length, position = _parse_varint(message, position)
            value, position = message[position : position + length], position + length
        elif wire_type == 5:
            (value,), position = struct.unpack_from("<I", message, position), position + 4
        else:
            raise _Malformed("damaged: an entry of unknown form")
        yield number, value


def _parse_header(message: bytes) -> int:
    """Number of data files, out of a BundleHeaderProto."""
    fields = dict(_proto_fields(message))
    if fields.get(2, 0) != 0:
        raise _Malformed("written on a big-endian machine, which is not supported")
    return int(fields[1])


def _parse_entry(message: bytes) -> Entry:
    """A BundleEntryProto."""
    fields: dict[int, int | bytes] = dict(_proto_fields(message))
    shape = fields.get(2, b"")
    if not isinstance(shape, bytes):
        raise _Malformed("damaged: a shape of unknown form")
    return Entry(
        dtype=DTYPES.get(int(fields.get(1, 0))),
        shape=tuple(_parse_shape(shape)),
        shard=int(fields.get(3, 0)),
        offset=int(fields.get(4, 0)),
        size=int(fields.get(5, 0)),
        crc32c=int(fields.get(6, 0)),
        sliced=7 in fields,
    )


def _parse_shape(message: bytes) -> Iterator[int]:
    """Sizes of a TensorShapeProto's dimensions."""
    for number, dimension in _proto_fields(message):
        if number == 2 and isinstance(dimension, bytes):
            yield int(dict(_proto_fields(dimension)).get(1, 0))
