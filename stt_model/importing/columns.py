"""Guess the role of each column of a table from its name or content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from stt_model.corpus import SPEAKER_COLUMNS
from stt_model.importing.clip import ImportSourceError
from stt_model.importing.tree import is_media

_NAMES = f"""
audio: wav_filename audio audio_path audio_file audio_filepath audiofile path file filename
audio: file_name file_path filepath wav wav_path wavfile clip clip_path recording sound uri url
audio: mp3 flac
transcript: transcript transcription sentence text normalized_text normalised_text raw_text words
transcript: transcripts utterance label prompt orthography caption content phrase raw_transcript
speaker: {" ".join(SPEAKER_COLUMNS)}
gender: gender sex speaker_gender
age: age age_group speaker_age
accent: accent accents dialect variety region
licence: licence license
source: source corpus dataset
start: start start_time begin onset offset start_seconds from
end: end end_time stop offset_end end_seconds to
duration: duration seconds length duration_seconds
split: split subset set partition
"""
NAMES: dict[str, list[str]] = {}
"""Role → usual names of its columns in lower case, the most certain first."""
for _line in _NAMES.strip().splitlines():
    NAMES.setdefault(_line.partition(": ")[0], []).extend(_line.partition(": ")[2].split())
NEEDED = ("audio", "transcript")
KEPT = ("speaker", "gender", "age", "accent", "licence", "source")
"""Roles whose columns are kept under the role's name."""


def parse_columns(text: str) -> dict[str, str]:
    """Parse roles and columns such as ``audio=file,transcript=sentence``; DataError if invalid."""
    given = {}
    for part in filter(None, map(str.strip, text.split(","))):
        role, separator, column = part.partition("=")
        role = "licence" if role == "license" else role.strip()
        if not separator or role not in NAMES or not column.strip():
            raise ImportSourceError(
                f"--columns: expected ROLE=COLUMN with a role of {', '.join(NAMES)}, found {part!r}"
            )
        given[role] = column.strip()
    return given


def map_columns(
    table: str,
    columns: Sequence[str],
    given: Mapping[str, str],
    rows: Iterable[Mapping[str, str]] = (),
    needed: Sequence[str] = NEEDED,
) -> dict[str, str]:
    """Return role → column: from ``given``, otherwise from names, otherwise from ``rows``.

    ImportSourceError if a given column is missing, or a needed one cannot be found.
    """
    for role, column in given.items():
        if column not in columns:
            raise ImportSourceError(
                f"{table}: expected the column {column!r} for {role}, found {', '.join(columns)}"
            )
    found = dict(given)
    by_name = {_plain(column): column for column in reversed(columns)}
    for role, names in NAMES.items():
        match = next((by_name[name] for name in names if name in by_name), "")
        if role not in found and match and match not in found.values():
            found[role] = match
    samples = list(rows)
    free = [column for column in columns if column not in found.values()]
    if "audio" not in found or not _mostly_media(samples, found["audio"]):
        media = next((column for column in free if _mostly_media(samples, column)), "")
        if media and "audio" not in given:
            found["audio"] = media
            free.remove(media)
    if "transcript" not in found and samples and "audio" in found:
        texts = [column for column in free if _is_text(samples, column)]
        if len(texts) == 1:
            found["transcript"] = texts[0]
    if missing := [role for role in needed if role not in found]:
        # A first row with unnamed columns is a title rather than a header.
        is_title = any(re.fullmatch(r"column \d+", each) for each in columns)
        hint = "the first row must name the columns, with no title above; or " if is_title else ""
        raise ImportSourceError(
            f"{table}: expected a column for {' and one for '.join(missing)}, found"
            f" {', '.join(columns) or 'no columns'}; {hint}say which is which, as in --columns"
            " audio=path,transcript=sentence"
        )
    return found


def names_needed(columns: Iterable[str]) -> bool:
    """Tell whether a header names audio and transcript by usual names."""
    names = set(map(_plain, columns))
    return all(names.intersection(NAMES[role]) for role in NEEDED)


def describe(mapping: Mapping[str, str]) -> str:
    """Describe which column has which role."""
    return ", ".join(f"{role} from {column!r}" for role, column in mapping.items())


def _plain(column: str) -> str:
    return re.sub(r"[\s\-.]+", "_", column.strip().lower())


def _mostly_media(rows: Sequence[Mapping[str, str]], column: str) -> bool:
    values = [row[column] for row in rows if row.get(column, "").strip()]
    return bool(values) and sum(map(is_media, values)) * 10 >= len(values) * 9


def _is_text(rows: Sequence[Mapping[str, str]], column: str) -> bool:
    values = [row[column] for row in rows if row.get(column, "").strip()]
    letters = sum(sum(map(str.isalpha, value)) for value in values)
    spaces = sum(value.strip().count(" ") for value in values)
    return bool(values) and spaces * 2 >= len(values) and letters * 2 > sum(map(len, values))
