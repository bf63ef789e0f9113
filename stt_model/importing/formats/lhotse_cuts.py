"""Lhotse cut sets: ``*.jsonl`` or ``*.jsonl.gz`` with one cut per line.

Read without lhotse, which needs PyTorch even to open a manifest: the format is JSON.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from stt_model.base import parse_json
from stt_model.importing.clip import Clip, Found, ImportSourceError, Notes, Options, SetAside
from stt_model.importing.layout import beside, filled, gender, parent, split_of, without_empty
from stt_model.importing.tree import Tree, reading

NAME = "lhotse"
TITLE = "lhotse cut sets"

_SUFFIXES = (".jsonl", ".jsonl.gz")
_TOLERANCE = 0.02
"""Seconds by which a supervision may miss the recording's end and still cover all of it."""


def recognise(tree: Tree) -> bool:
    """Tell by a first line of JSON with ``supervisions``."""
    return any(_is_cut_set(tree, name) for name in tree.seen(*_SUFFIXES)[:20])


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the supervisions of every cut."""
    for name in tree.find(*_SUFFIXES):
        if not _is_cut_set(tree, name):
            continue
        for number, line in _lines(tree, name):
            where = f"{name}, line {number}"
            try:
                cut = parse_json(line)
                if cut.get("type", "MonoCut") not in ("MonoCut", "MultiCut"):
                    reason = f"expected a cut of one recording, found {cut['type']}"
                    yield SetAside(str(cut.get("id", where)), where, "mixed", reason)
                    continue
                yield from _clips(tree, name, where, cut)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                reason = f"expected a cut as lhotse writes it, found {error!r}"
                yield SetAside(f"{name}#{number}", where, "fields", reason)


def _clips(tree: Tree, name: str, where: str, cut: Mapping[str, Any]) -> Iterator[Found]:
    recording = cut["recording"]
    source = recording["sources"][0]
    if source["type"] not in ("file", "url"):
        reason = f"expected audio in a file, found {source['type']}"
        yield SetAside(str(cut["id"]), where, "audio_command", reason)
        return
    audio = tree.place(beside(tree, parent(name), source["source"]))
    channels = recording.get("channel_ids") or [0]
    for supervision in cut["supervisions"]:
        start = cut["start"] + supervision["start"]
        end = start + supervision["duration"]
        is_all = start < _TOLERANCE and end > recording["duration"] - _TOLERANCE
        channel = supervision.get("channel", 0)
        custom = without_empty(supervision.get("custom") or {})
        yield Clip(
            name=str(supervision["id"]),
            audio=audio,
            transcript=supervision.get("text") or "",
            where=where,
            start=0.0 if is_all else start,
            end=None if is_all else end,
            channel=channel if len(channels) > 1 and isinstance(channel, int) else None,
            split=split_of(name),
            extra={
                **custom,
                **filled(
                    speaker=supervision.get("speaker") or "",
                    gender=gender(supervision.get("gender") or ""),
                    language=supervision.get("language") or "",
                ),
            },
        )


def _lines(tree: Tree, name: str) -> Iterator[tuple[int, str]]:
    path = tree.local(name)
    try:
        with (
            reading(path),
            (gzip.open if name.endswith(".gz") else open)(path, "rt", encoding="utf-8") as handle,
        ):
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    yield number, line
    except (EOFError, zlib.error) as error:
        raise ImportSourceError(f"{path}: not a whole gzip file: {error}") from error


def _is_cut_set(tree: Tree, name: str) -> bool:
    head = tree.head(name)
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 1 << 20)
        except zlib.error:
            return False
    try:
        first = parse_json(head.partition(b"\n")[0])
    except ValueError:
        return False
    return isinstance(first, dict) and "supervisions" in first and "start" in first
