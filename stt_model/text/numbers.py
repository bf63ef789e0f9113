"""Spell out numbers where there is only one way to read the digits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from stt_model.base import RulesError

# A whole number on its own: no decimal, date, time, range, ordinal or signed number.
_ALONE = re.compile(
    r"(?<![\w.,:/'\u2019+\u2212\u2013-])(?!0\d)\d{1,12}(?![\w:/'\u2019\u2013-]|[.,]\w)"
)
_YEARS = range(1100, 2100)


class NumberReader:
    """A step of the normaliser that spells out whole numbers and leaves others unchanged."""

    def __init__(self, language: str, years: str) -> None:
        """Read numbers in a language of ``num2words``; years too if they are ``cardinal``."""
        self._language = language
        self._skipped = range(0) if years == "cardinal" else _YEARS
        self._read = _import_num2words() if language else None

    def __call__(self, text: str) -> str:
        """Return the text with its numbers as words."""
        return _ALONE.sub(self._spell, text) if self._read else text

    def _spell(self, match: re.Match[str]) -> str:
        number = int(match[0])
        following = match.string[match.end() : match.end() + 1]
        is_ending = bool(following) and unicodedata.category(following).startswith("M")
        if number in self._skipped or is_ending or self._read is None:
            return match[0]
        try:
            return str(self._read(number, lang=self._language))
        except (NotImplementedError, OverflowError, ValueError, IndexError, KeyError):
            return match[0]


def _import_num2words() -> Callable[..., Any]:
    try:
        from num2words import num2words
    except ImportError as error:
        raise RulesError(
            "spelling out numbers needs num2words; install it with: pip install"
            " 'stt-bootstrap[numbers]'"
        ) from error
    return num2words
