"""Manifests of other manifests: one divided into three, or some without their suspects."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.base import (
    DataError,
    Progress,
    Spool,
    SpooledList,
    SpooledNumbers,
    SpooledSequence,
    in_parallel,
)
from stt_model.corpus import (
    HEADER_THREADS,
    NEW,
    SPEAKER_COLUMNS,
    SPLITS,
    Speech,
    SplitPlan,
    Utterance,
    audio_info,
    digest,
    draw_splits,
    iter_utterances,
    read_dropped,
    row_named,
    text_key,
)
from stt_model.corpus.manifests import write_manifest
from stt_model.jobs.reports import given_file

log = logging.getLogger(__name__)


def divide_manifest(manifest: str | Path, folder: str | Path, **plan: Any) -> dict[str, Path]:
    """Write ``train.csv``, ``dev.csv`` and ``test.csv`` of one manifest, and return their paths.

    No text is in two of them, and no speaker if a column names speakers. ``plan`` are fields of
    ``SplitPlan``. If the folder holds the three files already, they are used as they are, so that a
    run can resume.

    Raises:
        DataError: the manifest or a clip cannot be read, there is too little to divide, or the
            folder holds splits of other clips.
    """
    paths = {split: Path(folder) / f"{split}.csv" for split in SPLITS}
    if all(path.is_file() for path in paths.values()):
        _check_same_clips(manifest, paths)
        log.info("%s: using the existing splits", folder)
        return paths
    rows, places = Spool[Utterance](), SpooledNumbers()
    for row in iter_utterances(manifest):
        places.append(rows.append(row))
    drawn = draw_splits(_speech(rows, len(places)), SplitPlan(**plan))
    for note in drawn.notes:
        log.info("%s", note)
    for number, path in enumerate(paths.values()):
        chosen = SpooledNumbers()
        for at in np.flatnonzero(drawn.splits == number):
            chosen.append(places[int(at)])
        write_manifest(path, SpooledSequence[Utterance](rows, chosen, lambda row: row))
        log.info("%s: %d utterances", path, len(chosen))
    return paths


def _speech(rows: Spool[Utterance], count: int) -> Speech:
    """Return what splits are drawn by, of so many rows; the header of each clip is read."""

    def measure(row: Utterance) -> tuple[Utterance, float]:
        with row_named(row):
            return row, audio_info(row.place).duration

    speech = Speech(
        speakers=np.zeros(count, np.uint64),
        texts=np.zeros(count, np.uint64),
        seconds=np.zeros(count),
        strata=np.zeros(count, np.uint64),
        previous=np.full(count, NEW, np.int8),
    )
    every_row = (row for _, row in rows)
    with Progress("measuring", count) as progress:
        measured = in_parallel(measure, every_row, workers=HEADER_THREADS)
        for at, (row, seconds) in enumerate(measured):
            named = (row.extra[name] for name in SPEAKER_COLUMNS if row.extra.get(name))
            speech.speakers[at] = digest(next(named, ""))
            speech.texts[at] = digest(text_key(row.transcript))
            speech.seconds[at] = seconds
            progress.update(1, seconds)
    return speech


def leave_out_suspects(
    manifests: Sequence[str | Path], suspects: str | Path, folder: str | Path
) -> list[Path]:
    """Write manifests without the rows that a list of suspects marks with ``drop``; return them.

    Args:
        manifests: CSV files in Coqui's form.
        suspects: ``suspects.csv`` of an earlier run, as a path or URI.
        folder: where the new manifests go; they are the same at each call.

    Raises:
        DataError: a file cannot be read, or nothing is left of a manifest.
    """
    with given_file(str(suspects)) as path:
        dropped = read_dropped(path) if path else {}
    written = []
    for number, manifest in enumerate(manifests):
        kept: SpooledList[Utterance] = SpooledList()
        count = 0
        for row in iter_utterances(manifest):
            count += 1
            if row.place not in dropped:
                kept.append(row)
        log.info("%s: %d of %d rows left out as suspects", manifest, count - len(kept), count)
        if count and not kept:
            raise DataError(
                f"{suspects}: expected rows to keep in {manifest}, found every row marked to be"
                " dropped"
            )
        # Manifests of two folders may have the same name.
        written.append(Path(folder) / f"{number}-{Path(manifest).stem}.csv")
        write_manifest(written[-1], kept)
    return written


def _check_same_clips(manifest: str | Path, paths: dict[str, Path]) -> None:
    """Refuse splits that an earlier call made of another manifest."""
    known = _digests_of_clips(manifest)
    for path in paths.values():
        is_known = np.isin(_digests_of_clips(path), known)
        if not is_known.all():
            stranger = next(compress(iter_utterances(path), ~is_known))
            raise DataError(
                f"{path.parent}: expected the splits of {manifest}, found those of other clips,"
                f" such as {stranger.place}; remove the folder, or give another one"
            )


def _digests_of_clips(manifest: str | Path) -> NDArray[np.uint64]:
    return np.fromiter((digest(row.place) for row in iter_utterances(manifest)), np.uint64)
