"""The little Markdown that the reports share."""

from __future__ import annotations

import re


def escape_markdown(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is, within a cell of a table too."""
    printable = "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)
    return re.sub(r"([\\`*_{}\[\]<>#|~&!$])", r"\\\1", printable)


def cell(text: str) -> str:
    """Return ``text`` in one line, so that the cell of a table shows it as it is."""
    return escape_markdown(" ".join(text.split()))
