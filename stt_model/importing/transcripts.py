"""Prepare the transcripts of a source, and find those that cannot be right."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Change(Protocol):
    """One rule that changed a transcript."""

    @property
    def rule(self) -> str:
        """Which."""

    @property
    def before(self) -> str:
        """The text that it found."""

    @property
    def after(self) -> str:
        """The text that it made of it."""


class Written(Protocol):
    """A normaliser's result for a transcript."""

    @property
    def text(self) -> str:
        """The normalised transcript."""

    @property
    def actions(self) -> Sequence[Any]:
        """A ``Change`` for each rule that changed the text."""

    @property
    def problem(self) -> str:
        """Why the clip is to be set aside, in one line; "" if it is not."""


Normalise = Callable[[str], Written]


@dataclass(frozen=True)
class Plain:
    """A transcript without the rules of a language."""

    text: str
    actions: tuple[Change, ...] = ()
    problem: str = ""


def as_it_is(transcript: str) -> Plain:
    """Return the transcript in NFC, with single spaces between words."""
    return Plain(unicodedata.normalize("NFC", " ".join(transcript.split())))


def spoilt(transcript: str) -> tuple[str, str] | None:
    """Return check and reason if a transcript is unusable even before any rule; otherwise None."""
    if not transcript.strip():
        return "transcript_blank", "expected a transcript, found none"
    if "\ufffd" in transcript:
        return "transcript_encoding", "it holds U+FFFD, so some letters were lost; export it again"
    if transcript.count("?") > 1 and not any(map(str.isalpha, transcript)):
        return (
            "transcript_encoding",
            "it holds question marks in place of letters, which are lost; export it again as UTF-8",
        )
    if repaired := _twice_encoded(transcript):
        return (
            "transcript_encoding",
            f"it was saved in the wrong encoding, perhaps of {repaired[:60]!r}; export it as UTF-8",
        )
    if _is_of_another_script(transcript):
        return (
            "transcript_encoding",
            f"nearly all its letters are accented ones ({transcript[:60]!r}), as if another script"
            " was read as Latin-1; export it as UTF-8",
        )
    return None


_WESTERN = ("cp1252", "latin-1")
_OTHERS = ("cp1250", "cp1251", "koi8-r", "cp1253", "cp1254", "mac-roman", "cp850", "cp437")
_FEWEST = 3
"""Letters that must come out right of the other encodings: one or two can be chance."""


def _twice_encoded(text: str) -> str:
    """Undo UTF-8 that was read in a one-byte encoding and saved again; "" if that is not so."""
    if text.isascii():
        return ""
    for encoding in (*_WESTERN, *_OTHERS):
        try:
            repaired = text.encode(encoding).decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            continue
        letters = sum(ord(each) > 0x7F and each.isalpha() for each in repaired)
        if repaired != text and (encoding in _WESTERN or letters >= _FEWEST):
            return repaired
    return ""


def _is_of_another_script(text: str) -> bool:
    """Tell whether hardly a letter is plain Latin, and nearly all are accented ones of Latin-1.

    No language writes so; Cyrillic or Greek of a one-byte encoding looks so when read as Latin-1.
    """
    letters = [each for each in text if each.isalpha()]
    accented = sum("\xc0" <= each <= "\xff" for each in letters)
    return len(letters) >= 2 * _FEWEST and accented * 10 >= len(letters) * 8
