"""Alphabet files: one label per line, in UTF-8."""

from __future__ import annotations

import re
from pathlib import Path

from stt_model.base import AlphabetError, atomic_write, open_regular
from stt_model.text.alphabet import Alphabet, CharacterAlphabet, problem_with_label
from stt_model.text.characters import describe_character

_LINE_END = re.compile(rb"\r\n|\r|\n")
_FILE_LIMIT = 2**24
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEADER = "# One label a line, in the order of the output layer; \\# is the label '#'.\n"
_BYTES_NOTE = "# Bytes output mode: label n is the byte n + 1 of the text in UTF-8.\n"


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
                f"{labels[label]} already; each label may occur once"
            )
        labels[label] = number
    if not labels:
        raise AlphabetError(f"{name}: expected one label per line, found none")
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
    if problem := problem_with_label(label):
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
            " with one label per line"
        )
    return parse_alphabet(data, name=str(path))


def format_alphabet(alphabet: Alphabet) -> bytes:
    """Return an alphabet file from which ``parse_alphabet`` and Coqui STT read the same labels.

    In bytes mode it is only a comment: its labels cannot be lines, and readers of such a
    checkpoint rely on its flags and its number of classes.
    """
    if alphabet.is_bytes:
        return _BYTES_NOTE.encode()
    lines = ("\\#" if label == "#" else label for label in alphabet.labels)
    return (_HEADER + "".join(f"{line}\n" for line in lines)).encode()


def write_alphabet(alphabet: Alphabet, path: Path | str) -> None:
    """Write the alphabet file whole, or not at all."""
    with atomic_write(path) as beside:
        beside.write_bytes(format_alphabet(alphabet))
