"""Manifests of other manifests: one divided into three, or some without their suspects."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.base import DataError
from stt_model.corpus import (
    NEW,
    SPEAKER_COLUMNS,
    SPLITS,
    Speech,
    SplitPlan,
    audio_info,
    digest,
    draw_splits,
    read_dropped,
    read_manifest,
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
    rows = read_manifest(manifest)
    seconds = []
    for row in rows:
        with row_named(row):
            seconds.append(audio_info(row.place).duration)
    speakers = [
        next((row.extra[name] for name in SPEAKER_COLUMNS if row.extra.get(name)), "")
        for row in rows
    ]
    speech = Speech(
        speakers=_digests(speakers),
        texts=_digests([text_key(row.transcript) for row in rows]),
        seconds=np.array(seconds),
        strata=np.zeros(len(rows), np.uint64),
        previous=np.full(len(rows), NEW, np.int8),
    )
    drawn = draw_splits(speech, SplitPlan(**plan))
    for note in drawn.notes:
        log.info("%s", note)
    for number, path in enumerate(paths.values()):
        chosen = [row for row, place in zip(rows, drawn.splits, strict=True) if place == number]
        write_manifest(path, chosen)
        log.info("%s: %d utterances", path, len(chosen))
    return paths


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
        rows = read_manifest(manifest)
        kept = [row for row in rows if row.place not in dropped]
        log.info(
            "%s: %d of %d rows left out as suspects", manifest, len(rows) - len(kept), len(rows)
        )
        if rows and not kept:
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
    held = {row.place for path in paths.values() for row in read_manifest(path)}
    if strangers := held - {row.place for row in read_manifest(manifest)}:
        folder = paths["train"].parent
        raise DataError(
            f"{folder}: expected the splits of {manifest}, found those of other clips, such as"
            f" {min(strangers)}; remove the folder, or give another one"
        )


def _digests(names: Sequence[str]) -> NDArray[np.uint64]:
    return np.array([digest(name) for name in names], np.uint64)
