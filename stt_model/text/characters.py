"""Show characters in messages so that people can tell them apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_NAMED = 5
"""Maximum number of characters that a one-line message names; the rest is counted."""


def is_control(character: str) -> bool:
    """Whether a character cannot be part of a transcript: a control character or a surrogate."""
    return unicodedata.category(character) in ("Cc", "Cs")


def is_mark(character: str) -> bool:
    """Whether a character combines with the one before it, such as an accent or a vowel sign."""
    return unicodedata.category(character).startswith("M")


def show_characters(characters: Iterable[str]) -> str:
    """Return characters side by side, with invisible ones made visible: a space as ``␣``."""
    return " ".join(map(_show, characters))


def _show(character: str) -> str:
    if character == " ":
        return "\u2423"
    if not character.isprintable():
        return f"U+{ord(character):04X}"
    return ("\u25cc" if is_mark(character) else "") + character


def describe_character(character: str) -> str:
    """Return a character with number and name, to tell look-alikes apart: ``'ñ' U+00F1 NAME``."""
    name = unicodedata.name(character, "")
    shown = f"'{character if character == ' ' else _show(character)}' "
    return f"{shown if character.isprintable() else ''}U+{ord(character):04X} {name}".rstrip()


def describe_characters(characters: Iterable[str]) -> str:
    """Describe the first few characters, and say how many more there are."""
    return join_some([describe_character(character) for character in characters])


def shorten(text: str, length: int = 60) -> str:
    """Return ``text`` cut to ``length`` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def join_some(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
