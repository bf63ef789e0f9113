"""The little Markdown that the reports share."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&-])")


def cell(text: str) -> str:
    """Return free text so that a table cell shows it as it is: one line, nothing of it markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
