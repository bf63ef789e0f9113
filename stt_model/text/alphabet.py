"""Text to labels and back."""

from __future__ import annotations

import hashlib
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from stt_model.base import AlphabetError
from stt_model.text.characters import describe_character, describe_characters, is_control, shorten


class Alphabet(ABC):
    """The classes of the output layer: labels 0 to ``size - 1``, then the blank. Immutable."""

    labels: tuple[str, ...]
    is_bytes: bool

    @property
    def size(self) -> int:
        """The number of labels, without the blank."""
        return len(self.labels)

    @property
    def blank(self) -> int:
        """The class of the CTC blank: the last one."""
        return self.size

    @property
    def classes(self) -> int:
        """The width of the output layer: the labels and the blank."""
        return self.size + 1

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the kind of alphabet and its labels in order."""
        kind = "bytes" if self.is_bytes else "characters"
        return hashlib.sha256("\n".join((kind, *self.labels)).encode()).hexdigest()

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the labels of ``text``; AlphabetError names characters without a label."""

    @abstractmethod
    def decode(self, labels: Iterable[int]) -> str:
        """Return the text of ``labels``; AlphabetError for an invalid label."""

    @abstractmethod
    def missing(self, text: str) -> set[str]:
        """Return the characters of ``text`` that ``encode`` would refuse."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Alphabet):
            return NotImplemented
        return (self.is_bytes, self.labels) == (other.is_bytes, other.labels)

    def __hash__(self) -> int:
        return hash((self.is_bytes, self.labels))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size} labels)"

    def _refuse(self, text: str) -> AlphabetError:
        return AlphabetError(
            f"the alphabet of {self.size} labels cannot write "
            f"{describe_characters(sorted(self.missing(text)))} in {shorten(text)!r}"
        )

    def _check_labels(self, labels: Iterable[int]) -> list[int]:
        numbers = [int(label) for label in labels]
        for number in numbers:
            if not 0 <= number < self.size:
                raise AlphabetError(f"label {number} is not in the alphabet: 0 to {self.size - 1}")
        return numbers


class CharacterAlphabet(Alphabet):
    """Labels that are code points, in the order of the output layer.

    AlphabetError unless there is at least one label and all are single, unique code points, without
    line ends, NUL and surrogates, which an alphabet file cannot hold.
    """

    is_bytes = False

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = tuple(labels)
        if not self.labels:
            raise AlphabetError("an alphabet needs at least one label, found none")
        self._index: dict[str, int] = {}
        for number, label in enumerate(self.labels):
            if problem := problem_with_label(label):
                raise AlphabetError(f"label {number}: {problem}")
            if label in self._index:
                raise AlphabetError(
                    f"label {number}: {describe_character(label)} is label "
                    f"{self._index[label]} already"
                )
            self._index[label] = number

    def encode(self, text: str) -> list[int]:
        """Return one label for each code point of ``text``, without normalising it."""
        try:
            return [self._index[character] for character in text]
        except KeyError:
            raise self._refuse(text) from None

    def decode(self, labels: Iterable[int]) -> str:
        """Return one code point for each label."""
        return "".join(self.labels[label] for label in self._check_labels(labels))

    def missing(self, text: str) -> set[str]:
        """Return the code points of ``text`` that have no label."""
        return set(text) - self._index.keys()


class BytesAlphabet(Alphabet):
    """Bytes output mode: 255 labels, label = byte - 1, so any text without NUL can be written.

    ``labels`` holds each byte as the code point of the same number (Latin-1).
    """

    is_bytes = True
    labels = tuple(chr(byte) for byte in range(1, 256))

    def encode(self, text: str) -> list[int]:
        """Return one label for each byte of ``text`` in UTF-8."""
        if self.missing(text):
            raise self._refuse(text)
        return [byte - 1 for byte in text.encode()]

    def decode(self, labels: Iterable[int]) -> str:
        """Return the text; invalid UTF-8 becomes U+FFFD."""
        data = bytes(label + 1 for label in self._check_labels(labels))
        return data.decode("utf-8", errors="replace")

    def missing(self, text: str) -> set[str]:
        """Return NUL and lone surrogates, which have no label."""
        return {character for character in set(text) if _is_unwritable(character)}


def normalise(text: str) -> str:
    """Return ``text`` in NFC, the form that this project compares and trains on."""
    return unicodedata.normalize("NFC", text)


def build_alphabet(
    transcripts: Iterable[str], order: Literal["frequency", "codepoint"] = "codepoint"
) -> CharacterAlphabet:
    """Return an alphabet of all code points of the transcripts in NFC.

    A combining mark without a composed form becomes a label of its own.
    ``order`` is by code point, or by descending frequency (ties by code point).
    Nothing is dropped: AlphabetError names a transcript with a control character.
    """
    counts: Counter[str] = Counter()
    for number, transcript in enumerate(transcripts, start=1):
        characters = Counter(normalise(transcript))
        if control := sorted(filter(is_control, characters)):
            raise AlphabetError(
                f"transcript {number} ({shorten(transcript)!r}) holds "
                f"{describe_characters(control)}, which cannot be a label; remove it from the text"
            )
        counts.update(characters)
    if not counts:
        raise AlphabetError("an alphabet cannot be built: the transcripts hold no character")
    if order == "frequency":
        return CharacterAlphabet(sorted(counts, key=lambda label: (-counts[label], label)))
    return CharacterAlphabet(sorted(counts))


def _is_unwritable(character: str) -> bool:
    return character == "\0" or unicodedata.category(character) == "Cs"


def problem_with_label(label: str) -> str | None:
    """Return why a label is invalid, None if it is valid."""
    if len(label) != 1:
        return f"expected one code point, found {len(label)}: {shorten(label)!r}"
    if label in "\r\n" or _is_unwritable(label):
        return f"{describe_character(label)} cannot be a label"
    return None
