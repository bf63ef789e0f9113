"""Characters that a model need not learn: capitals, punctuation, digits, look-alikes."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable, Mapping

from stt_model.text.characters import show_characters
from stt_model.text.comparison import AlphabetComparison

_WITHIN_WORDS = frozenset("'-\u2019\u02bc\u02bb\u00b7")
"""Punctuation that may be a label: in some languages it is part of words."""
_SHOWN = 12
DECOMPOSED = "letters that are not in NFC"

FLAG_HINT = (
    "--normalise with the language's tag (such as --normalise en), or --normalise generic for a"
    " language without rules"
)


def kinds_of_missing(comparison: AlphabetComparison) -> tuple[dict[str, dict[str, int]], set[str]]:
    """Group the characters that an alphabet lacks by why a normaliser would remove them.

    Returns counts by character by kind, and the remaining characters: letters that the language
    needs.
    """
    doubles = {char for char, _ in comparison.lookalikes}
    capitals = {char for char, _ in comparison.uppercase}
    kinds: dict[str, dict[str, int]] = {}
    needed = set()
    for char, missing in comparison.missing.items():
        if char in capitals:
            kind = "capitals"
        elif char in comparison.decomposed:
            kind = DECOMPOSED
        elif char in doubles and char.isalpha():
            kind = "look-alikes"
        else:
            kind = _kind_without_labels(char)
        if kind:
            kinds.setdefault(kind, {})[char] = missing.count
        else:
            needed.add(char)
    return kinds, needed


def needless_characters(
    characters: Mapping[str, int], known: Container[str] = ()
) -> dict[str, dict[str, int]]:
    """Return capitals, punctuation, digits and invisible characters, with counts, by kind.

    ``known`` labels are left out, and so are characters that join parts of words.
    """
    kinds: dict[str, dict[str, int]] = {}
    for char, count in characters.items():
        if char in known or char in _WITHIN_WORDS or char == " ":
            continue
        kind = "capitals" if char != char.lower() else _kind_without_labels(char)
        if kind:
            kinds.setdefault(kind, {})[char] = count
    return kinds


def describe_kinds(kinds: Mapping[str, Mapping[str, int]]) -> str:
    """Return kinds with their characters, in one line: ``capitals (A B, 12 times) and …``."""
    parts = []
    for kind, counts in sorted(kinds.items(), key=lambda pair: -sum(pair[1].values())):
        ranked: Iterable[str] = sorted(counts, key=lambda char: (-counts[char], char))[:_SHOWN]
        more = " …" if len(counts) > _SHOWN else ""
        parts.append(f"{kind} ({show_characters(ranked)}{more}, {sum(counts.values())} times)")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _kind_without_labels(char: str) -> str:
    category = unicodedata.category(char)
    if category.startswith("N"):
        return "digits"
    if category[0] in "PS":
        return "punctuation"
    return "invisible characters" if category in ("Zs", "Zl", "Zp", "Cf") else ""
