"""Coqui's sample databases (``.sdb``): clips and transcripts in one file, found by an index.

All numbers are big-endian. ``SAMPLEDB``; the length (8 bytes) of a JSON schema, and the schema;
the length of the samples (8) and their number (8); each sample: its length (4), and for each column
of the schema the length (4) and the content; then the length of the index (8), the number of
samples (8) and the place of each in the file (8).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from stt_model.base import DataError, open_regular, parse_json
from stt_model.corpus import opus_packets

SUFFIX = ".sdb"

_MAGIC = b"SAMPLEDB"
_SCHEMA_LIMIT = 1 << 20
_TRANSCRIPT_LIMIT = 1 << 20
_AUDIO = {
    "audio/wav": ".wav",
    "audio/ogg;codecs=opus": ".opus",
    "audio/vorbis": ".ogg",
    "audio/flac": ".flac",
    "application/vnd.mozilla.opus": opus_packets.SUFFIX,
}


@dataclass(frozen=True)
class StoredSample:
    """One sample: the position of its audio in the file, and its transcript, if there is one."""

    name: str
    start: int
    size: int
    transcript: str | None


def iter_samples(path: Path) -> Iterator[StoredSample]:
    """Yield the samples of a database in order, without reading the audio.

    Raises:
        DataError: it is not a sample database, or is damaged.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        reader = _Reader(path, file, os.fstat(file.fileno()).st_size)
        columns, suffix = reader.read_schema()
        for number, place in enumerate(reader.read_index()):
            yield reader.read_sample(place, columns, f"{number}{suffix}")


class _Reader:
    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path, self._file, self._size = path, file, size

    def read_schema(self) -> tuple[list[str], str]:
        """Return what each column holds, and the suffix of the clips."""
        if self._file.read(len(_MAGIC)) != _MAGIC:
            self._refuse("a sample database, which begins with SAMPLEDB", "something else")
        length = self._number(8)
        if length > _SCHEMA_LIMIT:
            self._refuse("a schema", f"one of {length} bytes")
        try:
            schema = parse_json(self._file.read(length))["schema"]
            columns = [str(column["content"]) for column in schema]
            kinds = {str(column["content"]): str(column["mime-type"]) for column in schema}
        except (ValueError, KeyError, TypeError):
            self._refuse("a schema in JSON", "something else")
        kind = kinds.get("speech", "no column speech")
        if kind not in _AUDIO:
            self._refuse(f"speech as {' or '.join(_AUDIO)}", kind)
        return columns, _AUDIO[kind]

    def read_index(self) -> list[int]:
        """Return the position of each sample."""
        length = self._number(8)
        self._go_to(self._file.tell() + length)
        self._number(8)
        count = self._number(8)
        if count > (self._size - self._file.tell()) // 8:
            self._refuse(f"an index of {count} samples", "the end of the file")
        return list(struct.unpack(f">{count}Q", self._file.read(8 * count)))

    def read_sample(self, place: int, columns: list[str], name: str) -> StoredSample:
        """Return the sample at a position."""
        self._go_to(place + 4)
        start = size = 0
        transcript = None
        for column in columns:
            length = self._number(4)
            here = self._file.tell()
            if here + length > self._size:
                self._refuse(f"sample {name} whole", "the end of the file")
            if column == "speech":
                start, size = here, length
            elif column == "transcript":
                transcript = self._text(length, name)
            self._go_to(here + length)
        return StoredSample(name, start, size, transcript)

    def _text(self, length: int, name: str) -> str:
        if length > _TRANSCRIPT_LIMIT:
            self._refuse(f"a transcript of sample {name}", f"{length} bytes")
        try:
            return self._file.read(length).decode()
        except UnicodeDecodeError:
            self._refuse(f"the transcript of sample {name} in UTF-8", "something else")

    def _number(self, size: int) -> int:
        content = self._file.read(size)
        if len(content) < size:
            self._refuse("a whole sample database", "a truncated one; copy it again")
        return int.from_bytes(content, "big")

    def _go_to(self, place: int) -> None:
        if place > self._size:
            self._refuse("a whole sample database", "a truncated one; copy it again")
        self._file.seek(place)

    def _refuse(self, expected: str, found: str) -> NoReturn:
        raise DataError(f"{self._path}: expected {expected}, found {found}")
