"""NeMo manifests: a line of JSON per utterance, with ``audio_filepath`` and ``text``."""

from __future__ import annotations

from collections.abc import Iterator

from stt_model.base import parse_json
from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.columns import KEPT, map_columns
from stt_model.importing.layout import beside, gender, parent, split_of, text_lines, without_empty
from stt_model.importing.tree import Tree

NAME = "nemo"
TITLE = "NeMo manifests"

_SUFFIXES = (".json", ".jsonl", ".manifest")
_USED = ("audio_filepath", "text", "duration", "offset", "channel")


def recognise(tree: Tree) -> bool:
    """Tell by a first line of JSON with ``audio_filepath``."""
    return any(_is_manifest(tree, name) for name in tree.seen(*_SUFFIXES)[:20])


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the utterances of every manifest."""
    for name in tree.find(*_SUFFIXES):
        if not _is_manifest(tree, name):
            continue
        for number, line in text_lines(tree.local(name), options.encoding):
            yield _found(tree, name, number, line)


def _found(tree: Tree, name: str, number: int, line: str) -> Found:
    where = f"{name}, line {number}"
    try:
        values = parse_json(line)
        audio, text = str(values["audio_filepath"]), str(values.get("text", ""))
        start = float(values.get("offset") or 0.0)
        # Without an offset the duration is that of the whole file.
        end = start + float(values["duration"]) if "offset" in values else None
        channel = values.get("channel")
        channel = int(channel) if isinstance(channel, (int, float)) else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        reason = f"expected JSON with audio_filepath, text and duration, found {error!r}"
        return SetAside(f"{name}#{number}", where, "fields", reason)
    plain = without_empty({key: value for key, value in values.items() if key not in _USED})
    roles = map_columns(name, tuple(plain), {}, needed=())
    known = {roles[role]: role for role in KEPT if role in roles}
    extra = {known.get(key, key): value for key, value in plain.items()}
    if "gender" in extra:
        extra["gender"] = gender(extra["gender"])
    part = f"#{start:.3f}-{end:.3f}" if end is not None else ""
    part += f"#{channel}" if channel is not None else ""
    return Clip(
        name=f"{audio}{part}",
        audio=tree.place(beside(tree, parent(name), audio)),
        transcript=text,
        where=where,
        start=start,
        end=end,
        channel=channel,
        split=split_of(str(values.get("split") or name)),
        extra=extra,
    )


def _is_manifest(tree: Tree, name: str) -> bool:
    try:
        first = parse_json(tree.head(name).partition(b"\n")[0])
    except ValueError:
        return False
    return isinstance(first, dict) and "audio_filepath" in first
