"""What the jobs' reports and given files share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from stt_model.base import atomic_write, cell
from stt_model.storage import local_file


def write_report(path: Path | None, report: str) -> None:
    """Write a report whole or not at all; None writes nothing."""
    if path:
        with atomic_write(path) as beside:
            beside.write_text(report, encoding="utf-8")


def as_table(title: str, values: Mapping[str, object]) -> str:
    """Return values by name as a report with one table."""
    rows = [f"# {title}", "", "| | |", "| --- | --- |"]
    for name, value in values.items():
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        rows.append(f"| {name.replace('_', ' ')} | {cell(shown)} |")
    return "\n".join(rows) + "\n"


def given_file(uri: str) -> AbstractContextManager[Path | None]:
    """Yield where the file that a URI names lies on this machine, or None for an empty URI."""
    return local_file(uri) if uri else nullcontext()
