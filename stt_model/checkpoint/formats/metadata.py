"""Metadata of deployed models, in the form that Coqui STT's runtime reads."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from stt_model.base import AlphabetError
from stt_model.checkpoint.formats.model import UnreadableError
from stt_model.text import Alphabet, BytesAlphabet, CharacterAlphabet

# Name of the model's output, and the training flag that it holds.
_SETTINGS = {
    "metadata_sample_rate": "audio_sample_rate",
    "metadata_feature_win_len": "feature_win_len",
    "metadata_feature_win_step": "feature_win_step",
    "metadata_beam_width": "export_beam_width",
    "metadata_language": "export_language",
}
NAMES = (*_SETTINGS, "metadata_alphabet")


def serialise_alphabet(alphabet: Alphabet) -> bytes:
    """Return the labels in the runtime's format.

    Little-endian: uint16 count, then for each label uint16 index, uint16 length in bytes, bytes.
    """
    # The label of a byte is the code point of the same number.
    encoding = "latin-1" if alphabet.is_bytes else "utf-8"
    parts = [struct.pack("<H", alphabet.size)]
    for index, label in enumerate(alphabet.labels):
        data = label.encode(encoding)
        parts.append(struct.pack("<HH", index, len(data)) + data)
    return b"".join(parts)


def deserialise_alphabet(data: bytes) -> Alphabet:
    """Return an alphabet that ``serialise_alphabet`` or Coqui STT wrote.

    Raises:
        AlphabetError: the data are truncated or invalid.
    """
    labels: list[bytes] = []
    position = 2
    try:
        (size,) = struct.unpack_from("<H", data)
        for _ in range(size):
            _, length = struct.unpack_from("<HH", data, position)
            labels.append(data[position + 4 : position + 4 + length])
            position += 4 + length
        if labels == [bytes([byte]) for byte in range(1, 256)]:
            return BytesAlphabet()
        return CharacterAlphabet(label.decode() for label in labels)
    except (struct.error, UnicodeDecodeError) as error:
        raise AlphabetError(f"damaged alphabet in the model: {error}") from error


def read_metadata(found: Mapping[str, int | bytes]) -> tuple[Alphabet | None, dict[str, Any]]:
    """Return the alphabet, if there is one, and the training flags.

    Raises:
        UnreadableError: something is damaged.
    """
    settings = {
        flag: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, flag in _SETTINGS.items()
        # Coqui writes the flag's help text if no language was given.
        if (value := found.get(name)) is not None and not _is_placeholder(value)
    }
    data = found.get("metadata_alphabet")
    try:
        alphabet = deserialise_alphabet(data) if isinstance(data, bytes) else None
    except AlphabetError as error:
        raise UnreadableError(str(error)) from error
    return alphabet, settings


def _is_placeholder(value: int | bytes) -> bool:
    return isinstance(value, bytes) and (not value or value.startswith(b"<"))


def check_window(samples: int, settings: Mapping[str, Any]) -> None:
    """Raise UnreadableError unless the window is as long as in the metadata."""
    rate = settings.get("audio_sample_rate", 16000)
    milliseconds = settings.get("feature_win_len", 32)
    if not isinstance(rate, int) or not isinstance(milliseconds, int):
        raise UnreadableError("damaged: audio settings that are not whole numbers")
    if samples != rate * milliseconds // 1000:
        raise UnreadableError(
            f"windows of {samples} samples, but {milliseconds} ms at {rate} Hz in the metadata"
        )
