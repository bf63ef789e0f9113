"""Frozen graphs whose weights are mapped into memory (``.pbmm``), as DeepSpeech published them.

Regions are followed by a directory of their offsets and names, a
``MemmappedFileSystemDirectory``; the last eight bytes are its offset.
"""

from __future__ import annotations

from pathlib import Path

from stt_model.checkpoint.formats import wire
from stt_model.checkpoint.formats.flatbuffer import Bytes
from stt_model.checkpoint.formats.frozen_graph import read_graph
from stt_model.checkpoint.formats.model import DeployedModel, UnreadableError

NAME = "pbmm"

_GRAPH = "memmapped_package://."
_OFFSET_BYTES = 8
_MOST_REGIONS = 10_000


def recognises(data: Bytes) -> bool:
    """Tell whether a file is of this format."""
    try:
        return _GRAPH in _regions(data)
    except UnreadableError:
        return False


def read(path: Path, data: Bytes) -> DeployedModel:
    """Read a memory-mapped graph; its weights stay views of ``data``.

    Raises:
        UnreadableError: damaged, or not the network of a checkpoint.
    """
    regions = _regions(data)
    starts = sorted({*regions.values(), len(data) - _OFFSET_BYTES - len(_directory(data))})
    # Only the start of a region is stored; it ends at the next one or the directory.
    ends = dict(zip(starts, [*starts[1:], starts[-1]], strict=True))

    def region(name: str) -> Bytes:
        if name not in regions:
            raise UnreadableError(f"no region {name!r}")
        return data[regions[name] : ends[regions[name]]]

    return read_graph(path, NAME, _graph_def(data, region(_GRAPH)), region)


def _directory(data: Bytes) -> Bytes:
    end = len(data) - _OFFSET_BYTES
    start = int.from_bytes(data[end:].tobytes(), "little") if end > 0 else -1
    if not 0 <= start < end:
        raise UnreadableError("damaged or truncated: no directory")
    return data[start:end]


def _entries(data: Bytes) -> list[Bytes]:
    entries = []
    for number, wire_type, value in wire.fields(_directory(data)):
        if number != 1 or wire_type != wire.BYTES or isinstance(value, int):
            raise UnreadableError("damaged: a directory of unknown form")
        entries.append(value)
        if len(entries) > _MOST_REGIONS:
            raise UnreadableError(f"damaged: {len(entries)} regions")
    return entries


def _regions(data: Bytes) -> dict[str, int]:
    """The offset of each region, by name."""
    regions = {}
    end = len(data) - _OFFSET_BYTES - len(_directory(data))
    for entry in _entries(data):
        offset = wire.number_of(entry, 1)
        if offset > end:
            raise UnreadableError("damaged or truncated: a region beyond the end")
        regions[wire.text(wire.bytes_of(entry, 2))] = offset
    return regions


def _graph_def(data: Bytes, rest: Bytes) -> Bytes:
    """The graph without the padding of its region; newer files store its length."""
    for entry in _entries(data):
        length = wire.number_of(entry, 3)
        if wire.text(wire.bytes_of(entry, 2)) == _GRAPH and 0 < length <= len(rest):
            return rest[:length]
    return rest
