"""Markdown helpers that the reports share."""

from __future__ import annotations

import re


def escape_markdown(text: str) -> str:
    """Return ``text`` escaped so that Markdown shows it literally, also in a table's cell."""
    printable = "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)
    return re.sub(r"([\\`*_{}\[\]<>#|~&!$])", r"\\\1", printable)


def cell(text: str) -> str:
    """Return ``text`` in one line, escaped for a table's cell."""
    return escape_markdown(" ".join(text.split()))
