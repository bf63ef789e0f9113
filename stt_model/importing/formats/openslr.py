"""LibriSpeech and its kin on OpenSLR (``*.trans.txt``), and MLS (``transcripts.txt``)."""

from __future__ import annotations

from collections.abc import Iterator

from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.layout import beside, filled, gender, parent, split_of, text_lines
from stt_model.importing.tree import Tree

NAME = "librispeech"
TITLE = "LibriSpeech, MLS"

_SPEAKERS = ("speakers.txt", "metainfo.txt")


def recognise(tree: Tree) -> bool:
    """Tell by ``*.trans.txt``, or by ``transcripts.txt`` beside a folder ``audio``."""
    return bool(tree.seen(".trans.txt")) or any(
        name.startswith(f"{parent(table)}/audio/".lstrip("/"))
        for table in tree.seen("transcripts.txt")
        for name in tree.look
    )


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the utterances of every transcript file."""
    genders = _read_genders(tree, options)
    for name in tree.find(".trans.txt", "/transcripts.txt"):
        for number, line in text_lines(tree.local(name), options.encoding):
            where = f"{name}, line {number}"
            utterance, _, text = line.replace("\t", " ", 1).partition(" ")
            if not text.strip():
                yield SetAside(utterance, where, "fields", "expected an id and a text, found one")
                continue
            # MLS has ids and folders such as SPEAKER_BOOK_NUMBER, LibriSpeech has hyphens.
            parts = utterance.replace("_", "-").split("-")
            folder = parent(name)
            if name.endswith("transcripts.txt"):
                folder = "/".join(filter(None, (folder, "audio", *parts[:2])))
            yield Clip(
                name=utterance,
                audio=tree.place(beside(tree, folder, utterance)),
                transcript=text.strip(),
                where=where,
                split=split_of(folder),
                extra=filled(speaker=parts[0], gender=genders.get(parts[0], "")),
            )


def _read_genders(tree: Tree, options: Options) -> dict[str, str]:
    """Return the gender of each speaker in a table of speakers."""
    genders = {}
    for name in tree.seen(*_SPEAKERS):
        for _, line in text_lines(tree.local(name), options.encoding):
            cells = [each.strip() for each in line.split("|")]
            if not line.startswith(";") and len(cells) > 2 and cells[1].upper() in "MF":
                genders[cells[0]] = gender(cells[1])
    return genders
