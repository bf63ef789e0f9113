"""Pseudo-labels: a model's text of clips without transcripts, where the model is certain.

The limit is measured on the dev split: clips are taken up to the uncertainty at which the model's
texts of dev clips have few wrong characters. Few means half of the model's error rate, and at most
10 %, since the second training must learn from better texts than the first model writes.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from stt_model.base import atomic_write
from stt_model.corpus import (
    SAMPLE_RATE,
    AudioError,
    Utterance,
    clip_digest,
    iter_utterances,
    read_audio,
)
from stt_model.corpus.manifests import write_manifest
from stt_model.jobs.listening import Listener, batches
from stt_model.jobs.suggesting import Piece, cut_recordings

log = logging.getLogger(__name__)

MOST_WRONG = 0.1
"""Share of wrong characters, on dev clips that are as certain, above which no clip is taken."""
ALWAYS_RIGHT_ENOUGH = 0.02
"""Share of wrong characters that is accepted, however good the model is."""
FEWEST_CERTAIN = 5
"""Minimum number of dev clips up to the limit; with fewer, it is not reliable."""


@dataclass(frozen=True)
class PseudoLabel:
    """A clip with the text of a model that is certain of it."""

    recording: str
    """Relative to the folder of the recordings."""
    start: float
    """Seconds from the start of the recording."""
    end: float
    uncertainty: float
    """Nats per character."""
    transcript: str
    """The model's text."""


@dataclass(frozen=True)
class Threshold:
    """The uncertainty up to which clips are taken, in nats per character."""

    uncertainty: float
    dev_clips: int
    """Dev clips up to this uncertainty."""
    dev_cer: float
    """The model's character error rate on these."""


def find_threshold(
    uncertainties: Sequence[float], errors: Sequence[int], lengths: Sequence[int]
) -> Threshold | None:
    """Return the highest uncertainty up to which a model's texts of dev clips have few errors.

    None if there are too few such clips.

    Args:
        uncertainties: of the model about each clip.
        errors: wrong characters in its text of each clip.
        lengths: characters of each reference.
    """
    bound = min(MOST_WRONG, max(ALWAYS_RIGHT_ENOUGH, sum(errors) / max(sum(lengths), 1) / 2))
    order = np.argsort(uncertainties, kind="stable")
    rates = np.cumsum(np.take(errors, order)) / np.maximum(np.cumsum(np.take(lengths, order)), 1)
    good = np.flatnonzero(rates <= bound)
    if not len(good) or good[-1] + 1 < FEWEST_CERTAIN:
        return None
    last = good[-1]
    return Threshold(float(uncertainties[order[last]]), int(last) + 1, float(rates[last]))


def measure_threshold(listener: Listener, dev_files: Sequence[Path]) -> Threshold | None:
    """Return ``find_threshold`` of the clips of dev manifests.

    Raises:
        DataError: a manifest or a clip cannot be read.
    """
    from rapidfuzz.distance import Levenshtein

    uncertainties, errors, lengths = [], [], []
    rows = (row for path in dev_files for row in iter_utterances(path))
    for batch in batches(rows):
        for row, heard in zip(
            batch, listener.hear([read_audio(row.place) for row in batch]), strict=True
        ):
            uncertainties.append(heard.uncertainty)
            errors.append(Levenshtein.distance(row.transcript, heard.text))
            lengths.append(len(row.transcript))
    return find_threshold(uncertainties, errors, lengths)


def label_recordings(
    listener: Listener, recordings: Sequence[Path], root: Path, threshold: Threshold
) -> tuple[list[PseudoLabel], int]:
    """Return the clips of recordings that a model is sure of, and how many clips there were."""
    labels, clips = [], 0
    for batch in batches(_pieces(recordings)):
        clips += len(batch)
        for piece, heard in zip(
            batch, listener.hear([each.samples for each in batch]), strict=True
        ):
            if heard.text.strip() and heard.uncertainty <= threshold.uncertainty:
                place = _place(piece, root)
                labels.append(PseudoLabel(*place, heard.uncertainty, heard.text))
        log.info("pseudo-labels: %d of %d clips taken", len(labels), clips)
    return labels, clips


def leave_out_known(recordings: Sequence[Path], manifests: Sequence[Path]) -> list[Path]:
    """Return the recordings whose content is not that of a clip in these manifests.

    A clip of the test split must not be trained on; one of the train split has a better text.
    Clips are compared by content where the sizes are equal.
    """
    sizes = {path.stat().st_size for path in recordings}
    same = (row for path in manifests for row in iter_utterances(path) if row.wav_filesize in sizes)
    known = {clip_digest(row.place) for row in same}
    kept = [path for path in recordings if not known or clip_digest(path) not in known]
    if len(kept) < len(recordings):
        left_out = len(recordings) - len(kept)
        log.info("pseudo-labels: %d recordings left out, which the dataset has", left_out)
    return kept


def write_clips(
    labels: Sequence[PseudoLabel], recordings: Sequence[Path], root: Path, folder: Path
) -> Path:
    """Cut the clips into a folder, 16 kHz and 16 bits, and return a manifest of them.

    The clips have the same names and sizes each time.
    """
    wanted = {
        (each.recording, each.start, each.end): (number, each)
        for number, each in enumerate(labels, start=1)
    }
    names = {each.recording for each in labels}
    used = [path for path in recordings if _name(path, root) in names]
    manifest = folder / "train.csv"
    rows = []
    for piece in _pieces(used):
        if (place := _place(piece, root)) in wanted:
            number, label = wanted[place]
            path = folder / f"pseudo-{number:06}.wav"
            soundfile.write(path, piece.samples, SAMPLE_RATE, subtype="PCM_16")
            size = path.stat().st_size
            rows.append(Utterance(path.name, path, size, label.transcript, number, manifest))
    write_manifest(manifest, rows)
    return manifest


def _pieces(recordings: Sequence[Path]) -> Iterator[Piece]:
    """Yield the clips of all recordings that can be read."""
    for path in recordings:
        try:
            yield from cut_recordings([path])
        except AudioError as error:
            # These recordings were not validated, and there may be many.
            log.warning("pseudo-labels: left out: %s", error)


def write_list(labels: Sequence[PseudoLabel], path: Path) -> None:
    """Write the list of clips, for people and for a run that resumes."""
    with atomic_write(path) as beside, beside.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(PseudoLabel.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(each) for each in labels)


def read_list(path: Path) -> list[PseudoLabel]:
    """Return the clips of ``write_list``."""
    with path.open(encoding="utf-8", newline="") as handle:
        return [
            PseudoLabel(
                row["recording"],
                float(row["start"]),
                float(row["end"]),
                float(row["uncertainty"]),
                row["transcript"],
            )
            for row in csv.DictReader(handle)
        ]


def _place(piece: Piece, root: Path) -> tuple[str, float, float]:
    return _name(piece.recording, root), round(piece.start, 3), round(piece.end, 3)


def _name(recording: Path, root: Path) -> str:
    return recording.relative_to(root).as_posix()
