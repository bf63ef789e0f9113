"""A corpus on disk: CSV manifests in Coqui's format, one per split."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stt_model.base import DataError, atomic_write, check_name, open_regular
from stt_model.corpus import sample_databases, tar_samples
from stt_model.corpus.clip_places import member_name
from stt_model.corpus.stored_manifests import bring_manifests
from stt_model.storage import is_stored, local_path

SPLITS = ("train", "dev", "test")
COLUMNS = ("wav_filename", "wav_filesize", "transcript")
SPEAKER_COLUMNS = (
    *("speaker", "speaker_id", "speakerid", "spk", "spk_id", "client_id", "user", "user_id"),
    *("reader", "reader_id", "participant", "participant_id", "voice", "speaker_name"),
)
"""Usual names of the column with the speaker; the first that is not empty counts."""

_COLLECTIONS = {
    sample_databases.SUFFIX: sample_databases.iter_samples,
    tar_samples.SUFFIX: tar_samples.iter_samples,
}

# Transcripts longer than the csv module's default limit of 128 KiB are valid rows.
_FIELD_LIMIT = 1 << 27
_LONGEST_HEADER = 1 << 16


class ManifestError(DataError):
    """A file that is not a valid manifest."""

    def __init__(self, source: Path, expected: str, found: str) -> None:
        super().__init__(f"{source}: expected {expected}, found {found}")
        self.expected, self.found = expected, found


@dataclass(frozen=True)
class Utterance:
    """One row of a manifest."""

    wav_filename: str
    """As it is in the manifest."""
    path: Path
    """Absolute; a relative ``wav_filename`` is relative to the manifest's folder."""
    wav_filesize: int
    """Bytes; 0 if the manifest has no whole number there."""
    transcript: str
    row: int
    """Data row in ``source``, from 1: the header and blank lines do not count."""
    source: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    """The columns beyond Coqui's three."""

    @property
    def place(self) -> str:
        """Where the clip is, as ``corpus.clips`` opens it: ``path``, or a URI in a store."""
        return self.wav_filename if is_stored(self.wav_filename) else str(self.path)


@dataclass(frozen=True)
class RaggedRow:
    """A row with more or fewer fields than the header has columns."""

    columns: tuple[str, ...]
    fields: tuple[str, ...]
    row: int
    source: Path

    def __str__(self) -> str:
        hint = (
            "put a transcript that holds a comma in quotes"
            if len(self.fields) > len(self.columns)
            else "add what is missing"
        )
        return (
            f"{self.source}, row {self.row}: expected {len(self.columns)} fields, "
            f"found {len(self.fields)}; {hint}"
        )


def iter_manifest(csv_path: Path | str) -> Iterator[Utterance | RaggedRow]:
    """Yield every row of a manifest, in order, without keeping any.

    It may also be a sample database of Coqui (``.sdb``) or an uncompressed tar file in WebDataset's
    format (``.tar``), whose samples are the rows, with an empty transcript if they have none.
    A CSV file is UTF-8, with or without a byte order mark; any line ends; fields may be quoted.
    ManifestError, naming the file, if it cannot be read, lacks a column, is not UTF-8, or has
    unbalanced quotes (rows cannot be separated then).
    """
    source = Path(csv_path).absolute()
    check_name(source)
    if source.suffix.lower() in _COLLECTIONS:
        yield from _iter_collection(source)
        return
    try:
        with io.TextIOWrapper(open_regular(source), encoding="utf-8-sig", newline="") as handle:
            yield from _iter_rows(source, _reader(handle))
    except OSError as error:
        raise ManifestError(source, "a readable file", f"{error.strerror}") from error
    except UnicodeDecodeError as error:
        found = f"byte {error.object[error.start]:#04x} ({error.reason}); save the file as UTF-8"
        raise ManifestError(source, "UTF-8", found) from error


def _iter_collection(source: Path) -> Iterator[Utterance]:
    try:
        for row, sample in enumerate(_COLLECTIONS[source.suffix.lower()](source), start=1):
            place = member_name(str(source), sample.name, sample.start, sample.size)
            text = sample.transcript or ""
            yield Utterance(place, Path(place), sample.size, text, row, source)
    except OSError as error:
        raise ManifestError(source, "a readable file", f"{error.strerror}") from error


def _reader(handle: Iterable[str]) -> Iterator[list[str]]:
    csv.field_size_limit(_FIELD_LIMIT)
    return csv.reader(handle, strict=True)


def _iter_rows(source: Path, reader: Iterator[list[str]]) -> Iterator[Utterance | RaggedRow]:
    rows = filter(None, _readable(source, reader))
    columns = _check_columns(source, next(rows, []))
    for row, fields in enumerate(rows, start=1):
        if len(fields) != len(columns):
            yield RaggedRow(columns, tuple(fields), row, source)
            continue
        values = dict(zip(columns, fields, strict=True))
        name, size, transcript = (values.pop(column) for column in COLUMNS)
        path = source.parent / name
        yield Utterance(name, path, _parse_size(size), transcript, row, source, values)


def _readable(source: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    row = 0
    try:
        for row, fields in enumerate(reader):  # noqa: B007 (the number is for the message)
            yield fields
    except csv.Error as error:
        if not row:
            _check_separators(source, _first_line(source))
        found = f"an error after row {row}: {error}; check the quotes there"
        raise ManifestError(source, "CSV with balanced quotes", found) from error


def _check_columns(source: Path, header: list[str]) -> tuple[str, ...]:
    missing = [column for column in COLUMNS if column not in header]
    if len(header) == 1:
        _check_separators(source, header[0])
    if missing or len(set(header)) != len(header):
        raise ManifestError(
            source,
            f"the columns {','.join(COLUMNS)} in the first line, and none twice"
            " (stt-bootstrap import makes such manifests of other tables)",
            repr(",".join(header)[:200]),
        )
    return tuple(header)


def _check_separators(source: Path, header: str) -> None:
    """Refuse a table whose columns are separated by another character, and name it."""
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if set(COLUMNS) <= {each.strip('"') for each in header.strip().split(separator)}:
            raise ManifestError(
                source,
                "columns separated by commas",
                f"{name}; save it as CSV with commas (in a spreadsheet: Save As, field delimiter)",
            )


def _first_line(source: Path) -> str:
    with open_regular(source) as file:
        return file.readline(_LONGEST_HEADER).decode("utf-8-sig", "replace")


def _parse_size(text: str) -> int:
    try:
        # If one field is empty, some tools write the whole column as floats: "93638.0".
        number = float(text)
    except ValueError:
        return 0
    return int(number) if math.isfinite(number) and number > 0 else 0


def iter_utterances(csv_path: Path | str) -> Iterator[Utterance]:
    """Yield every row of a manifest, in order, without keeping any.

    ManifestError as in ``iter_manifest``; DataError for a row with too many or too few fields.
    """
    for row in iter_manifest(csv_path):
        if isinstance(row, RaggedRow):
            raise DataError(str(row))
        yield row


def read_manifest(csv_path: Path | str) -> list[Utterance]:
    """Read a whole manifest, with the errors of ``iter_utterances``."""
    return list(iter_utterances(csv_path))


def write_manifest(
    path: Path | str, utterances: Iterable[Utterance], *, relative: bool = False
) -> None:
    """Write a manifest, whole or not at all.

    Audio paths are absolute, or as in the utterances if ``relative``.

    Extra columns are kept; an utterance without one of them gets an empty field. A sequence is
    iterated twice, and need not be in memory.
    """
    if not isinstance(utterances, Sequence):
        utterances = list(utterances)
    extra = dict.fromkeys(column for each in utterances for column in each.extra)
    with atomic_write(path) as beside, beside.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(
            handle,
            (*COLUMNS, *extra),
            restval="",
            lineterminator="\n",
            # Minimal quoting leaves a bare CR unquoted, which readers take for a line end.
            quoting=csv.QUOTE_NONNUMERIC,
        )
        writer.writeheader()
        for each in utterances:
            values = (
                each.wav_filename if relative else each.place,
                each.wav_filesize,
                each.transcript,
            )
            writer.writerow({**each.extra, **dict(zip(COLUMNS, values, strict=True))})


def find_splits(root: Path | str) -> dict[str, Path]:
    """Return the manifests in a folder (a path, ``file://`` or ``s3://`` URI) by split.

    ``train.csv`` and ``dev.csv`` must exist, otherwise DataError names what is missing;
    ``test.csv`` is optional. Manifests in a store are fetched
    (``stt_model.corpus.stored_manifests``); StoreError if it does not answer.
    """
    if is_stored(str(root)):
        found = bring_manifests(str(root), [f"{split}.csv" for split in SPLITS])
    else:
        folder = local_path(str(root))
        if not folder.is_dir():
            raise DataError(f"{root}: expected a folder with train.csv and dev.csv, found none")
        try:
            paths = [path for path in folder.iterdir() if path.suffix == ".csv"]
            found = {path.name: path for path in paths if path.is_file()}
        except OSError as error:
            raise DataError(f"{root}: cannot be read: {error.strerror}") from error
    if missing := [name for name in ("train.csv", "dev.csv") if name not in found]:
        held = ", ".join(sorted(found)) or "no CSV file"
        hint = f"; to split one file: stt-bootstrap import {root}/{_only(found)} TARGET"
        raise DataError(
            f"{root}: expected {' and '.join(missing)}, found {held}{hint if _only(found) else ''}"
        )
    return {split: found[f"{split}.csv"] for split in SPLITS if f"{split}.csv" in found}


def _only(found: Mapping[str, Path]) -> str:
    """Return the name of the only manifest; "" for none or several."""
    return next(iter(found)) if len(found) == 1 else ""
