"""What checks on a corpus as a whole compare, of every utterance, in a table on disk."""

from __future__ import annotations

import hashlib
import math
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from stt_model.base import DataError

_CACHE_KIB = 8192
"""Memory for the table and for sorting it, however many rows it has."""
_AT_ONCE = 1024
"""Utterances that are written together."""


class Utterances:
    """Utterances without errors so far, split after split from training to the most held out.

    They are in an unnamed database of SQLite, which is gone with ``close``, so that memory does not
    grow with the corpus. Each is known by its number ``at``, which grows from one to the next.
    """

    def __init__(self, manifests: Sequence[Path], text_of: Callable[[int], str]) -> None:
        self._manifests = manifests
        self.text_of = text_of
        """Return the transcript at a ``place``, for messages."""
        self._new: list[tuple[object, ...]] = []
        # SQLite keeps the database of this name in a temporary file.
        self._rows = sqlite3.connect("")
        # Nothing is ever undone here: after a failure all of it is thrown away.
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._rows.execute(
            "CREATE TABLE utterances (at INTEGER PRIMARY KEY, split INTEGER, row INTEGER,"
            " place INTEGER, pace REAL, log_pace REAL, sound BLOB, text BLOB)"
        )
        self._rows.execute("CREATE TABLE found (at INTEGER, finding INTEGER)")

    def close(self) -> None:
        """Remove the database."""
        self._rows.close()

    def add(
        self, at: int, split: int, row: int, place: int, seconds: float, sound: bytes, text: str
    ) -> None:
        """Add one: its ``row`` in the manifest of its split, and the digest of its audio.

        Raises:
            DataError: there is no room.
        """
        data = text.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        pace = seconds / len(text)
        self._new.append((at, split, row, place, pace, math.log(pace), sound, digest))
        if len(self._new) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        marks = ",".join("?" * 8)
        with _room():
            self._rows.executemany(f"INSERT INTO utterances VALUES ({marks})", self._new)
        self._new.clear()

    def select(self, columns: str, *values: float, order: str, where: str = "1") -> Iterator[Any]:
        """Yield the ``columns`` of the utterances ``where`` a condition holds, in an ``order``.

        All three are SQL, with ``values`` for its question marks. There are ``at``, ``split``,
        ``row``, ``place``, ``pace`` in seconds a character, its logarithm ``log_pace``, and
        ``sound`` and ``text``, the digests of audio and transcript. What is too long to be sorted
        in memory, SQLite sorts on disk.
        """
        self._flush()
        with _room():
            yield from self._rows.execute(
                f"SELECT {columns} FROM utterances WHERE {where} ORDER BY {order}", values
            )

    def __len__(self) -> int:
        self._flush()
        ((count,),) = self._rows.execute("SELECT count(*) FROM utterances")
        return int(count)

    def median(self, expression: str, *values: float) -> float:
        """Return the median of an SQL expression over all utterances; there must be one."""
        count = len(self)
        ordered = self.select(expression, *values, order="1")
        middle = islice(ordered, (count - 1) // 2, count // 2 + 1)
        return math.fsum(value for (value,) in middle) / (2 - count % 2)

    def place(self, split: int, row: int) -> str:
        """Return where an utterance is, for messages."""
        return f"row {row} of {self._manifests[split].name}"

    def note(self, at: int, finding: int) -> None:
        """Note the number of a finding about an utterance."""
        with _room():
            self._rows.execute("INSERT INTO found VALUES (?, ?)", (at, finding))

    def drop_found(self) -> None:
        """Remove the utterances that something was noted about."""
        with _room():
            self._rows.execute("DELETE FROM utterances WHERE at IN (SELECT at FROM found)")

    def noted(self) -> Iterator[tuple[int, int]]:
        """Yield what was noted by utterance, in the order in which it was noted about each."""
        with _room():
            yield from self._rows.execute("SELECT at, finding FROM found ORDER BY at, rowid")


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DataError(
            f"{tempfile.gettempdir()}: cannot hold the table of utterances: {error}; name a folder"
            " with more room in TMPDIR"
        ) from error
