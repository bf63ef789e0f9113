"""Hugging Face ``audiofolder``: ``metadata.csv`` or ``metadata.jsonl`` with ``file_name``."""

from __future__ import annotations

from collections.abc import Iterator

from stt_model.base import parse_json
from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.columns import map_columns
from stt_model.importing.formats.table import table_columns
from stt_model.importing.layout import beside, parent, split_of, text_lines, without_empty
from stt_model.importing.tables import Row, open_table
from stt_model.importing.tree import Tree

NAME = "audiofolder"
TITLE = "Hugging Face audiofolder"

_NAMES = ("metadata.csv", "metadata.jsonl")


def recognise(tree: Tree) -> bool:
    """Tell by metadata with a ``file_name``."""
    return any(
        b"file_name" in tree.head(name).partition(b"\n")[0] for name in tree.seen(*_NAMES)[:3]
    )


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the recordings that the metadata of any folder names."""
    for name in tree.find(*_NAMES):
        mapping: dict[str, str] = {}
        for where, row in _rows(tree, name, options):
            if not mapping:
                given = {"audio": "file_name", **options.columns}
                mapping = map_columns(name, tuple(row.values), given, [row.values])
            audio = row.values.get("file_name", "")
            if row.problem or not audio:
                reason = row.problem or "expected a file_name, found none"
                yield SetAside(f"{name}#{row.number}", where, "fields", reason)
                continue
            place = beside(tree, parent(name), audio)
            yield Clip(
                name=place,
                audio=tree.place(place),
                transcript=row.values.get(mapping["transcript"], ""),
                where=where,
                split=split_of(place),
                extra=table_columns(row, mapping),
            )


def _rows(tree: Tree, name: str, options: Options) -> Iterator[tuple[str, Row]]:
    if name.endswith(".csv"):
        for row in open_table(tree.local(name), encoding=options.encoding).rows():
            yield f"{name}, row {row.number}", row
        return
    for number, line in text_lines(tree.local(name), options.encoding):
        try:
            yield f"{name}, line {number}", Row(number, without_empty(parse_json(line)))
        except (ValueError, AttributeError) as error:
            yield f"{name}, line {number}", Row(number, {}, f"expected JSON, found {error}")
