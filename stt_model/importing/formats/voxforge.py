"""VoxForge: a folder per recording session, with ``etc/PROMPTS`` and ``wav`` or ``flac``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.layout import beside, filled, gender, parent, read_text, text_lines
from stt_model.importing.tree import Tree

NAME = "voxforge"
TITLE = "VoxForge"

_PROMPTS = ("/etc/prompts-original", "/etc/prompts")
_README = re.compile(r"^\s*(user ?name|gender|age range|pronunciation dialect)\s*:\s*(.+?);?\s*$")


def recognise(tree: Tree) -> bool:
    """Tell by ``etc/PROMPTS``."""
    return bool(tree.seen(*_PROMPTS)) or any(
        name.lower() in ("etc/prompts", "etc/prompts-original") for name in tree.look
    )


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the prompts of every session."""
    last = None
    for name in tree.find("etc/prompts-original", "etc/prompts"):
        session = parent(parent(name))
        if session == last:
            continue
        last = session
        extra = _about(tree, session, options)
        for number, line in text_lines(tree.local(_best(tree, name)), options.encoding):
            where = f"{name}, line {number}"
            label, _, text = line.partition(" ")
            clip = PurePosixPath(label).name
            if not text.strip():
                yield SetAside(f"{session}/{clip}", where, "fields", "expected an id and a text")
                continue
            audio = beside(tree, f"{session}/wav".lstrip("/"), clip)
            if not tree.exists(audio):
                audio = beside(tree, f"{session}/flac".lstrip("/"), clip)
            yield Clip(
                name=f"{session}/{clip}",
                audio=tree.place(audio),
                transcript=text.strip(),
                where=where,
                extra=extra,
            )


def _best(tree: Tree, name: str) -> str:
    """Return the original prompts with punctuation, if there are any."""
    shown = f"{parent(name)}/prompts-original"
    return shown if tree.exists(shown) else name


def _about(tree: Tree, session: str, options: Options) -> dict[str, str]:
    found = {}
    readme = f"{session}/etc/README".lstrip("/")
    if tree.exists(readme):
        for line in read_text(tree, readme, options.encoding).lower().splitlines():
            if match := _README.match(line):
                found[match[1].replace(" ", "")] = match[2]
    user = session.rpartition("/")[2].partition("-")[0]
    # Anonymous sessions may be of different people.
    speaker = session if user.lower() in ("anonymous", "") else user
    return filled(
        speaker=speaker,
        gender=gender(found.get("gender", "")),
        age=found.get("agerange", ""),
        accent=found.get("pronunciationdialect", ""),
    )
