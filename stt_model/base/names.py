"""Hints for names that are not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def name_hint(name: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" with the known name that resembles this one, or all known names."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
