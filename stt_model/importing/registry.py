"""The formats that can be imported, and their detection.

To add one: a module in ``importing.formats`` and a line here.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePosixPath
from typing import cast

from stt_model.importing.clip import Format, ImportSourceError
from stt_model.importing.tables import TABLE_SUFFIXES
from stt_model.importing.tree import Tree, is_media

SPECIFIC = (
    "common_voice",
    "openslr",
    "ljspeech",
    "voxforge",
    "kaldi",
    "nemo",
    "label_studio",
    "lhotse_cuts",
    "audiofolder",
    "parquet",
    "elan",
    "textgrid",
    "subtitles",
    "stm",
    "lingua_libre",
)
"""Modules of formats with distinctive marks."""
GENERAL = ("table", "text_beside_audio", "transcript_list")
"""Modules of layouts that also occur beside those; tried in this order if none of those match."""


def known_formats() -> dict[str, Format]:
    """Return all formats by name."""
    modules = map(_load, (*SPECIFIC, *GENERAL))
    return {each.NAME: each for each in modules}


def find_format(tree: Tree, name: str = "") -> Format:
    """Return the format called ``name``, or the one that a source has.

    ImportSourceError for an unknown name, a source of no known format, or of several.
    """
    if name:
        known = known_formats()
        if name not in known:
            raise ImportSourceError(f"--format: expected one of {', '.join(known)}, found {name!r}")
        return known[name]
    if not tree.look:
        raise ImportSourceError(f"{tree.label}: expected recordings and texts, found nothing")
    found = [each for each in map(_load, SPECIFIC) if each.recognise(tree)]
    if len(found) > 1:
        both = " and ".join(f"{each.NAME} ({each.TITLE})" for each in found)
        raise ImportSourceError(
            f"{tree.label}: expected one format, found {both}; say which with --format"
            f" {found[0].NAME}, or give the folder of one of them"
        )
    if found:
        return found[0]
    if tree.only.lower().endswith(TABLE_SUFFIXES) and not tree.only.lower().endswith(".txt"):
        return _load("table")  # its own message then says which column is missing
    general = next((each for each in map(_load, GENERAL) if each.recognise(tree)), None)
    if general is None:
        for name in tree.seen(*TABLE_SUFFIXES):
            tree.head(name, 1)  # one that cannot be read is the reason
        shown = ", ".join(tree.look[:5])
        raise ImportSourceError(
            f"{tree.label}: expected one of {', '.join(known_formats())}, found files of no known"
            f" format, such as {shown}; {_hint(tree)}say what it is with --format"
        )
    return general


_OFFICE = (".xls", ".ods", ".numbers", ".doc", ".docx", ".odt", ".rtf", ".pdf")


def _hint(tree: Tree) -> str:
    """Return what a source of no known format lacks, if that is clear; otherwise ""."""
    names = {PurePosixPath(name).name for name in tree.look}
    for given, lacking in (("wav.scp", "text"), ("text", "wav.scp"), ("segments", "wav.scp")):
        if given in names and lacking not in names:
            return f"a Kaldi folder has {lacking} beside {given}; add it, or "
    if office := [name for name in tree.look if name.lower().endswith(_OFFICE)]:
        return f"save the table {office[0]} as .xlsx or CSV, or "
    if all(map(is_media, tree.look)):
        return "there are recordings without texts: add a table, or a .txt beside each, or "
    return ""


def _load(module: str) -> Format:
    return cast(Format, import_module(f"stt_model.importing.formats.{module}"))
