"""The state of an import, clip by clip, in a file beside the manifests.

It is a database on disk, so that a million clips need no memory and the next import adds only new
clips.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stt_model.corpus import NEW, Speech, digest, stratum, text_key
from stt_model.importing.clip import ImportSourceError, SetAside

NAME = "import.sqlite"
_UNFINISHED = ".import-unfinished.sqlite"
_VERSION = "1"
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE clips (
    name TEXT PRIMARY KEY, source TEXT, run INTEGER, version TEXT, place TEXT, size INTEGER,
    seconds REAL, raw TEXT, transcript TEXT, given TEXT, split INTEGER, speaker INTEGER,
    text INTEGER, stratum INTEGER, extra TEXT);
CREATE TABLE set_aside (
    name TEXT, place TEXT, check_name TEXT, reason TEXT, transcript TEXT, source TEXT);
CREATE TABLE rules (rule TEXT PRIMARY KEY, count INTEGER, before TEXT, after TEXT);
"""
_RECORD = "name, version, place, size, seconds, raw, transcript, given, extra, source, run"
_SPLITS = ("train", "dev", "test")


@dataclass
class Record:
    """A clip of the corpus."""

    name: str
    version: str
    place: str
    size: int
    seconds: float
    raw: str
    """The source's transcript."""
    transcript: str
    given: str
    """The split of the source's makers."""
    extra: dict[str, str] = field(default_factory=dict)
    source: str = ""
    run: int = 0


class State:
    """The imported clips of a corpus in the folder ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._final, self._path = folder / NAME, folder / _UNFINISHED
        folder.mkdir(parents=True, exist_ok=True)
        if not self._path.exists() and self._final.exists():
            shutil.copyfile(self._final, self._path)
        is_new = not self._path.exists()
        try:
            self._rows = sqlite3.connect(self._path, timeout=1)
            # The file is renamed when it is complete; until then it need not survive a power cut.
            # What could be undone is kept on disk: when clips are placed, that is the whole file.
            self._rows.execute("PRAGMA synchronous = OFF")
            self._rows.execute("PRAGMA journal_mode = DELETE")
            if is_new:
                self._rows.executescript(_SCHEMA)
                self.tell("version", _VERSION)
            found = self.told("version")
        except sqlite3.OperationalError as error:
            raise ImportSourceError(
                f"{folder}: another import is writing to it, there is no room, or you have no right"
                f" to write there: {error}"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ImportSourceError(
                f"{self._path}: expected the state of an import, found {error}; remove the file"
            ) from error
        if found != _VERSION:
            raise ImportSourceError(
                f"{self._final}: expected version {_VERSION}, found {found}; import into a new"
                " target"
            )
        self.run = int(self.told("run") or 0) + 1
        self.tell("run", str(self.run))
        self._rows.commit()

    def tell(self, name: str, value: str) -> None:
        """Store a value about the whole import."""
        self._rows.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def told(self, name: str) -> str:
        """Return a stored value; "" if there is none."""
        row = self._rows.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def known(self, names: Sequence[str]) -> dict[str, Record]:
        """Return the known clips of these names."""
        marks = ",".join("?" * len(names))
        rows = self._rows.execute(
            f"SELECT {_RECORD} FROM clips WHERE name IN ({marks})",
            names,
        )
        return {row[0]: _record(row) for row in rows}

    def put(self, records: Iterable[Record]) -> None:
        """Add clips, or replace those of the same names, keeping their splits."""
        self._rows.executemany(
            "INSERT INTO clips VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
            " (name) DO UPDATE SET source = excluded.source, run = excluded.run, version ="
            " excluded.version, place = excluded.place, size = excluded.size, seconds ="
            " excluded.seconds, raw = excluded.raw, transcript = excluded.transcript, given ="
            " excluded.given, speaker = excluded.speaker, text = excluded.text, stratum ="
            " excluded.stratum, extra = excluded.extra",
            (self._row(each) for each in records),
        )

    def set_aside(self, items: Iterable[SetAside], source: str) -> None:
        """Add items that cannot be used."""
        self._rows.executemany(
            "INSERT INTO set_aside VALUES (?, ?, ?, ?, ?, ?)",
            ((i.name, i.where, i.check, i.reason, i.transcript, source) for i in items),
        )

    def forget_set_aside(self, source: str) -> None:
        """Forget the unusable items of a source, which will be checked again."""
        self._rows.execute(
            "DELETE FROM set_aside WHERE source = ? OR check_name = 'text_in_other_split'",
            (source,),
        )
        self._rows.execute("DELETE FROM rules")

    def drop(self, names: Iterable[str]) -> None:
        """Remove clips from the corpus."""
        self._rows.executemany("DELETE FROM clips WHERE name = ?", ((each,) for each in names))

    def count_rules(self, found: Iterable[tuple[str, int, str, str]]) -> None:
        """Add how often rules acted, with an example."""
        self._rows.executemany(
            "INSERT INTO rules VALUES (?, ?, ?, ?) ON CONFLICT (rule) DO UPDATE SET"
            " count = count + excluded.count",
            found,
        )

    def rules(self) -> list[tuple[str, int, str, str]]:
        """Return each rule that acted, how often, and one text before and after."""
        return list(self._rows.execute("SELECT * FROM rules ORDER BY count DESC, rule"))

    def commit(self) -> None:
        """Save the state, in case the process ends here."""
        self._rows.commit()

    def speech(self) -> Speech:
        """Return the clips to draw splits from, by name."""
        columns = "speaker, text, seconds, stratum, split"
        rows = self._rows.execute(f"SELECT {columns} FROM clips ORDER BY name")
        kind = [
            ("speaker", "i8"),
            ("text", "i8"),
            ("seconds", "f8"),
            ("stratum", "i8"),
            ("split", "i1"),
        ]
        table = np.fromiter((tuple(row) for row in rows), np.dtype(kind))
        return Speech(
            speakers=table["speaker"].astype(np.uint64),
            texts=table["text"].astype(np.uint64),
            seconds=table["seconds"].copy(),
            strata=table["stratum"].astype(np.uint64),
            previous=table["split"].copy(),
        )

    def given(self) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """Return the split that the source's makers gave each clip, by name; NEW for none."""
        numbers = {name: at for at, name in enumerate(_SPLITS)}
        rows = self._rows.execute("SELECT given FROM clips ORDER BY name")
        return np.fromiter((numbers.get(given, NEW) for (given,) in rows), np.int8)

    def place(self, splits: Iterable[int]) -> None:
        """Store the split of each clip, by name."""
        names = self._rows.execute("SELECT name FROM clips ORDER BY name")
        self._rows.execute("CREATE TEMP TABLE placed (name TEXT PRIMARY KEY, split INTEGER)")
        self._rows.executemany(
            "INSERT INTO placed VALUES (?, ?)",
            ((name, int(split)) for (name,), split in zip(names, splits, strict=True)),
        )
        self._rows.execute(
            "UPDATE clips SET split = placed.split FROM placed WHERE clips.name = placed.name"
        )
        self._rows.execute("DROP TABLE placed")

    def records(self, split: int) -> Iterator[Record]:
        """Yield the clips of a split, by name."""
        rows = self._rows.execute(
            f"SELECT {_RECORD} FROM clips WHERE split = ? ORDER BY name",
            (split,),
        )
        for row in rows:
            yield _record(row)

    def columns(self) -> list[str]:
        """Return all extra columns, sorted."""
        rows = self._rows.execute(
            "SELECT DISTINCT key FROM clips, json_each(clips.extra) ORDER BY key"
        )
        return [name for (name,) in rows]

    def totals(self) -> dict[int, tuple[int, float, int]]:
        """Return clips, seconds and known speakers of each split."""
        rows = self._rows.execute(
            "SELECT split, count(*), sum(seconds), count(DISTINCT nullif(speaker, 0)) FROM clips"
            " GROUP BY split"
        )
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def all_set_aside(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Yield the unusable items: name, place, check, reason, transcript."""
        yield from self._rows.execute(
            "SELECT name, place, check_name, reason, transcript FROM set_aside ORDER BY rowid"
        )

    def reasons(self) -> list[tuple[str, int, str]]:
        """Return each kind of reason, its count, and one in full."""
        return list(
            self._rows.execute(
                "SELECT check_name, count(*), min(reason) FROM set_aside GROUP BY check_name"
                " ORDER BY count(*) DESC, check_name"
            )
        )

    def finish(self) -> None:
        """Rename the file to its final name: the import is complete."""
        self._rows.commit()
        self._rows.close()
        self._path.replace(self._final)

    def close(self, *, forget: bool) -> None:
        """Keep the file so that the next call resumes, or ``forget`` this import's changes."""
        self._rows.commit()
        self._rows.close()
        if forget:
            self._path.unlink(missing_ok=True)

    def _row(self, each: Record) -> tuple[object, ...]:
        speaker = each.extra.get("speaker", "")
        drawn = [each.extra.get(column, "") for column in ("gender", "accent")]
        keys = (digest(speaker), digest(text_key(each.transcript)), stratum(drawn))
        return (
            *(each.name, each.source, self.run, each.version, each.place, each.size, each.seconds),
            *(each.raw, each.transcript, each.given, NEW),
            *(_signed(key) for key in keys),
            json.dumps(each.extra, ensure_ascii=False),
        )


def _record(row: tuple[Any, ...]) -> Record:
    """Return a row of the columns ``_RECORD``."""
    name, version, place, size, seconds, raw, transcript, given, extra, source, run = row
    return Record(
        name,
        version,
        place,
        size,
        seconds,
        raw,
        transcript,
        given,
        extra=json.loads(extra),
        source=source,
        run=run,
    )


def _signed(number: int) -> int:
    """Return a 64-bit number as SQLite's signed integer."""
    return number - (1 << 64) if number >= 1 << 63 else number
