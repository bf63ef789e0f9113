"""Open clips wherever they are: in files, in an object store, or in tar shards in either.

Clips and whole shards from a store go through a bounded cache.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from stt_model.base import DataError, open_regular
from stt_model.corpus import opus_packets
from stt_model.corpus.clip_cache import cache_of
from stt_model.corpus.clip_places import (
    CLIP_LIMIT,
    ClipSizeError,
    Place,
    file_name,
    is_file,
    is_member,
    parse_place,
    read_part,
)
from stt_model.storage import StoredObject, is_stored


def open_clip(place: Path | str) -> BinaryIO:
    """Open a clip for reading, wherever it is.

    Raises OSError for a file that cannot be read or is a pipe or a device, MissingError for a
    missing object, another StoreError for a store that does not answer, ShardError for a shard
    that is too short, and ClipSizeError for clips above ``CLIP_LIMIT``.
    """
    if is_file(place):
        file = open_regular(place)
        if (size := os.fstat(file.fileno()).st_size) > CLIP_LIMIT:
            file.close()
            raise ClipSizeError(str(place), size)
        return file
    found = parse_place(str(place))
    if is_stored(found.holder):
        content = cache_of(found.holder).read(found)
    else:
        content = read_part(Path(found.holder), found)
    if file_name(str(place)).endswith(opus_packets.SUFFIX):
        try:
            content = opus_packets.to_ogg(content)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
    return io.BytesIO(content)


def open_header(place: Path | str) -> BinaryIO:
    """Open a clip for reading its header: of an object only the parts that are read are fetched.

    A clip that is cached already, or is in a shard, is opened as by ``open_clip``; errors as there.
    """
    if is_file(place) or is_member(place):
        return open_clip(place)
    return cache_of(str(place)).open_header(Place(str(place)))


def holder_of(place: str) -> tuple[str, str]:
    """Return the file or object that a clip lies in, and which part of it; "" for all of it."""
    found = parse_place(place)
    return found.holder, "" if found.size is None else f"{found.start}+{found.size}"


def look_at(uri: str) -> StoredObject:
    """Return an object's metadata, requested once; errors as in ``open_clip``."""
    return cache_of(uri).look_at(uri)


def open_stored(stored: StoredObject) -> BinaryIO:
    """Like ``open_clip``, for an object whose metadata is known."""
    return io.BytesIO(cache_of(stored.uri).read_stored(stored))


def open_stored_header(stored: StoredObject) -> BinaryIO:
    """Like ``open_header``, for an object whose metadata is known."""
    return cache_of(stored.uri).open_stored_header(stored)
