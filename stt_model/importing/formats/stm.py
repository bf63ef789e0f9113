"""NIST's STM files, as in TED-LIUM: one segment per line, beside the recordings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.layout import beside, filled, gender, parent, split_of, text_lines
from stt_model.importing.tree import Tree

NAME = "stm"
TITLE = "NIST STM (TED-LIUM)"

_LABELS = re.compile(r"^<[^<>]*>\s*")


def recognise(tree: Tree) -> bool:
    """Tell by the suffix ``.stm``."""
    return bool(tree.seen(".stm"))


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the segments of every file that have a text."""
    for name in tree.find(".stm"):
        for number, line in text_lines(tree.local(name), options.encoding):
            if line.startswith(";;"):
                continue
            where = f"{name}, line {number}"
            try:
                recording, channel, speaker, start, end, text = line.split(maxsplit=5)
                times = float(start), float(end)
            except ValueError:
                reason = "expected RECORDING CHANNEL SPEAKER START END TEXT"
                yield SetAside(f"{name}#{number}", where, "fields", reason, line)
                continue
            labels = _LABELS.match(text)
            words = _LABELS.sub("", text)
            if words == "ignore_time_segment_in_scoring":
                yield SetAside(f"{name}#{number}", where, "ignored", "marked as not to be scored")
                continue
            yield Clip(
                name=f"{recording}#{channel}#{times[0]:.3f}-{times[1]:.3f}",
                audio=tree.place(_audio(tree, name, recording)),
                transcript=words,
                where=where,
                start=times[0],
                end=times[1],
                channel={"A": 0, "B": 1}.get(channel),
                split=split_of(name),
                extra=filled(speaker=speaker, gender=_gender(labels.group() if labels else "")),
            )


def _audio(tree: Tree, name: str, recording: str) -> str:
    folder = parent(name)
    # TED-LIUM has stm and sph side by side.
    for place in (folder, f"{parent(folder)}/sph".lstrip("/"), f"{parent(folder)}/wav".lstrip("/")):
        found = beside(tree, place, recording)
        if tree.exists(found):
            return found
    return beside(tree, folder, f"{PurePosixPath(recording).name}.sph")


def _gender(labels: str) -> str:
    words = re.split(r"[<>,\s]", labels.lower())
    return next((gender(word) for word in words if word in ("male", "female")), "")
