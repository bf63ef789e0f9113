"""LJSpeech and M-AILABS: ``metadata.csv`` with ``|``, and a folder ``wavs`` beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.layout import beside, filled, gender, parent, text_lines
from stt_model.importing.tree import Tree

NAME = "ljspeech"
TITLE = "LJSpeech, M-AILABS"


def recognise(tree: Tree) -> bool:
    """Tell by a ``metadata.csv`` whose first line has two or three fields, and audio in wavs."""
    return any(_is_metadata(tree, name) for name in tree.seen("metadata.csv")[:3])


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield a clip per line; of two texts the normalised one, which comes last."""
    for name in tree.find("metadata.csv"):
        folder = parent(name)
        extra = _speaker(folder)
        for number, line in text_lines(tree.local(name), options.encoding):
            where = f"{name}, line {number}"
            clip, *texts = line.split("|")
            if not 1 <= len(texts) <= 2:
                found = f"expected 2 or 3 fields separated by |, found {len(texts) + 1}"
                yield SetAside(f"{folder}/{clip}".lstrip("/"), where, "fields", found)
                continue
            text = texts[-1].strip() or texts[0].strip()
            audio = beside(tree, f"{folder}/wavs".lstrip("/"), clip.strip())
            if not tree.exists(audio):
                audio = beside(tree, folder, clip.strip())
            yield Clip(
                name=f"{folder}/{clip}".lstrip("/"),
                audio=tree.place(audio),
                transcript=text,
                where=where,
                extra=extra,
            )


def _is_metadata(tree: Tree, name: str) -> bool:
    lines = tree.head(name).decode("utf-8", "replace").splitlines()
    return bool(lines) and 1 <= lines[0].count("|") <= 2 and "file_name" not in lines[0]


def _speaker(folder: str) -> dict[str, str]:
    """Return gender and speaker from M-AILABS's ``by_book/GENDER/SPEAKER/BOOK``."""
    parts = PurePosixPath(folder).parts
    if "by_book" not in parts:
        return {}
    spoken, *speaker = parts[parts.index("by_book") + 1 :][:2]
    return {} if spoken == "mix" else filled(gender=gender(spoken), speaker="".join(speaker))
