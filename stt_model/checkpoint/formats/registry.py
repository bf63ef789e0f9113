"""The formats of deployed models; to add one, write a module and list it in ``FORMATS``."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Protocol

import numpy as np

from stt_model.base import CheckpointError
from stt_model.checkpoint.formats import frozen_graph, memmapped_graph, tflite
from stt_model.checkpoint.formats.flatbuffer import Bytes
from stt_model.checkpoint.formats.model import DeployedModel, UnreadableError
from stt_model.checkpoint.formats.search import SUFFIXES

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""How files of gzip, bzip2, xz and zstd begin."""


class Format(Protocol):
    """The interface of a format's module."""

    NAME: str

    def recognises(self, data: Bytes) -> bool:
        """Tell from its content whether a file has this format."""

    def read(self, path: Path, data: Bytes) -> DeployedModel:
        """Read a file; UnreadableError says what does not fit."""


FORMATS: tuple[Format, ...] = (tflite, memmapped_graph, frozen_graph)
"""The first that recognises a file reads it."""


def is_model(path: Path) -> bool:
    """Tell from its content whether a file has one of these formats."""
    try:
        data: Bytes = np.memmap(path, np.uint8, "r").view(np.ndarray)
    except (OSError, ValueError):
        return False
    return any(each.recognises(data) for each in FORMATS)


def open_model(path: Path) -> DeployedModel:
    """Read a deployed model, recognised by its content; the weights stay in the file.

    Raises:
        CheckpointError: no such file, another format, damaged, or not the network of a checkpoint.
    """
    try:
        data: Bytes = np.memmap(path, np.uint8, "r").view(np.ndarray)
    except (OSError, ValueError) as error:
        # An empty file cannot be mapped.
        reason = error.strerror if isinstance(error, OSError) else "an empty file"
        raise CheckpointError(f"{path}: cannot be read: {reason}") from error
    for each in FORMATS:
        if each.recognises(data):
            return _read(each, path, data)
    expected = f"{path}: expected a deployed model ({', '.join(SUFFIXES)})"
    if zipfile.is_zipfile(path) or data[:6].tobytes().startswith(_COMPRESSED):
        raise CheckpointError(
            f"{expected}, found an archive; unpack it with `stt-bootstrap fetch {path} DIR`, and"
            " give DIR"
        )
    raise CheckpointError(f"{expected}, found a file that begins with {data[:8].tobytes()!r}")


def _read(found: Format, path: Path, data: Bytes) -> DeployedModel:
    try:
        return found.read(path, data)
    except UnreadableError as error:
        raise CheckpointError(
            f"{path}: expected the network of Coqui STT or DeepSpeech as .{found.NAME}, found"
            f" {error}; fetch it again, or give another model"
        ) from error
