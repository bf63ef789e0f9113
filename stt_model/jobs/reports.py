"""Helpers for the jobs' reports and input files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from stt_model.base import atomic_write, cell
from stt_model.storage import local_file


def write_report(path: Path | str | None, report: str) -> None:
    """Write a report, whole or not at all; nothing if the path is None."""
    if path:
        with atomic_write(path) as beside:
            beside.write_text(report, encoding="utf-8")


def as_table(title: str, values: Mapping[str, object]) -> str:
    """Return a report with one table of named values."""
    rows = [f"# {title}", "", "| | |", "| --- | --- |"]
    for name, value in values.items():
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        rows.append(f"| {name.replace('_', ' ')} | {cell(shown)} |")
    return "\n".join(rows) + "\n"


def given_file(uri: str) -> AbstractContextManager[Path | None]:
    """Yield a local path to the file at a URI, or None for an empty URI."""
    return local_file(uri) if uri else nullcontext()
