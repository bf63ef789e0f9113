"""Hugging Face Parquet files with the audio inside."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from stt_model.importing.clip import Clip, Found, ImportSourceError, Notes, Options, SetAside, needs
from stt_model.importing.columns import describe, map_columns
from stt_model.importing.formats.table import table_columns
from stt_model.importing.layout import beside, parent, split_of
from stt_model.importing.tables import Row
from stt_model.importing.tree import Tree

NAME = "parquet"
TITLE = "Hugging Face Parquet with audio inside"

_ROWS_AT_ONCE = 64


def recognise(tree: Tree) -> bool:
    """Tell by the suffix ``.parquet`` and the file's first bytes."""
    return any(tree.head(name, 4) == b"PAR1" for name in tree.seen(".parquet")[:3])


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield a clip per row."""
    arrow = needs("pyarrow", "pyarrow", TITLE)
    parquet = needs("pyarrow.parquet", "pyarrow", TITLE)
    for name in tree.find(".parquet"):
        path = tree.local(name)
        try:
            with parquet.ParquetFile(path) as file:
                yield from _clips(tree, name, file, options, notes)
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise ImportSourceError(f"{path}: expected whole Parquet, found: {error}") from error


def _clips(tree: Tree, name: str, file: Any, options: Options, notes: Notes) -> Iterator[Found]:
    columns = tuple(file.schema_arrow.names)
    embedded = [field.name for field in file.schema_arrow if _holds_audio(field.type)]
    given = {"audio": embedded[0], **options.columns} if embedded else options.columns
    mapping = map_columns(str(tree.local(name)), columns, given)
    notes.add(f"{name}: {describe(mapping)}")
    number = 0
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
        for values in batch.to_pylist():
            number += 1
            yield _found(tree, name, number, values, mapping)


def _found(
    tree: Tree, name: str, number: int, values: dict[str, Any], mapping: dict[str, str]
) -> Found:
    where = f"{name}, row {number}"
    audio = values[mapping["audio"]]
    data = audio.get("bytes") if isinstance(audio, dict) else None
    path = (audio.get("path") if isinstance(audio, dict) else audio) or ""
    text = str(values[mapping["transcript"]] or "")
    if not isinstance(path, str):
        reason = f"expected audio, or the name of a recording, found {str(path)[:60]!r}"
        return SetAside(f"{name}#{number}", where, "fields", reason, text)
    if not data and not path:
        return SetAside(f"{name}#{number}", where, "audio_missing", "no audio in the row", text)
    plain = {key: _plain(value) for key, value in values.items() if key != mapping["audio"]}
    clip_name = f"{name}#{number}"
    suffix = PurePosixPath(path).suffix or ".wav"
    return Clip(
        name=clip_name,
        audio=f"{clip_name}{suffix}" if data else tree.place(beside(tree, parent(name), path)),
        content=partial(bytes, data) if data else None,
        transcript=text,
        where=where,
        split=split_of(values.get("split") or name),
        extra=table_columns(Row(number, plain), mapping),
    )


def _holds_audio(kind: Any) -> bool:
    names = {kind.field(at).name for at in range(getattr(kind, "num_fields", 0))}
    return {"bytes", "path"} <= names


def _plain(value: object) -> str:
    return str(value) if isinstance(value, (str, int, float, bool)) else ""
