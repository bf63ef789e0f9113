"""Label Studio: a project's export as JSON, or as JSON_MIN, with transcripts in text areas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from stt_model.base import read_json
from stt_model.importing.clip import Clip, Found, ImportSourceError, Notes, Options, SetAside
from stt_model.importing.columns import KEPT
from stt_model.importing.layout import beside, parent
from stt_model.importing.tree import MEDIA_SUFFIXES, Tree

NAME = "label_studio"
TITLE = "Label Studio's export"

_MARKS = ((b'"data"', b'"annotations"'), (b'"annotation_id"', b'"lead_time"'))
"""Keys of every task in the exports JSON and JSON_MIN."""
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""The prefix that Label Studio puts before the name of an uploaded file."""


def recognise(tree: Tree) -> bool:
    """Tell by a JSON list of tasks."""
    return any(_is_export(tree, name) for name in tree.seen(".json")[:20])


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the transcripts of every export: of each task the last annotation that was kept."""
    for name in tree.find(".json"):
        if not _is_export(tree, name):
            continue
        path = tree.local(name)
        try:
            tasks = read_json(path)
        except (OSError, ValueError) as error:
            raise ImportSourceError(
                f"{path}: expected Label Studio's export as JSON, found: {error}"
            ) from error
        for number, task in enumerate(tasks, start=1):
            yield from _found(tree, name, number, task)


def _found(tree: Tree, name: str, number: int, task: Any) -> Iterator[Found]:
    where = f"{name}, task {number}"
    try:
        data = dict(task.get("data", task))
        audio = _audio(tree, name, data)
        parts = list(_parts(task))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        reason = f"expected a task with audio and annotations, found {error!r}"
        yield SetAside(f"{name}#{number}", where, "fields", reason)
        return
    if not audio:
        reason = "expected a recording among the task's data, beside the file, found none"
        yield SetAside(f"{name}#{number}", where, "audio_missing", reason)
        return
    extra = {role: str(data[role]) for role in KEPT if data.get(role)}
    if not parts:
        yield SetAside(
            audio, where, "blank", "expected a transcript, found none: not annotated yet"
        )
    for start, end, text in parts:
        part = f"#{start:.3f}-{end:.3f}" if end is not None else ""
        yield Clip(
            name=f"{audio}{part}",
            audio=tree.place(audio),
            transcript=text,
            where=where,
            start=start,
            end=end,
            extra=extra,
        )


def _parts(task: Mapping[str, Any]) -> Iterator[tuple[float, float | None, str]]:
    """Yield start and end, in seconds, and the text of each region, or of the whole recording."""
    if "annotations" not in task:
        text = task.get("transcription")
        if isinstance(text, Mapping):
            text = text.get("text")
        if text:
            yield 0.0, None, _joined(text)
        return
    kept = [each for each in task["annotations"] if not each.get("was_cancelled")]
    if not kept:
        return
    for each in kept[-1]["result"]:
        if each.get("type") != "textarea":
            continue
        value = each["value"]
        text = _joined(value["text"])
        if "start" in value and "end" in value:
            yield float(value["start"]), float(value["end"]), text
        else:
            yield 0.0, None, text


def _joined(text: Any) -> str:
    return " ".join(map(str, text)) if isinstance(text, list) else str(text)


def _audio(tree: Tree, name: str, data: Mapping[str, Any]) -> str:
    """Return the recording of a task, even if it was moved; "" if it is missing."""
    for value in data.values():
        if not isinstance(value, str):
            continue
        address = urlsplit(value)
        inside = parse_qs(address.query).get("d", [unquote(address.path)])[0]
        if not inside.lower().endswith(MEDIA_SUFFIXES):
            continue
        last = PurePosixPath(inside).name
        for candidate in (inside.lstrip("/"), inside, last, _UPLOADED.sub("", last)):
            for folder in ("", "clips/"):
                place = beside(tree, parent(name), f"{folder}{candidate}")
                if tree.exists(place):
                    return place
    return ""


def _is_export(tree: Tree, name: str) -> bool:
    head = tree.head(name)
    return head.lstrip().startswith(b"[") and any(
        all(mark in head for mark in marks) for marks in _MARKS
    )
