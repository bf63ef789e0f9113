"""Any table with columns for audio and transcript; Coqui's CSV files among them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from stt_model.importing.clip import Clip, Found, ImportSourceError, Notes, Options, SetAside
from stt_model.importing.columns import KEPT, describe, map_columns
from stt_model.importing.layout import beside, filled, gender, parent, split_of
from stt_model.importing.tables import TABLE_SUFFIXES, Row, Table, open_table
from stt_model.importing.tree import Tree

NAME = "table"
TITLE = "a CSV, TSV or Excel table with columns for audio and transcript"

_LOOK = 50
_ODD = ("", "nan", "none", "null", "n/a")


def recognise(tree: Tree) -> bool:
    """Tell by a table whose columns for audio and transcript can be found."""
    return any(_mapped(tree, name, Options({})) for name in _tables(tree)[:5])


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield a clip per row of every table that has the columns."""
    names = [tree.only] if tree.only else _tables(tree)
    mapped = 0
    for name in names:
        found = _mapped(tree, name, options)
        if found is None and len(names) > 1:
            notes.add(f"{name}: left out, as it has no columns for audio and transcript")
            continue
        table, mapping = found or _must_map(tree, name, options)
        mapped += 1
        notes.add(f"{name}: {describe(mapping)}")
        if table.encoding not in ("utf-8-sig", "utf-8"):
            notes.add(f"{name}: read as {table.encoding}, as it is not UTF-8")
        if table.left_out:
            read, left = (", ".join(map(repr, each)) for each in (table.sheets, table.left_out))
            notes.add(f"{name}: read the sheets {read}, not {left}")
        for row in table.rows():
            yield _found(tree, name, row, mapping)
    if not mapped:
        raise ImportSourceError(
            f"{tree.label}: expected a table with columns for audio and transcript, found"
            f" {', '.join(names[:5]) or 'no table'}"
        )


def table_columns(row: Row, mapping: dict[str, str]) -> dict[str, str]:
    """Return the further columns of a row; those of known roles under the roles' names."""
    known = {mapping[role]: role for role in KEPT if role in mapping}
    used = {column for role, column in mapping.items() if role not in KEPT}
    values = {known.get(c, c): v for c, v in row.values.items() if c not in used}
    if "gender" in values:
        values["gender"] = gender(values["gender"])
    values.pop("wav_filesize", None)
    return filled(**values)


def _found(tree: Tree, name: str, row: Row, mapping: dict[str, str]) -> Found:
    where = f"{name}, row {row.number}"
    audio = row.values[mapping["audio"]].strip()
    transcript = row.values[mapping["transcript"]]
    if row.problem or audio.lower() in _ODD:
        reason = row.problem or "expected the name of a recording, found none"
        return SetAside(f"{name}#{row.number}", where, "fields", reason, transcript)
    try:
        start, end = _seconds(row, mapping)
    except ValueError as error:
        return SetAside(f"{name}#{row.number}", where, "times", str(error), transcript)
    place = beside(tree, parent(name), audio)
    split = row.values.get(mapping.get("split", ""), "") or name
    return Clip(
        name=audio if end is None else f"{audio}#{start:.3f}-{end:.3f}",
        audio=tree.place(place),
        transcript=transcript,
        where=where,
        start=start,
        end=end,
        split=split_of(split),
        extra=table_columns(row, mapping),
    )


def _seconds(row: Row, mapping: dict[str, str]) -> tuple[float, float | None]:
    """Return where the utterance begins and ends, if the table has columns for both."""
    start, end = (row.values.get(mapping.get(role, ""), "").strip() for role in ("start", "end"))
    if not start or not end:
        return 0.0, None
    try:
        return float(start.replace(",", ".")), float(end.replace(",", "."))
    except ValueError:
        raise ValueError(f"expected seconds, found {start!r} and {end!r}") from None


def _tables(tree: Tree) -> list[str]:
    if tree.only:
        return [tree.only] if tree.only.lower().endswith(TABLE_SUFFIXES) else []
    suffixes = tuple(suffix for suffix in TABLE_SUFFIXES if suffix != ".txt")
    return tree.seen(*suffixes)


def _must_map(tree: Tree, name: str, options: Options) -> tuple[Table, dict[str, str]]:
    table = open_table(tree.local(name), encoding=options.encoding)
    rows = []
    # If rows cannot be separated, reading them reports it.
    with suppress(ImportSourceError):
        for row in islice(table.rows(), _LOOK):
            rows.append(row.values)
    return table, map_columns(tree.label, table.columns, options.columns, rows)


def _mapped(tree: Tree, name: str, options: Options) -> tuple[Table, dict[str, str]] | None:
    try:
        return _must_map(tree, name, options)
    except ImportSourceError:
        return None
