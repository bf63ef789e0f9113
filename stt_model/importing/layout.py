"""Helpers that several formats share: splits by path, audio by name."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from stt_model.importing.tables import find_encoding
from stt_model.importing.tree import MEDIA_SUFFIXES, Tree, reading

_SPLITS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "valid": "dev",
    "validation": "dev",
    "eval": "dev",
    "test": "test",
    "testing": "test",
}
_GENDERS = {
    "m": "male",
    "male": "male",
    "man": "male",
    "male_masculine": "male",
    "f": "female",
    "w": "female",
    "female": "female",
    "woman": "female",
    "female_feminine": "female",
}


def split_of(name: str) -> str:
    """Return the split that a path names, as in ``train-clean-100/19/198`` or ``dev.csv``."""
    for part in reversed(PurePosixPath(name).parts):
        word = part.lower().replace("_", "-").split("-")[0].split(".")[0]
        if word in _SPLITS:
            return _SPLITS[word]
    return ""


def gender(text: str) -> str:
    """Return ``male`` or ``female`` for the usual spellings; other values unchanged."""
    return _GENDERS.get(text.strip().lower(), text.strip())


def filled(**values: str) -> dict[str, str]:
    """Return the values that are not empty."""
    return {name: value.strip() for name, value in values.items() if value and value.strip()}


def beside(tree: Tree, folder: str, name: str) -> str:
    """Return the file ``name`` relative to ``folder``, trying suffixes that the name may lack.

    If it does not exist, its would-be name is returned.
    """
    if "://" in name or PurePosixPath(name).is_absolute():
        return name
    whole = os.path.normpath(f"{folder}/{name}") if folder else os.path.normpath(name)
    if tree.exists(whole):
        return whole
    if "\\" in whole and tree.exists(unix := whole.replace("\\", "/")):
        return unix
    for suffix in MEDIA_SUFFIXES:
        if tree.exists(whole + suffix):
            return whole + suffix
    return whole


def parent(name: str) -> str:
    """Return the folder of a file; "" for the root."""
    folder = PurePosixPath(name).parent.as_posix()
    return "" if folder == "." else folder


def read_text(tree: Tree, name: str, encoding: str = "") -> str:
    """Return a small text file; ImportSourceError if it cannot be read."""
    path = tree.local(name)
    with reading(path):
        return path.read_text(find_encoding(path, encoding))


def text_lines(path: Path, encoding: str = "") -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file that are not blank, with their number from 1."""
    with reading(path), path.open(encoding=find_encoding(path, encoding)) as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                yield number, line.rstrip("\r\n")


class Lookup:
    """A long dictionary of strings, kept on disk."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._rows = sqlite3.connect("")
        self._rows.execute("CREATE TABLE pairs (key TEXT PRIMARY KEY, value TEXT)")
        self._rows.executemany("INSERT OR REPLACE INTO pairs VALUES (?, ?)", pairs)

    def get(self, key: str) -> str | None:
        """Return the value of a key, or None."""
        row = self._rows.execute("SELECT value FROM pairs WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None


def without_empty(values: Mapping[str, object]) -> dict[str, str]:
    """Return plain values as text, without empty ones, lists and dictionaries."""
    return {
        str(name): str(value).strip()
        for name, value in values.items()
        if isinstance(value, (str, int, float, bool)) and str(value).strip()
    }
