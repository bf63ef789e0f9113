"""A folder with a text file beside each recording; VCTK's and TIMIT's layouts among them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.layout import filled, read_text, split_of
from stt_model.importing.tree import Tree, is_media

NAME = "text_beside_audio"
TITLE = "a text file beside each recording"

_SUFFIXES = (".txt", ".TXT", ".lab", ".trn", ".normalized.txt", ".original.txt")
_SAMPLES = re.compile(r"^\d+\s+\d+\s+(?=\D)")
"""TIMIT's texts begin with the first and last sample."""


def recognise(tree: Tree) -> bool:
    """Tell by the first recordings: at least half have a text."""
    clips = [name for name in tree.look if is_media(name)][:50]
    return bool(clips) and sum(bool(_text_of(tree, name)) for name in clips) * 2 >= len(clips)


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield every recording that has a text."""
    for name in tree.names():
        if not is_media(name):
            continue
        text_name = _text_of(tree, name)
        if not text_name:
            reason = f"expected a text file {PurePosixPath(name).stem}.txt beside it, found none"
            yield SetAside(name, name, "transcript_missing", reason)
            continue
        text = " ".join(read_text(tree, text_name, options.encoding).split())
        in_vctk = name.startswith("wav48")
        yield Clip(
            name=name,
            audio=tree.place(name),
            transcript=_SAMPLES.sub("", text),
            where=text_name,
            split=split_of(name),
            extra=filled(speaker=PurePosixPath(name).parent.name) if in_vctk else {},
        )


def pairs(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield every recording with the name of its text, "" where there is none."""
    for name in tree.names():
        if is_media(name):
            yield name, _text_of(tree, name)


def _text_of(tree: Tree, name: str) -> str:
    path = PurePosixPath(name)
    bases = [path.with_suffix("").as_posix(), name]
    if name.startswith("wav48"):
        stem = re.sub(r"_mic\d$", "", path.stem)
        bases.append(PurePosixPath("txt", *path.parts[1:-1], stem).as_posix())
    candidates = (base + suffix for base in bases for suffix in _SUFFIXES)
    return next(filter(tree.exists, candidates), "")
