"""What is known of clips in object stores without reading them: versions, earlier measurements.

Versions come from listing the clips' folders: one request for a thousand clips. Measurements are
kept in the cache by version, so that a second run reads no clip.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from stt_model.corpus.clips import holder_of
from stt_model.corpus.measuring import Measurement, object_digest
from stt_model.storage import StoredObject, StoreError, cache_directory, is_stored, store_of

log = logging.getLogger(__name__)

NAME = "measured-clips.sqlite"
_LISTED = 10_000
"""At most so many objects of a folder are listed, or more for a corpus with more rows."""
_LISTED_A_ROW = 4
_AT_ONCE = 500
"""Names in one query."""


class Versions:
    """The objects that hold clips, as the store lists them; kept on disk."""

    def __init__(self, rows: int) -> None:
        self._limit = max(_LISTED, _LISTED_A_ROW * rows)
        self._folders: set[str] = set()
        # A temporary file, which disappears with the connection.
        self._rows = sqlite3.connect("")
        self._rows.execute("CREATE TABLE objects (uri TEXT PRIMARY KEY, key, size, etag, modified)")

    def close(self) -> None:
        """Delete the list."""
        self._rows.close()

    def find(self, uris: Sequence[str]) -> dict[str, StoredObject]:
        """Return the listed objects by URI, without those that are missing or not listed."""
        for folder in dict.fromkeys(uri.rpartition("/")[0] for uri in uris):
            if folder not in self._folders:
                self._folders.add(folder)
                self._list(folder)
        found = {}
        for part in _parts(uris):
            marks = ",".join("?" * len(part))
            rows = self._rows.execute(f"SELECT * FROM objects WHERE uri IN ({marks})", part)
            for uri, key, size, etag, modified in rows:
                found[uri] = StoredObject(uri, key, size, etag, datetime.fromisoformat(modified))
        return found

    def _list(self, folder: str) -> None:
        try:
            listed = store_of(folder).list(folder)
            self._rows.executemany(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
                (
                    (each.uri, each.key, each.size, each.etag, each.modified.isoformat())
                    for _, each in zip(range(self._limit), listed, strict=False)
                ),
            )
        except StoreError as error:
            # With permission to read but not to list, each clip is asked for by itself.
            log.debug("%s", error)


class MeasuredClips:
    """Measurements of clips in earlier runs, by version; empty if they cannot be kept."""

    def __init__(self) -> None:
        self._path = cache_directory() / NAME
        self._rows: sqlite3.Connection | None = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._rows = sqlite3.connect(self._path, timeout=10)
            self._rows.execute("PRAGMA synchronous = NORMAL")
            self._rows.execute(
                "CREATE TABLE IF NOT EXISTS clips (version TEXT PRIMARY KEY, file_bytes INTEGER,"
                " sample_rate INTEGER, samples INTEGER, digest BLOB, level REAL,"
                " clipped_share REAL) WITHOUT ROWID"
            )
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        if self._rows:
            self._rows.close()
        self._rows = None

    def known(self, versions: Sequence[str]) -> dict[str, Measurement]:
        """Return the measurements of these versions that there are."""
        found: dict[str, Measurement] = {}
        for part in _parts(versions):
            for version, *values in self._ask(
                f"SELECT * FROM clips WHERE version IN ({','.join('?' * len(part))})", part
            ):
                found[version] = Measurement(*values)
        return found

    def keep(self, measured: Mapping[str, Measurement]) -> None:
        """Keep measurements by version."""
        if not self._rows or not measured:
            return
        try:
            with self._rows:
                self._rows.executemany(
                    "INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?, ?, ?, ?)",
                    ((version, *each) for version, each in measured.items()),
                )
        except sqlite3.Error as error:
            self._give_up(error)

    def _ask(self, question: str, values: Sequence[str]) -> list[Any]:
        if not self._rows:
            return []
        try:
            with closing(self._rows.execute(question, values)) as rows:
                return rows.fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return []

    def _give_up(self, error: Exception) -> None:
        log.warning(
            "%s: measurements cannot be kept, so the next run reads all clips again: %s; remove the"
            " file, or set STT_BOOTSTRAP_CACHE to another folder",
            self._path,
            error,
        )
        self.close()


class StoredClips:
    """Versions and earlier measurements of clips, for a corpus of ``rows`` rows."""

    def __init__(self, rows: int) -> None:
        self._versions, self._measured = Versions(rows), MeasuredClips()
        self._names: dict[str, str] = {}
        """Of the clips that were looked up last: the keys of their measurements."""

    def close(self) -> None:
        """Close both files."""
        self._versions.close()
        self._measured.close()

    def look(
        self, places: Iterable[str], *, by_header: bool
    ) -> tuple[dict[str, StoredObject], dict[str, Measurement]]:
        """Return the objects and the earlier measurements of these clips.

        A measurement of the whole clip also serves ``by_header``, but not the other way round.
        """
        stored = {place: holder_of(place) for place in places if is_stored(place)}
        holders = self._versions.find(list(dict.fromkeys(uri for uri, _ in stored.values())))
        self._names = {
            place: f"{holders[uri].version} {part}".rstrip()
            for place, (uri, part) in stored.items()
            if uri in holders
        }
        objects = {
            place: holders[uri]
            for place, (uri, part) in stored.items()
            if uri in holders and not part
        }
        names = list(self._names.values())
        whole = self._measured.known(names)
        headers = self._measured.known([_of_header(name) for name in names]) if by_header else {}
        known = {}
        for place, name in self._names.items():
            found = whole.get(name)
            if by_header and place in objects:
                # Within a run, all clips need the same kind of digest.
                found = found and found._replace(digest=object_digest(objects[place]))
                found = found or headers.get(_of_header(name))
            if found is not None:
                known[place] = found
        return objects, known

    def keep(self, measured: Mapping[str, Measurement]) -> None:
        """Keep the measurements of clips that were looked up last."""
        self._measured.keep(
            {
                _of_header(name) if measured[place].level is None else name: measured[place]
                for place, name in self._names.items()
                if place in measured
            }
        )


def _of_header(version: str) -> str:
    return f"{version} header"


def _parts(items: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), _AT_ONCE):
        yield list(items[start : start + _AT_ONCE])
