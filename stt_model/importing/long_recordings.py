"""Long recordings, each with its text in a file or a table, which the caller cuts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from stt_model.importing.clip import Clip, ImportSourceError, Options, SetAside
from stt_model.importing.columns import map_columns, parse_columns
from stt_model.importing.formats import table, text_beside_audio
from stt_model.importing.layout import beside, parent, read_text
from stt_model.importing.recordings import Audio, Recordings, UnusableError
from stt_model.importing.sources import open_source
from stt_model.importing.tables import TABLE_SUFFIXES, Row, open_table
from stt_model.importing.tree import Tree

_LOOK = 50
_TEXTS = (".txt", ".text", ".md", ".lab")


@dataclass(frozen=True)
class LongRecording:
    """A recording and its rough transcript."""

    name: str
    """Within the source."""
    text: str
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further columns of its table: speaker, licence, and the table's own."""


class LongRecordings:
    """The recordings of an open source; converted ones are on disk until it is closed."""

    def __init__(self, tree: Tree, target: Path, columns: str, encoding: str) -> None:
        self._tree, self._target = tree, target
        self._options = Options(parse_columns(columns), encoding)
        self._cutter = Recordings(tree, target, copy=False)
        self._read: dict[str, str] = {}

    def close(self) -> None:
        """Remove temporary files."""
        self._cutter.close()

    def __iter__(self) -> Iterator[LongRecording | SetAside]:
        """Yield every recording with its text, or the reason why it has none.

        ImportSourceError if the source has no such pairs.
        """
        found = 0
        for each in self._of_tables() if self._tables() else self._of_folder():
            found += isinstance(each, LongRecording)
            yield each
        if not found:
            raise ImportSourceError(
                f"{self._tree.label}: expected recordings with a .txt of the same name beside each,"
                " or a table with columns for audio and text file; found none"
            )

    def audio(self, recording: LongRecording) -> Path:
        """Return a file on this machine that can be read in parts.

        UnusableError if it is missing or not audio.
        """
        if not self._tree.exists(recording.name):
            raise UnusableError(
                "audio_missing", f"{recording.name}: expected a recording, found none"
            )
        self._read[recording.name] = self._cutter.readable(str(self._tree.local(recording.name)))
        return Path(self._read[recording.name])

    def cut(self, recording: LongRecording, start: float, end: float) -> Audio:
        """Write a part of a recording, in s, into the target, as an import would."""
        clip = Clip(
            name=f"{recording.name}#{start:.3f}-{end:.3f}",
            audio=self._read.get(recording.name) or str(self._tree.local(recording.name)),
            transcript="",
            where=recording.name,
            start=start,
            end=end,
        )
        return self._cutter.prepare(clip)

    def _tables(self) -> list[str]:
        if self._tree.only:
            is_table = self._tree.only.lower().endswith(TABLE_SUFFIXES)
            return [self._tree.only] if is_table else []
        suffixes = tuple(each for each in TABLE_SUFFIXES if each != ".txt")
        return [name for name in self._tree.seen(*suffixes) if "/" not in name]

    def _of_tables(self) -> Iterator[LongRecording | SetAside]:
        for name in self._tables():
            opened = open_table(self._tree.local(name), encoding=self._options.encoding)
            rows = [row.values for row in islice(opened.rows(), _LOOK)]
            mapping = self._mapped(name, opened.columns, rows)
            for row in opened.rows():
                yield self._of_row(name, row, mapping)

    def _mapped(
        self, name: str, columns: tuple[str, ...], rows: list[dict[str, str]]
    ) -> dict[str, str]:
        given = dict(self._options.columns)
        if "transcript" not in given:
            files = [each for each in columns if _mostly_texts(rows, each)]
            given |= {"transcript": files[0]} if files else {}
        return map_columns(str(self._tree.root / name), columns, given, rows)

    def _of_row(
        self, table_name: str, row: Row, mapping: dict[str, str]
    ) -> LongRecording | SetAside:
        where = f"{table_name}, row {row.number}"
        audio, text = (row.values[mapping[role]].strip() for role in ("audio", "transcript"))
        if row.problem or not audio or not text:
            reason = row.problem or "expected a recording and its text, found an empty field"
            return SetAside(audio or where, where, "fields", reason)
        if text.lower().endswith(_TEXTS) and "\n" not in text:
            file = beside(self._tree, parent(table_name), text)
            if not self._tree.exists(file):
                reason = f"expected the text file {file}, found none"
                return SetAside(audio, where, "transcript_missing", reason)
            text = read_text(self._tree, file, self._options.encoding)
        place = beside(self._tree, parent(table_name), audio)
        return LongRecording(place, text, table.table_columns(row, mapping))

    def _of_folder(self) -> Iterator[LongRecording | SetAside]:
        for name, text in text_beside_audio.pairs(self._tree):
            if text:
                yield LongRecording(name, read_text(self._tree, text, self._options.encoding))
            else:
                reason = (
                    f"expected a text file {PurePosixPath(name).stem}.txt beside it, found none"
                )
                yield SetAside(name, name, "transcript_missing", reason)


@contextmanager
def open_long_recordings(
    source: str, target: Path, *, columns: str = "", encoding: str = ""
) -> Iterator[LongRecordings]:
    """Yield the recordings of a folder, a table or an archive, local or remote.

    Args:
        source: a path, ``file://``, ``http(s)://`` or ``s3://`` URI.
        target: folder for the clips that are cut.
        columns: roles of a table's columns, as in an import.
        encoding: of texts; empty to detect it.
    """
    with open_source(source, target, keep=False) as opened:
        recordings = LongRecordings(opened.tree, target, columns, encoding)
        try:
            yield recordings
        finally:
            recordings.close()


def _mostly_texts(rows: list[dict[str, str]], column: str) -> bool:
    values = [row[column].strip().lower() for row in rows if row.get(column, "").strip()]
    return bool(values) and sum(each.endswith(_TEXTS) for each in values) * 10 >= len(values) * 9
