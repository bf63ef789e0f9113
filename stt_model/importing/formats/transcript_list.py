"""A text file with an id and a text per line; ids are names of recordings without suffix.

Aishell and many sets of OpenSLR (``line_index.tsv``) have this format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from stt_model.importing.clip import Clip, Found, Notes, Options, SetAside
from stt_model.importing.layout import split_of, text_lines
from stt_model.importing.tree import MEDIA_SUFFIXES, Stems, Tree, is_media

NAME = "transcript_list"
TITLE = "a list of ids and texts, with recordings named by the ids"

_SUFFIXES = (".txt", ".tsv", ".text", ".trans", ".lst")
_MEDIA = re.compile("(" + "|".join(map(re.escape, MEDIA_SUFFIXES)) + ")$", re.IGNORECASE)


def recognise(tree: Tree) -> bool:
    """Tell by a file most of whose first lines begin with the name of a recording."""
    return bool(_lists(tree, tree.look, Options({})))


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield a clip per line."""
    stems = Stems(tree.names())
    for name in _lists(tree, tree.look, options):
        for number, line in text_lines(tree.local(name), options.encoding):
            utterance, text = _split(line)
            where = f"{name}, line {number}"
            found = stems.find(utterance)
            if len(found) != 1:
                held = f"{len(found)}: {', '.join(found[:3])}" if found else "none"
                reason = f"expected one recording {utterance}, found {held}"
                yield SetAside(utterance, where, "audio_missing", reason, text)
                continue
            yield Clip(
                name=found[0],
                audio=tree.place(found[0]),
                transcript=text,
                where=where,
                split=split_of(found[0]),
            )


def _lists(tree: Tree, names: tuple[str, ...], options: Options) -> list[str]:
    stems = Stems(names)
    lists = []
    for name in tree.seen(*_SUFFIXES):
        head = tree.head(name, 1 << 14).decode("utf-8", "replace").splitlines()
        lines = [_split(line) for line in islice(filter(str.strip, head), 20)]
        lines = lines[:-1] if len(lines) > 1 and len(head) > 1 else lines
        known = sum(bool(text and stems.find(utterance)) for utterance, text in lines)
        if lines and known * 2 > len(lines) and any(map(is_media, names)):
            lists.append(name)
    return lists


def _split(line: str) -> tuple[str, str]:
    # Some sets write (id text) or id|text.
    match = re.match(r"\s*(\S+?)(?:\t|\||\s)\s*(.*)", line)
    utterance, text = (match[1], match[2]) if match else (line.strip(), "")
    return _MEDIA.sub("", utterance), text.strip()
