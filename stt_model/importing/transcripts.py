"""Prepare the transcripts of a source, and find those that cannot be used."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from stt_model.text import encoding_problem


class Change(Protocol):
    """One rule that changed a transcript."""

    @property
    def rule(self) -> str:
        """Which."""

    @property
    def before(self) -> str:
        """The text before the rule."""

    @property
    def after(self) -> str:
        """The text after the rule."""


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
    if problem := encoding_problem(transcript):
        return "transcript_encoding", problem
    return None
