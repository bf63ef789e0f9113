"""Lingua Libre: a folder per speaker, each recording named after its word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from stt_model.importing.clip import Clip, Found, Notes, Options
from stt_model.importing.layout import filled
from stt_model.importing.tree import Tree, is_media

NAME = "lingua_libre"
TITLE = "Lingua Libre: recordings named by what is said"


def recognise(tree: Tree) -> bool:
    """Return False: names are rarely transcripts. Give ``--format lingua_libre``."""
    return False


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield every recording, its name as transcript, its folder as speaker."""
    for name in tree.names():
        if is_media(name):
            path = PurePosixPath(name)
            yield Clip(
                name=name,
                audio=tree.place(name),
                transcript=unquote(path.stem).replace("_", " "),
                where=name,
                extra=filled(speaker=path.parent.name),
            )
