"""WebDataset's tar files: members whose names differ only in the suffix are one sample.

The audio and ``.txt``, the transcript, are used; the suffix is everything after the first dot
of the file's name, as in ``a.seg.wav``.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stt_model.base import DataError, StorageError
from stt_model.corpus.audio_settings import AUDIO_SUFFIXES
from stt_model.corpus.sample_databases import StoredSample
from stt_model.storage import iter_tar
from stt_model.text import shorten

SUFFIX = ".tar"

_AUDIO = tuple(suffix.removeprefix(".") for suffix in AUDIO_SUFFIXES)
_TRANSCRIPT_LIMIT = 1 << 20


class _Part(NamedTuple):
    key: str
    kind: str
    member: tarfile.TarInfo
    text: str | None = None
    """Of a transcript."""


def iter_samples(path: Path) -> Iterator[StoredSample]:
    """Yield the samples of a tar file in order, without reading the audio.

    Raises:
        DataError: it is not a tar file, is compressed or truncated, or a sample has no audio.
        OSError: it cannot be read.
    """
    try:
        yield from _samples(path)
    except StorageError as error:
        raise DataError(str(error)) from error


def _samples(path: Path) -> Iterator[StoredSample]:
    group: list[_Part] = []
    for file, member in iter_tar(path):
        if not member.isreg() or member.issparse():
            continue
        part = _part(member)
        if group and group[0].key != part.key:
            yield _sample(path, group)
            group = []
        if part.kind.rpartition(".")[2] == "txt":
            part = part._replace(text=_transcript(path, file, member))
        group.append(part)
    if group:
        yield _sample(path, group)


def _part(member: tarfile.TarInfo) -> _Part:
    folder, _, name = member.name.rpartition("/")
    key, _, kind = name.partition(".")
    return _Part(f"{folder}/{key}", kind.lower(), member)


def _sample(path: Path, group: list[_Part]) -> StoredSample:
    audio = [part for part in group if part.kind.rpartition(".")[2] in _AUDIO]
    if not audio:
        names = ", ".join(part.member.name for part in group)
        raise DataError(
            f"{path}: expected audio ({' '.join(_AUDIO)}) in each sample, found {shorten(names)}"
        )
    texts = [part.text for part in group if part.text is not None]
    member = audio[-1].member
    name = member.name.rpartition("/")[2]
    return StoredSample(name, member.offset_data, member.size, texts[0] if texts else None)


def _transcript(path: Path, file: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = file.extractfile(member)
    assert content is not None
    try:
        return content.read(_TRANSCRIPT_LIMIT).decode().strip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected {member.name} in UTF-8, found {error.reason}") from error
