"""Common Voice: a folder per language with ``clips/`` and tables such as ``validated.tsv``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.layout import beside, filled, gender, parent, split_of
from stt_model.importing.tables import open_table
from stt_model.importing.tree import Tree

NAME = "common_voice"
TITLE = "Common Voice"
RENAMED = {"client_id": "speaker", "accents": "accent", "sex": "gender"}
"""Its columns, and their names in the imported corpus."""
PREFERS_NEW_SPLITS = True
"""The released splits hold one clip per sentence, a small part of the validated clips."""
_RELEASED = ("train.tsv", "dev.tsv", "test.tsv")
_UNVALIDATED = ("other.tsv", "invalidated.tsv")


def recognise(tree: Tree) -> bool:
    """Tell by a table with ``client_id``, ``path`` and ``sentence``."""
    tables = [name for name in tree.seen(".tsv") if _base(name) in ("validated.tsv", *_RELEASED)]
    return any(_is_common_voice(tree, name) for name in tables[:3])


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield all validated clips, or those of the released splits."""
    wanted = _RELEASED if options.released_splits else ("validated.tsv",)
    tables = [name for name in tree.find(".tsv") if _base(name) in wanted]
    if not tables:
        wanted = _RELEASED
        tables = [name for name in tree.find(".tsv") if _base(name) in wanted]
        notes.add("there is no validated.tsv: the clips of the released splits are used")
    if left := [name for name in tree.seen(".tsv") if _base(name) in _UNVALIDATED]:
        notes.add(f"clips that are not validated are left out: {', '.join(left)}")
    for name in tables:
        yield from _clips(tree, name, options)


def _clips(tree: Tree, name: str, options: Options) -> Iterator[Found]:
    # These tables are not quoted: quotation marks belong to the sentences.
    table = open_table(tree.local(name), encoding=options.encoding, quoted=False)
    folder = f"{parent(name)}/clips".lstrip("/")
    for row in table.rows():
        where = f"{name}, row {row.number}"
        values = {RENAMED.get(key, key): value for key, value in row.values.items()}
        path, sentence = values.pop("path", ""), values.pop("sentence", "")
        if row.problem or not path:
            yield SetAside(f"{name}#{row.number}", where, "fields", row.problem or "no path")
            continue
        if "gender" in values:
            values["gender"] = gender(values["gender"])
        yield Clip(
            name=path,
            audio=tree.place(beside(tree, folder, path)),
            transcript=sentence,
            where=where,
            split=split_of(_base(name)) if _base(name) in _RELEASED else "",
            extra=filled(**values),
        )


def _is_common_voice(tree: Tree, name: str) -> bool:
    header = tree.head(name).partition(b"\n")[0].decode("utf-8", "replace")
    return {"client_id", "path", "sentence"} <= set(header.lstrip("\ufeff").strip().split("\t"))


def _base(name: str) -> str:
    return PurePosixPath(name).name.lower()
