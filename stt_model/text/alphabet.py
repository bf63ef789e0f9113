"""Text to labels and back, alphabet files, and how well an alphabet fits a corpus.

A label is one Unicode code point, or, in bytes output mode, one byte of the text in UTF-8.
The blank of CTC is never a label: it is the class after the last one.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stt_model.base import AlphabetError, atomic_write, escape_markdown, open_regular

_LINE_END = re.compile(rb"\r\n|\r|\n")
_FILE_LIMIT = 2**24
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEADER = "# One label a line, in the order of the output layer; \\# is the label '#'.\n"
_BYTES_NOTE = "# Bytes output mode: label n is the byte n + 1 of the text in UTF-8.\n"
_NAMED = 5
"""Characters that a one-line message names before it only counts the rest."""
_TABLED = 40
"""Missing characters that the report lists."""


class Alphabet(ABC):
    """What the output layer can write: labels 0 to ``size - 1``, then the blank. Immutable."""

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
        """SHA-256, in hexadecimal, of the kind of alphabet and its labels in their order."""
        kind = "bytes" if self.is_bytes else "characters"
        return hashlib.sha256("\n".join((kind, *self.labels)).encode()).hexdigest()

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the labels of ``text``; AlphabetError names the characters it cannot write."""

    @abstractmethod
    def decode(self, labels: Iterable[int]) -> str:
        """Return the text of ``labels``; AlphabetError for a number that is no label."""

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

    AlphabetError unless they are at least one, single code points, unique, and none of them a
    line end, NUL or surrogate, which an alphabet file cannot hold.
    """

    is_bytes = False

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = tuple(labels)
        if not self.labels:
            raise AlphabetError("an alphabet needs at least one label, found none")
        self._index: dict[str, int] = {}
        for number, label in enumerate(self.labels):
            if problem := _problem_with_label(label):
                raise AlphabetError(f"label {number}: {problem}")
            if label in self._index:
                raise AlphabetError(
                    f"label {number}: {describe_character(label)} is label "
                    f"{self._index[label]} already"
                )
            self._index[label] = number

    def encode(self, text: str) -> list[int]:
        """Return one label for each code point of ``text``, as it is written (no normal form)."""
        try:
            return [self._index[character] for character in text]
        except KeyError:
            raise self._refuse(text) from None

    def decode(self, labels: Iterable[int]) -> str:
        """Return one code point for each label."""
        return "".join(self.labels[label] for label in self._check_labels(labels))

    def missing(self, text: str) -> set[str]:
        """Return the code points of ``text`` that are no labels."""
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
        """Return the text; bytes that are no UTF-8 become U+FFFD."""
        data = bytes(label + 1 for label in self._check_labels(labels))
        return data.decode("utf-8", errors="replace")

    def missing(self, text: str) -> set[str]:
        """Return NUL and lone surrogates, which have no label."""
        return {character for character in set(text) if _is_unwritable(character)}


def parse_alphabet(data: bytes, name: str = "alphabet") -> CharacterAlphabet:
    r"""Read the content of an alphabet file in Coqui's form.

    One label a line in UTF-8; ``#`` starts a comment, ``\#`` is the label ``#``, a line of one
    space is the space; LF, CRLF and CR end a line; empty lines and a byte order mark are skipped.
    AlphabetError names ``name`` and the line.
    """
    labels: dict[str, int] = {}
    lines = _LINE_END.split(data.removeprefix(_BYTE_ORDER_MARK))
    for number, line in enumerate(lines, start=1):
        if not line or (line.startswith(b"#")):
            continue
        label = _parse_label(line, where=f"{name}, line {number}")
        if label in labels:
            raise AlphabetError(
                f"{name}, line {number}: {describe_character(label)} is on line "
                f"{labels[label]} already; each label may be there once"
            )
        labels[label] = number
    if not labels:
        raise AlphabetError(f"{name}: expected one label a line, found none")
    return CharacterAlphabet(labels)


def _parse_label(line: bytes, where: str) -> str:
    try:
        label = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AlphabetError(
            f"{where}: expected UTF-8, found {line[:16]!r} ({error.reason}); save the file as UTF-8"
        ) from error
    if label == "\\#":
        return "#"
    if problem := _problem_with_label(label):
        raise AlphabetError(f"{where}: {problem}")
    return label


def read_alphabet(path: Path | str) -> CharacterAlphabet:
    """Read an alphabet file; AlphabetError names the file and the line."""
    try:
        with open_regular(path) as file:
            data = file.read(_FILE_LIMIT + 1)
    except OSError as error:
        raise AlphabetError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > _FILE_LIMIT:
        raise AlphabetError(
            f"{path}: expected an alphabet, found more than {_FILE_LIMIT} bytes; give a text file"
            " with one label a line"
        )
    return parse_alphabet(data, name=str(path))


def format_alphabet(alphabet: Alphabet) -> bytes:
    """Return an alphabet file that ``parse_alphabet`` and Coqui STT read back as the same labels.

    In bytes mode nothing but a comment: its labels cannot be lines, and readers of such a
    checkpoint go by its flags and its number of classes.
    """
    if alphabet.is_bytes:
        return _BYTES_NOTE.encode()
    lines = ("\\#" if label == "#" else label for label in alphabet.labels)
    return (_HEADER + "".join(f"{line}\n" for line in lines)).encode()


def write_alphabet(alphabet: Alphabet, path: Path | str) -> None:
    """Write the alphabet file whole, or not at all."""
    with atomic_write(path) as beside:
        beside.write_bytes(format_alphabet(alphabet))


def normalise(text: str) -> str:
    """Return ``text`` in NFC, the form in which this project compares and trains on transcripts."""
    return unicodedata.normalize("NFC", text)


def build_alphabet(
    transcripts: Iterable[str], order: Literal["frequency", "codepoint"] = "codepoint"
) -> CharacterAlphabet:
    """Return an alphabet of every code point that the transcripts hold in NFC.

    A combining mark that has no composed form with its letter becomes a label of its own.
    ``order`` is by code point, or by falling frequency (ties by code point).
    Nothing is dropped: AlphabetError names the transcript that holds a control character.
    """
    counts: Counter[str] = Counter()
    for number, transcript in enumerate(transcripts, start=1):
        characters = Counter(normalise(transcript))
        if control := sorted(filter(is_control, characters)):
            raise AlphabetError(
                f"transcript {number} ({shorten(transcript)!r}) holds "
                f"{describe_characters(control)}, which cannot be a label; take it out of the text"
            )
        counts.update(characters)
    if not counts:
        raise AlphabetError("an alphabet cannot be built: the transcripts hold no character")
    if order == "frequency":
        return CharacterAlphabet(sorted(counts, key=lambda label: (-counts[label], label)))
    return CharacterAlphabet(sorted(counts))


@dataclass(frozen=True)
class MissingCharacter:
    """A character that an alphabet lacks: how often it occurs, and the first place."""

    char: str
    count: int
    example: str
    """The first transcript that holds it."""
    line: int
    """The place of that transcript in the order given, from 1."""


@dataclass(frozen=True)
class AlphabetComparison:
    """How an alphabet fits transcripts; ``missing`` decides, the rest explains and advises."""

    size: int
    """Labels of the alphabet."""
    transcripts: int
    missing: Mapping[str, MissingCharacter]
    unused: tuple[str, ...]
    """Labels that no transcript holds."""
    lookalikes: tuple[tuple[str, str], ...]
    """Missing character, and the label that it can be taken for (Unicode TR39)."""
    uppercase: tuple[tuple[str, str], ...]
    """Missing capital, and the label that is its lower case."""
    decomposed: tuple[str, ...]
    """Missing characters that are gone once the transcripts are in NFC."""
    marks: tuple[str, ...]
    """Missing combining marks that stay in NFC and need a label of their own."""
    digits: tuple[str, ...]
    control: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether every transcript can be written with the alphabet as it is."""
        return not self.missing

    def to_dict(self) -> dict[str, object]:
        """Return the comparison as JSON can hold it."""
        return {
            "fits": self.fits,
            "labels": self.size,
            "transcripts": self.transcripts,
            "missing": [vars(character) for character in self._by_count()],
            "unused": list(self.unused),
            "lookalikes": [list(pair) for pair in self.lookalikes],
            "uppercase": [list(pair) for pair in self.uppercase],
            "decomposed": list(self.decomposed),
            "marks": list(self.marks),
            "digits": list(self.digits),
            "control": list(self.control),
        }

    def describe_missing(self) -> str:
        """Return the missing characters with their counts and one example, in one line."""
        ranked = self._by_count()
        names = [f"{describe_character(each.char)} ({each.count} times)" for each in ranked]
        first = ranked[0]
        return f"{_join_some(names)}, first in transcript {first.line}: {shorten(first.example)!r}"

    def to_markdown(self) -> str:
        """Return the comparison as a Markdown section, with what to do about each finding."""
        lines = [
            f"{self.size} labels against {self.transcripts} transcripts: "
            + ("every character has a label." if self.fits else f"{len(self.missing)} lack one."),
            "",
        ]
        if self.missing:
            lines += ["| missing | count | first transcript |", "| --- | ---: | --- |"]
            lines += [
                f"| {escape_markdown(describe_character(each.char))} | {each.count} "
                f"| {each.line}: {escape_markdown(shorten(each.example, 80))} |"
                for each in self._by_count()[:_TABLED]
            ]
            lines.append("")
        if (more := len(self.missing) - _TABLED) > 0:
            rest = (each.char for each in self._by_count()[_TABLED:])
            lines += [f"and {more} more: {escape_markdown(show_characters(rest))}", ""]
        lines += [f"- {advice}" for advice in self._advice()]
        return "\n".join(lines).rstrip() + "\n"

    def _by_count(self) -> list[MissingCharacter]:
        return sorted(self.missing.values(), key=lambda each: (-each.count, each.char))

    def _advice(self) -> list[str]:
        alike = (
            f"{describe_character(char)} for {show_characters(label)}"
            for char, label in self.lookalikes
        )
        sections = {
            "Look-alikes (replace them if the label was meant)": ", ".join(alike),
            "Capitals whose small letter is a label (write the transcripts in lower case)":
                show_characters(capital for capital, _ in self.uppercase),
            "Decomposed letters (write the transcripts in NFC and these are gone)":
                ", ".join(map(describe_character, self.decomposed)),
            "Combining marks without a composed form (each needs a label of its own)":
                ", ".join(map(describe_character, self.marks)),
            "Digits (spell the numbers out as they are spoken)": show_characters(self.digits),
            "Control characters (take them out of the transcripts)": show_characters(self.control),
            "Labels that no transcript uses": show_characters(self.unused),
        }  # fmt: skip
        return [f"{title}: {escape_markdown(found)}" for title, found in sections.items() if found]


def compare_alphabet(alphabet: Alphabet, transcripts: Iterable[str]) -> AlphabetComparison:
    """Compare the text as it is written with what the alphabet can write.

    ``transcripts`` is read once. Code points are compared one by one, so that a letter and its
    combining mark count as two characters where NFC has no single one for them.
    """
    missing: dict[str, MissingCharacter] = {}
    missing_in_nfc: set[str] = set()
    used: set[str] = set()
    number = 0
    for number, transcript in enumerate(transcripts, start=1):
        used.update(_labels_used(alphabet, transcript))
        missing_in_nfc |= alphabet.missing(normalise(transcript))
        for char in alphabet.missing(transcript):
            seen = missing.get(char, MissingCharacter(char, 0, transcript, number))
            count = seen.count + transcript.count(char)
            missing[char] = MissingCharacter(char, count, seen.example, seen.line)

    def lacking(test: Callable[[str], bool]) -> tuple[str, ...]:
        return tuple(sorted(filter(test, missing)))

    labels = () if alphabet.is_bytes else alphabet.labels
    return AlphabetComparison(
        size=alphabet.size,
        transcripts=number,
        missing=missing,
        unused=tuple(label for label in labels if label not in used),
        lookalikes=_lookalikes(missing, labels),
        uppercase=tuple((char, char.lower()) for char in lacking(lambda c: c.lower() in labels)),
        decomposed=lacking(lambda char: char not in missing_in_nfc),
        marks=lacking(lambda char: char in missing_in_nfc and is_mark(char)),
        digits=lacking(str.isdigit),
        control=lacking(is_control),
    )


def _labels_used(alphabet: Alphabet, text: str) -> set[str]:
    return set() if alphabet.is_bytes else set(text)


def _lookalikes(missing: Iterable[str], labels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    # A megabyte of tables, read only once there is something to look up.
    from confusable_homoglyphs import categories, confusables

    pairs = []
    for char in sorted(missing):
        alike = {entry["c"] for entry in confusables.confusables_data.get(char, ())}
        for label in labels:
            # Latin I and l, or the digit 1, are confusable too, but nobody types one for the other.
            scripts = {categories.alias(char), categories.alias(label)}
            if label in alike and not char.isdigit() and (len(scripts) > 1 or "COMMON" in scripts):
                pairs.append((char, label))
    return tuple(pairs)


def is_control(character: str) -> bool:
    """Whether a character can be no part of a transcript: a control character or a surrogate."""
    return unicodedata.category(character) in ("Cc", "Cs")


def is_mark(character: str) -> bool:
    """Whether a character joins the one before it: an accent, a vowel sign."""
    return unicodedata.category(character).startswith("M")


def show_characters(characters: Iterable[str]) -> str:
    """Return characters side by side, each as a reader can see it: a space as ``␣``."""
    return " ".join(map(_show, characters))


def _show(character: str) -> str:
    if character == " ":
        return "\u2423"
    if not character.isprintable():
        return f"U+{ord(character):04X}"
    return ("\u25cc" if is_mark(character) else "") + character


def describe_character(character: str) -> str:
    """Return a character as a reader can tell it from its look-alikes: ``'ñ' U+00F1 NAME``."""
    name = unicodedata.name(character, "")
    shown = f"'{character if character == ' ' else _show(character)}' "
    return f"{shown if character.isprintable() else ''}U+{ord(character):04X} {name}".rstrip()


def describe_characters(characters: Iterable[str]) -> str:
    """Return the first few characters described, and how many more there are."""
    return _join_some([describe_character(character) for character in characters])


def shorten(text: str, length: int = 60) -> str:
    """Return ``text`` cut to ``length`` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _join_some(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _is_unwritable(character: str) -> bool:
    return character == "\0" or unicodedata.category(character) == "Cs"


def _problem_with_label(label: str) -> str | None:
    if len(label) != 1:
        return f"expected one code point, found {len(label)}: {shorten(label)!r}"
    if label in "\r\n" or _is_unwritable(label):
        return f"{describe_character(label)} cannot be a label"
    return None
