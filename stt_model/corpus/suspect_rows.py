"""Read the list of suspects after a person's review: which clips the next run leaves out."""

from __future__ import annotations

import csv
from pathlib import Path

from stt_model.base import DataError, read_boolean

COLUMNS = ("drop", "why", "wav_filename")


def read_dropped(path: Path | str) -> dict[str, str]:
    """Return the reasons to drop clips, by place, for the rows whose column ``drop`` is yes.

    DataError, naming the file and the row, for a file that is not a list of suspects.
    """
    dropped = {}
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            found = reader.fieldnames or []
            if missing := [column for column in COLUMNS if column not in found]:
                raise DataError(
                    f"{path}: expected a list of suspects with the columns {', '.join(COLUMNS)},"
                    f" found no {', '.join(missing)}; give the suspects.csv of an earlier run"
                )
            for number, row in enumerate(reader, start=1):
                if _is_yes(row["drop"] or "", f"{path}, row {number}"):
                    dropped[row["wav_filename"]] = row["why"]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file in UTF-8: {error}") from error
    return dropped


def _is_yes(text: str, where: str) -> bool:
    try:
        return read_boolean(text.strip()) if text.strip() else False
    except ValueError as problem:
        raise DataError(f"{where}: column drop: {problem}") from None
