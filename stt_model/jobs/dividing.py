"""One manifest as training, dev and test set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stt_model.corpus import (
    NEW,
    SPLITS,
    Speech,
    SplitPlan,
    audio_info,
    digest,
    draw_splits,
    read_manifest,
    row_named,
    text_key,
)
from stt_model.corpus.manifests import write_manifest

log = logging.getLogger(__name__)

_SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id")


def divide_manifest(manifest: str | Path, folder: str | Path) -> dict[str, Path]:
    """Write ``train.csv``, ``dev.csv`` and ``test.csv`` of one manifest, and return their paths.

    No text, and where a column names speakers no speaker, is in two of them. Where the folder
    holds the three already, they are taken as they are, so that a run can go on.

    Raises:
        DataError: the manifest or a clip cannot be read, or there is too little to divide.
    """
    paths = {split: Path(folder) / f"{split}.csv" for split in SPLITS}
    if all(path.is_file() for path in paths.values()):
        log.info("%s: taking the splits that are there", folder)
        return paths
    rows = read_manifest(manifest)
    seconds = []
    for row in rows:
        with row_named(row):
            seconds.append(audio_info(row.place).duration)
    speakers = [
        next((row.extra[name] for name in _SPEAKER_COLUMNS if row.extra.get(name)), "")
        for row in rows
    ]
    speech = Speech(
        speakers=_digests(speakers),
        texts=_digests([text_key(row.transcript) for row in rows]),
        seconds=np.array(seconds),
        strata=np.zeros(len(rows), np.uint64),
        previous=np.full(len(rows), NEW, np.int8),
    )
    drawn = draw_splits(speech, SplitPlan())
    for note in drawn.notes:
        log.info("%s", note)
    for number, path in enumerate(paths.values()):
        chosen = [row for row, place in zip(rows, drawn.splits, strict=True) if place == number]
        write_manifest(path, chosen)
        log.info("%s: %d utterances", path, len(chosen))
    return paths


def _digests(names: Sequence[str]) -> NDArray[np.uint64]:
    return np.array([digest(name) for name in names], np.uint64)
