"""Names of clips: files, objects of a store, or members of tar shards in either.

A member's name is ``SHARD.tar#NAME@OFFSET+SIZE`` (bytes), so that it is found without reading the
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
"""Maximum size of a clip in bytes, which is read whole: more than an hour of studio quality."""

_MEMBER = re.compile(
    r"(?P<holder>.*\.(?:tar|sdb))#(?P<name>[^#]*)@(?P<start>[0-9]+)\+(?P<size>[0-9]+)", re.DOTALL
)
_LONGEST_NUMBER = 18
"""Maximum digits of an offset in a shard; larger ones are beyond the end of any shard."""


class ShardError(DataError):
    """A shard that ends before a clip does; ``found`` is the message without the shard's name."""

    def __init__(self, holder: str, expected: int, found: int) -> None:
        self.found = f"a shard of {found} bytes, not {expected} or more; pack the dataset again"
        super().__init__(f"{holder}: {self.found}")


class ClipSizeError(DataError):
    """A clip that is too large to be read; ``found`` is the message without the clip's name."""

    def __init__(self, place: str, size: int) -> None:
        self.found = f"{size} bytes, where at most {CLIP_LIMIT} are read; cut it into utterances"
        super().__init__(f"{place}: {self.found}")


class Place(NamedTuple):
    """Where the bytes of a clip are."""

    holder: str
    """The file or object that holds the bytes."""
    start: int = 0
    size: int | None = None
    """None for the whole ``holder``."""


def member_name(shard: str, name: str, start: int, size: int) -> str:
    """Return a manifest's name for the member of a shard whose content starts at byte ``start``."""
    # The separator cannot be part of the name.
    return f"{shard}#{name.replace('#', '_')}@{start}+{size}"


def file_name(place: str) -> str:
    """Return the name of a clip, without its folder or shard."""
    match = _MEMBER.fullmatch(place)
    return match["name"] if match else place.rpartition("/")[2]


def is_member(place: Path | str) -> bool:
    """Return whether a clip is a member of a shard."""
    return bool(_MEMBER.fullmatch(str(place)))


def is_file(place: Path | str) -> bool:
    """Return whether a clip is a file of its own on this machine."""
    return not is_stored(str(place)) and not is_member(place)


def parse_place(place: str) -> Place:
    """Return where the clip of this name is."""
    if match := _MEMBER.fullmatch(place):
        return Place(match["holder"], _number(match["start"]), _number(match["size"]))
    return Place(place)


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER


def read_part(path: Path, place: Place) -> bytes:
    """Return the bytes of a clip from a file; errors as in ``open_clip``."""
    with open_regular(path) as file:
        total = os.fstat(file.fileno()).st_size
        size = checked_size(place, total)
        file.seek(place.start)
        content = file.read(size)
    if len(content) != size:
        raise ShardError(place.holder, place.start + size, total)
    return content


def checked_size(place: Place, total: int) -> int:
    """Return the size of a clip within ``total`` bytes, checked before memory is allocated."""
    size = total if place.size is None else place.size
    if place.start + size > total:
        raise ShardError(place.holder, place.start + size, total)
    if size > CLIP_LIMIT:
        raise ClipSizeError(place.holder, size)
    return size
