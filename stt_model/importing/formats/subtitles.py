"""SRT and WebVTT subtitles beside long recordings, read by webvtt-py.

It reads both formats and is maintained; pysrt reads only one and has had no release since 2020.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stt_model.importing.clip import Found, ImportSourceError, Notes, Options, needs
from stt_model.importing.layout import beside, parent, read_text
from stt_model.importing.segments import Recording
from stt_model.importing.tree import Tree

NAME = "subtitles"
TITLE = "SRT and WebVTT subtitles"

_SUFFIXES = (".srt", ".vtt")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|\{\\[^{}]*\}")


def recognise(tree: Tree) -> bool:
    """Tell by the suffixes ``.srt`` and ``.vtt``."""
    return bool(tree.seen(*_SUFFIXES))


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield a clip per caption."""
    webvtt = needs("webvtt", "webvtt-py", TITLE)
    for name in tree.find(*_SUFFIXES):
        text = read_text(tree, name, options.encoding).lstrip("\ufeff")
        kind = name.lower().rpartition(".")[2]
        try:
            captions = webvtt.WebVTT.from_buffer(text.splitlines(keepends=True), kind)
        except Exception as error:  # a damaged file can make the library raise anything
            raise ImportSourceError(
                f"{tree.local(name)}: expected {kind.upper()} subtitles, found: {error}"
            ) from error
        missing = "expected a recording of the same name beside it, found none"
        recording = Recording(tree, name, _audio(tree, name), missing)
        for number, caption in enumerate(captions, start=1):
            start, end = _seconds(caption.start), _seconds(caption.end)
            words = " ".join(_TAG.sub(" ", caption.text).split())
            yield recording.segment(
                start, end, words, where=f"caption {number}", speaker=caption.voice or ""
            )


def _audio(tree: Tree, name: str) -> str:
    stem = PurePosixPath(name).stem
    # As in talk.en.srt beside talk.mp4.
    for candidate in (stem, re.sub(r"\.[A-Za-z]{2,3}(-\w+)?$", "", stem)):
        found = beside(tree, parent(name), candidate)
        if tree.exists(found):
            return found
    return ""


def _seconds(time: str) -> float:
    seconds = 0.0
    for part in time.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
