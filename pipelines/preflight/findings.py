"""Findings of checks, as a table or as JSON."""

from __future__ import annotations

import enum
import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias


class Status(str, enum.Enum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """A run may still succeed."""
    FAILED = "failed"
    """A run would fail, or wait forever."""
    SKIPPED = "skipped"
    """Not checked, because of another finding or because it was not asked for."""


@dataclass(frozen=True)
class Finding:
    """What was found and, unless it is fine, what to do. Neither holds the value of a secret."""

    status: Status
    found: str
    remedy: str = ""
    check: str = ""


Findings: TypeAlias = Iterator[Finding]


def ok(found: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(Status.OK, found)


def warning(found: str, remedy: str) -> Finding:
    """Return a finding with which a run may still succeed."""
    return Finding(Status.WARNING, found, remedy)


def failed(found: str, remedy: str) -> Finding:
    """Return a finding with which a run would fail."""
    return Finding(Status.FAILED, found, remedy)


def skipped(why: str) -> Finding:
    """Return a finding that says why nothing was checked."""
    return Finding(Status.SKIPPED, why)


def as_table(findings: Sequence[Finding], width: int = 100) -> str:
    """Return one paragraph per finding: status, check, what was found, and below it the remedy."""
    names = max((len(finding.check) for finding in findings), default=0)
    indent = " " * (len(Status.WARNING.value) + names + 4)
    lines = []
    for finding in findings:
        start = f"{finding.status.value:<7}  {finding.check:<{names}}  "
        lines += _wrap(finding.found, start, indent, width)
        if finding.remedy:
            lines += _wrap(finding.remedy, f"{indent}-> ", f"{indent}   ", width)
    return "\n".join(lines)


def _wrap(text: str, start: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def as_json(findings: Sequence[Finding]) -> str:
    """Return an object with ``passed`` and the list ``findings``."""
    passed = not any(finding.status is Status.FAILED for finding in findings)
    return json.dumps(
        {"passed": passed, "findings": [asdict(finding) for finding in findings]},
        indent=2,
        ensure_ascii=False,
    )
