"""Kaldi data folders: ``text``, ``wav.scp``, and optionally ``segments`` and ``utt2spk``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePosixPath

from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.layout import Lookup, beside, filled, gender, parent, split_of, text_lines
from stt_model.importing.tree import Tree, is_media

NAME = "kaldi"
TITLE = "Kaldi data folders"

_READERS = ("sph2pipe", "flac", "cat", "ffmpeg", "sox")


def recognise(tree: Tree) -> bool:
    """Tell by ``wav.scp`` with a ``text`` beside it."""
    return any(tree.exists(_at(parent(name), "text")) for name in tree.seen("wav.scp"))


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the utterances of every data folder."""
    for name in tree.find("wav.scp"):
        if PurePosixPath(name).name == "wav.scp" and tree.exists(_at(parent(name), "text")):
            yield from _Folder(tree, parent(name), options).clips()


class _Folder:
    """One data folder, with its tables kept on disk."""

    def __init__(self, tree: Tree, folder: str, options: Options) -> None:
        self._tree, self._folder, self._options = tree, folder, options
        self._recordings = self._table("wav.scp")
        self._segments = self._table("segments")
        self._speakers = self._table("utt2spk")
        self._genders = self._table("spk2gender")

    def clips(self) -> Iterator[Found]:
        """Yield an utterance for each line of ``text``."""
        has_segments = self._tree.exists(_at(self._folder, "segments"))
        name = _at(self._folder, "text")
        for number, line in text_lines(self._tree.local(name), self._options.encoding):
            utterance, _, text = line.strip().partition(" ")
            where = f"{name}, line {number}"
            segment = self._segments.get(utterance) if has_segments else f"{utterance} 0 -1"
            try:
                recording, start, end = (segment or "").split()
                times = float(start), float(end)
            except ValueError:
                found = repr(segment) if segment else "none"
                reason = f"expected a line RECORDING START END in segments, found {found}"
                yield SetAside(utterance, where, "times", reason, text)
                continue
            yield self._found(utterance, recording, times, text.strip(), where)

    def _found(
        self, utterance: str, recording: str, times: tuple[float, float], text: str, where: str
    ) -> Found:
        entry = self._recordings.get(recording)
        if entry is None:
            reason = f"expected {recording} in wav.scp, found nothing"
            return SetAside(utterance, where, "audio_missing", reason, text)
        if not entry:
            reason = f"expected a file after {recording} in wav.scp, found nothing"
            return SetAside(utterance, where, "audio_missing", reason, text)
        audio, channel = _file_and_channel(entry)
        if not audio:
            reason = f"expected a file in wav.scp, found the command {entry!r}; run it beforehand"
            return SetAside(utterance, where, "audio_command", reason, text)
        speaker = self._speakers.get(utterance) or ""
        return Clip(
            name=utterance,
            # Paths are relative to where Kaldi was run, which may be elsewhere.
            audio=self._tree.place(self._place(audio)),
            transcript=text,
            where=where,
            start=times[0],
            end=times[1] if times[1] >= 0 else None,
            channel=channel,
            split=split_of(self._folder),
            extra=filled(
                speaker=speaker if speaker != utterance else "",
                gender=gender(self._genders.get(speaker) or ""),
            ),
        )

    def _place(self, audio: str) -> str:
        from_here = beside(self._tree, self._folder, audio)
        return from_here if self._tree.exists(from_here) else beside(self._tree, "", audio)

    def _table(self, name: str) -> Lookup:
        path = _at(self._folder, name)
        if not self._tree.exists(path):
            return Lookup(())
        lines = text_lines(self._tree.local(path), self._options.encoding)
        pairs = (line.strip().partition(" ") for _, line in lines)
        return Lookup((key, value.strip()) for key, _, value in pairs)


def _file_and_channel(entry: str) -> tuple[str, int | None]:
    """Return the file of a line of wav.scp, and its channel; "" for a command that needs a shell.

    A command that only reads a single file is replaced by that file.
    """
    if not entry.rstrip().endswith("|"):
        return entry.strip(), None
    try:
        words = shlex.split(entry.rstrip().rstrip("|"))
    except ValueError:
        return "", None
    files = [word for word in words[1:] if is_media(word)]
    reads = bool(words) and PurePosixPath(words[0]).name in _READERS and "|" not in words
    if not reads or len(files) != 1 or any(re.match(r"(trim|speed|tempo|remix)", w) for w in words):
        return "", None
    is_sphere = PurePosixPath(words[0]).name == "sph2pipe"
    given = dict(pairwise(words)).get("-c", "") if is_sphere else ""
    return files[0], int(given) - 1 if given.isdigit() else None


def _at(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
