"""How clips are named: files, objects of a store, or members of tar shards in either.

A member is named by ``SHARD.tar#NAME@OFFSET+SIZE`` (bytes), so that it is found without reading the
shard.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from stt_model.base import DataError, open_regular
from stt_model.storage import is_stored

CLIP_LIMIT = 2**30
"""Bytes of a clip, which is read whole: an hour of the best recording is below that."""

_MEMBER = re.compile(
    r"(?P<holder>.*\.(?:tar|sdb))#(?P<name>[^#]*)@(?P<start>[0-9]+)\+(?P<size>[0-9]+)", re.DOTALL
)
_LONGEST_NUMBER = 18
"""Digits of a place within a shard; more of them lie behind the end of every shard."""


class ShardError(DataError):
    """A shard that ends before a clip does; ``found`` says so without its name."""

    def __init__(self, holder: str, expected: int, found: int) -> None:
        self.found = f"a shard of {found} bytes, not {expected} or more; pack the dataset again"
        super().__init__(f"{holder}: {self.found}")


class ClipSizeError(DataError):
    """A clip that is too large to be read; ``found`` says so without its name."""

    def __init__(self, place: str, size: int) -> None:
        self.found = f"{size} bytes, where at most {CLIP_LIMIT} are read; cut it into utterances"
        super().__init__(f"{place}: {self.found}")


class Place(NamedTuple):
    """Where the bytes of a clip lie."""

    holder: str
    """The file or object that the bytes are in."""
    start: int = 0
    size: int | None = None
    """None for all of ``holder``."""


def member_name(shard: str, name: str, start: int, size: int) -> str:
    """Return how a manifest names a member of a shard, whose content starts at a byte."""
    # What divides the name from the shard's can be no part of it.
    return f"{shard}#{name.replace('#', '_')}@{start}+{size}"


def file_name(place: str) -> str:
    """Return the name of a clip, without that of its folder or shard."""
    match = _MEMBER.fullmatch(place)
    return match["name"] if match else place.rpartition("/")[2]


def is_member(place: Path | str) -> bool:
    """Return whether a clip is a member of a shard."""
    return bool(_MEMBER.fullmatch(str(place)))


def is_file(place: Path | str) -> bool:
    """Return whether a clip is a file of its own on this machine."""
    return not is_stored(str(place)) and not is_member(place)


def parse_place(place: str) -> Place:
    """Return where a clip of this name lies."""
    if match := _MEMBER.fullmatch(place):
        return Place(match["holder"], _number(match["start"]), _number(match["size"]))
    return Place(place)


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER


def read_part(path: Path, place: Place) -> bytes:
    """Return the bytes of a clip out of a file; errors as of ``open_clip``."""
    with open_regular(path) as file:
        total = os.fstat(file.fileno()).st_size
        size = checked_size(place, total)
        file.seek(place.start)
        content = file.read(size)
    if len(content) != size:
        raise ShardError(place.holder, place.start + size, total)
    return content


def checked_size(place: Place, total: int) -> int:
    """Return the bytes of a clip whose holder has ``total``, before any memory is taken for it."""
    size = total if place.size is None else place.size
    if place.start + size > total:
        raise ShardError(place.holder, place.start + size, total)
    if size > CLIP_LIMIT:
        raise ClipSizeError(place.holder, size)
    return size
