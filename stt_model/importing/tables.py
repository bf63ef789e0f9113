"""Read tables, detecting delimiter and encoding.

Supported are fields separated by commas, tabs, semicolons or ``|``, with or without a byte order
mark, in UTF-8, UTF-16 or Latin-1; and Excel workbooks.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from charset_normalizer import from_bytes

from stt_model.base import one_line
from stt_model.importing.clip import ImportSourceError, needs
from stt_model.importing.columns import names_needed
from stt_model.importing.tree import is_media, reading, reason_of

TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".xlsm", ".txt", ".psv")

_FIELD_LIMIT = 1 << 27
_SAMPLE = 1 << 18
_LINES = 50
_WESTERN = ("latin_1", "cp1252", "iso8859_15", "iso8859_9", "cp1254", "cp1250", "cp850", "cp437")
"""Guesses that are accepted as Windows-1252, the superset of Latin-1, without asking."""
_OFFERED = (
    *("cp125", "cp86", "cp87", "cp93", "cp94", "iso8859_", "koi8", "mac_", "utf_16", "utf_32"),
    *("shift_jis", "euc_", "gb", "cp95", "tis_620"),
)
"""Prefixes of the names of common encodings; other guesses are not shown."""


class Row(NamedTuple):
    """One row of a table, by column; ``problem`` if it does not fit the header."""

    number: int
    """Data row, from 1."""
    values: dict[str, str]
    problem: str = ""


@dataclass(frozen=True)
class Table:
    """A table and how to read it."""

    path: Path
    columns: tuple[str, ...]
    encoding: str
    delimiter: str
    quoted: bool
    has_header: bool
    sheets: tuple[str, ...] = ()
    """The sheets of a workbook that are read, one after another."""
    left_out: tuple[str, ...] = ()
    """The sheets that are not read."""

    def rows(self) -> Iterator[Row]:
        """Yield all rows; ImportSourceError, with the row, if rows cannot be separated."""
        for number, fields in enumerate(self._filled(), start=1):
            # Spreadsheets omit empty fields at the end of a row.
            surplus = [field for field in fields[len(self.columns) :] if field.strip()]
            values = dict.fromkeys(self.columns, "") | dict(zip(self.columns, fields, strict=False))
            problem = ""
            if surplus:
                problem = f"expected {len(self.columns)} fields, found {len(fields)}"
            yield Row(number, values, problem)

    def _filled(self) -> Iterator[list[str]]:
        """Yield the rows below the header, of each sheet, that are not empty."""
        is_text = bool(self.delimiter)
        sheets = [_excel(self.path, sheet) for sheet in self.sheets]
        for lines in [self._lines()] if is_text else sheets:
            filled = (fields for fields in lines if any(map(str.strip, fields)))
            yield from islice(filled, int(self.has_header), None)

    def _lines(self) -> Iterator[list[str]]:
        number = 0
        try:
            with self.path.open(encoding=self.encoding, newline="") as handle:
                for number, fields in enumerate(_reader(handle, self.delimiter, self.quoted)):  # noqa: B007
                    yield fields
        except UnicodeDecodeError as error:
            found = f"byte {error.object[error.start]:#04x}"
            raise ImportSourceError(
                f"{self.path}: expected {self.encoding}, found {found} after row {number}; save the"
                " file as UTF-8, or name its encoding with --encoding"
            ) from error
        except csv.Error as error:
            raise ImportSourceError(
                f"{self.path}: expected CSV with balanced quotes, found an error after row"
                f" {number}: {error}; check the quotes there"
            ) from error


def open_table(path: Path, *, encoding: str = "", quoted: bool | None = None) -> Table:
    """Detect the format of a table, and its columns.

    A table whose first row names a recording has no header: its columns are called ``column 1`` and
    so on. ``quoted`` says whether fields are quoted; None to detect it.
    ImportSourceError if it is not a table.
    """
    sheets: list[str] = []
    left_out: list[str] = []
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        header, sheets, left_out = _choose_sheets(path)
        delimiter, encoding, quoted = "", "utf-8", True
    else:
        encoding = find_encoding(path, encoding)
        with reading(path), path.open(encoding=encoding, newline="") as handle:
            lines = [line for _, line in zip(range(_LINES), handle, strict=False)]
        delimiter = _find_delimiter(lines)
        if quoted is None:
            # In tables separated by tabs or |, quotation marks mostly belong to the text.
            quoted = delimiter not in "\t|" or _all_quoted(lines, delimiter)
        try:
            rows = _reader(lines, delimiter, quoted)
            header = next((row for row in rows if any(map(str.strip, row))), [])
        except csv.Error as error:
            raise ImportSourceError(f"{path}: expected a header, found: {error}") from error
    has_header = not any(map(is_media, header))
    columns = [each.strip() for each in header] if has_header else []
    columns = [name or f"column {at}" for at, name in enumerate(columns, start=1)]
    if not has_header:
        columns = [f"column {at}" for at in range(1, len(header) + 1)]
    if twice := {name for name in columns if columns.count(name) > 1}:
        raise ImportSourceError(
            f"{path}: expected each column once, found {one_line(', '.join(sorted(twice)))} twice;"
            " rename one"
        )
    return Table(
        path,
        tuple(columns),
        encoding,
        delimiter,
        quoted,
        has_header,
        tuple(sheets),
        tuple(left_out),
    )


def find_encoding(path: Path, given: str = "") -> str:
    """Return the encoding of a text file; ImportSourceError if it cannot be detected.

    Valid UTF-8 is UTF-8. Otherwise a byte order mark or the frequency of letters decides; an
    encoding that is not Western European must be given, since such guesses are often wrong.
    """
    if given:
        try:
            return codecs.lookup(given).name
        except LookupError:
            raise ImportSourceError(
                f"--encoding: expected the name of an encoding such as utf-8 or cp1251, found"
                f" {given!r}"
            ) from None
    with reading(path), path.open("rb") as file:
        sample = file.read(_SAMPLE)
        if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        lines = 1
        try:
            block = sample
            while block:
                decoder.decode(block)
                lines += block.count(b"\n")
                block = file.read(1 << 20)
            decoder.decode(b"", final=True)
            return "utf-8-sig"
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            lines += before.count(b"\n")
            if sample.isascii():
                sample = block or before
    if _is_mostly_utf8(sample):
        raise ImportSourceError(
            f"{path}: expected UTF-8, found other bytes in line {lines}, while the rest is UTF-8;"
            " write that line again"
        )
    best = from_bytes(sample).best()
    if best and best.encoding in _WESTERN and _western(sample):
        return "cp1252"
    guess = best.encoding if best and best.encoding.startswith(_OFFERED) else ""
    found = f"bytes that look like {guess}" if guess else "bytes of another encoding, or no text"
    hint = guess or "NAME, such as cp1252 or cp1251"
    raise ImportSourceError(
        f"{path}: expected UTF-8, found {found}; save the file as UTF-8, or name its encoding:"
        f" --encoding {hint}"
    )


def _is_mostly_utf8(sample: bytes) -> bool:
    """Tell whether only a few bytes are wrong; in another encoding many would be."""
    beyond = [each for each in sample.decode("utf-8", "replace") if ord(each) > 0x7F]
    # A character that is cut off at the end of the sample counts as one wrong byte.
    return 0 < beyond.count("\ufffd") * 5 <= len(beyond)


def _western(sample: bytes) -> bool:
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    beyond = [each for each in text if ord(each) > 0x7F]
    return sum(map(str.isalpha, beyond)) * 2 >= len(beyond)


def _reader(
    lines: Iterator[str] | list[str] | object, delimiter: str, quoted: bool
) -> Iterator[list[str]]:
    csv.field_size_limit(_FIELD_LIMIT)
    if quoted:
        return csv.reader(lines, delimiter=delimiter, strict=True)  # type: ignore[arg-type]
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)  # type: ignore[arg-type]


def _find_delimiter(lines: list[str]) -> str:
    """Return the delimiter that splits the first lines most consistently into the most fields."""

    def score(delimiter: str) -> tuple[float, int]:
        counts = []
        try:
            for fields in _reader(lines[:-1] or lines, delimiter, delimiter not in "\t|"):
                counts.append(len(fields))
        except csv.Error:
            pass
        if not counts or counts[0] < 2:
            return 0.0, 0
        return counts.count(counts[0]) / len(counts), counts[0]

    best = max("\t;,|", key=score)
    return best if score(best)[1] > 1 else ","


def _all_quoted(lines: list[str], delimiter: str) -> bool:
    fields = [field for line in lines[:5] for field in line.rstrip("\r\n").split(delimiter)]
    return all(len(field) > 1 and field[0] == field[-1] == '"' for field in fields if field)


def _choose_sheets(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Return the header of the sheets with clips, their names, and those of the others.

    Sheets whose headers name audio and transcripts have clips, or else the first with any row.
    Those with the same header as the first of them are one table.
    """
    headers = {}
    with _workbook(path) as book:
        for sheet in book.worksheets:
            filled = (row for row in _sheet_rows(sheet) if any(map(str.strip, row)))
            if header := next(filled, None):
                headers[str(sheet.title)] = header
    named = [name for name, header in headers.items() if names_needed(header)]
    first = next(iter(named or headers), "")
    header = headers.get(first, [])
    chosen = [name for name in named if headers[name] == header] or [first] * bool(first)
    return header, chosen, [name for name in headers if name not in chosen]


def _excel(path: Path, sheet: str) -> Iterator[list[str]]:
    with _workbook(path) as book:
        yield from _sheet_rows(book[sheet])


def _sheet_rows(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows(values_only=True):
        yield [_shown(value) for value in row]


@contextmanager
def _workbook(path: Path) -> Iterator[Any]:
    openpyxl = needs("openpyxl", "openpyxl", "Excel")
    with reading(path):
        try:
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except Exception as error:  # a damaged zip archive can make it raise anything
            raise ImportSourceError(
                f"{path}: expected an Excel workbook, found: {reason_of(error)}; save it again,"
                " or as CSV"
            ) from error
        try:
            yield book
        finally:
            book.close()


def _shown(value: object) -> str:
    if value is None:
        return ""
    # Excel stores every number as a float.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
