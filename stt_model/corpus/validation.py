"""A corpus checked: all findings together."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stt_model.base import usable_cpus
from stt_model.corpus.audio import (
    AudioError,
    audio_info,
    clip_size,
    read_audio,
)
from stt_model.corpus.checks import (
    CORPUS_CHECKS,
    FIELDS,
    FULL_SCALE,
    MANIFEST,
    UTTERANCE_CHECKS,
    Discrepancy,
    Item,
    Limits,
    Measurement,
    Settings,
    place_of,
)
from stt_model.corpus.dataset import row_named
from stt_model.corpus.manifests import ManifestError, RaggedRow, Utterance, iter_manifest
from stt_model.corpus.validation_report import Check, Finding, Rejected, Severity, ValidationResult
from stt_model.text import (
    Alphabet,
    NormalisationLog,
    Normaliser,
    normalise,
    shorten,
)

_CHUNK = 1024
"""Rows handed to the threads at once, so that a corpus of any size needs little memory."""
CHECKS: tuple[Check, ...] = (
    Check(MANIFEST, "error", "The file is no manifest that can be read to its end."),
    Check(FIELDS, "error", "The row has more or fewer fields than the header has columns."),
    *(
        Check(check.__name__, severity, (check.__doc__ or "").strip())
        for check, severity in (*UTTERANCE_CHECKS.items(), *CORPUS_CHECKS.items())
    ),
)
"""All checks, as the report explains them."""


def validate(
    splits: Mapping[str, Path],
    *,
    alphabet: Alphabet | None = None,
    limits: Limits | None = None,
    strict: bool = False,
    workers: int | None = None,
    normaliser: Normaliser | None = None,
    dropped: Mapping[str, str] | None = None,
) -> ValidationResult:
    """Run every check on every row and every audio file.

    ``splits`` names the manifests, from the one trained on to the most held out. With an
    ``alphabet``, transcripts must keep to it. With ``strict``, ``ValidationResult.write`` refuses a
    corpus with any error. A ``normaliser`` writes the transcripts before they are checked: what it
    sets aside is rejected. ``dropped`` says by place why clips are to be left out of training, as
    ``read_dropped`` reads it. ``workers`` threads decode audio (default: one a processor).
    Nothing in a manifest or an audio file makes this raise: it becomes a finding. A store that does
    not answer does: StoreError, which names the row.
    """
    settings = Settings(alphabet, limits or Limits(), dropped or {})
    log = _Log(splits)
    rows = [(split, row) for split in splits for row in _read(split, splits[split], log)]
    normalisation = NormalisationLog(normaliser) if normaliser else None
    items = list(_inspect_all(rows, settings.limits, workers, normalisation))
    for check, severity in UTTERANCE_CHECKS.items():
        for item in items:
            if discrepancy := check(item, settings):
                log.add(item.split, item.utterance.row, check.__name__, severity, discrepancy)
    for corpus_check, severity in CORPUS_CHECKS.items():
        sound = [item for item in items if not log.rejects(item.split, item.utterance.row)]
        for item, discrepancy in corpus_check(sound, settings):
            log.add(item.split, item.utterance.row, corpus_check.__name__, severity, discrepancy)
    return replace(_result(splits, rows, items, log, strict), normalisation=normalisation)


class _Log:
    """Collects findings by split and row."""

    def __init__(self, splits: Mapping[str, Path]) -> None:
        self._files = {split: str(path) for split, path in splits.items()}
        self._findings: dict[tuple[str, int], list[Finding]] = {}

    def add(
        self, split: str, row: int, check: str, severity: Severity, discrepancy: Discrepancy
    ) -> None:
        finding = Finding(check, severity, self._files[split], row, *discrepancy, split)
        self._findings.setdefault((split, row), []).append(finding)

    def of(self, split: str, row: int) -> list[Finding]:
        return self._findings.get((split, row), [])

    def rejects(self, split: str, row: int) -> bool:
        return any(finding.severity == "error" for finding in self.of(split, row))

    def all(self) -> tuple[Finding, ...]:
        order = list(self._files)
        places = sorted(self._findings, key=lambda place: (order.index(place[0]), place[1]))
        return tuple(finding for place in places for finding in self._findings[place])


def _read(split: str, path: Path, log: _Log) -> Iterator[Utterance | RaggedRow]:
    try:
        for row in iter_manifest(path):
            if isinstance(row, RaggedRow):
                found = f"{len(row.fields)}: {shorten(','.join(row.fields))!r}"
                discrepancy = Discrepancy(f"{len(row.columns)} fields", found)
                log.add(split, row.row, FIELDS, "error", discrepancy)
            yield row
    except ManifestError as error:
        log.add(split, 0, MANIFEST, "error", Discrepancy(error.expected, error.found))


def _inspect_all(
    rows: Sequence[tuple[str, Utterance | RaggedRow]],
    limits: Limits,
    workers: int | None,
    normalisation: NormalisationLog | None,
) -> Iterator[Item]:
    """Yield each utterance, its audio measured and its text written as asked, in order.

    Ragged rows are left out.
    """
    utterances = ((split, row) for split, row in rows if isinstance(row, Utterance))
    with (
        ThreadPoolExecutor(workers or usable_cpus()) as pool,
        tqdm(desc="checking", total=len(rows), unit="utterance", disable=None) as bar,
    ):
        while chunk := list(itertools.islice(utterances, _CHUNK)):
            for item in pool.map(lambda pair: _inspect(pair[0], pair[1], limits), chunk):
                bar.update()
                yield _normalise(item, normalisation) if normalisation else item


def _normalise(item: Item, log: NormalisationLog) -> Item:
    written = item.utterance.transcript
    outcome = log.normaliser(written)
    log.add(place_of(item), written, outcome)
    return replace(item, text=normalise(outcome.text), normalised=outcome)


def _inspect(split: str, utterance: Utterance, limits: Limits) -> Item:
    text = normalise(utterance.transcript)
    if not utterance.wav_filename.strip():
        return Item(split, utterance, text, None, "no file name")
    with row_named(utterance):
        try:
            seconds = audio_info(utterance.place).duration
            if seconds > limits.max_seconds_read:
                found = f"{seconds:.0f} s in one file; cut it into utterances"
                return Item(split, utterance, text, None, found)
            return Item(split, utterance, text, _measure(utterance.place), "")
        except AudioError as error:
            return Item(split, utterance, text, None, f"{error.found} at {utterance.place}")


def _measure(path: str) -> Measurement:
    samples = read_audio(path)
    power = float(np.mean(np.square(samples)))
    return Measurement(
        file_bytes=clip_size(path),
        sample_rate=audio_info(path).sample_rate,
        samples=len(samples),
        level=10 * math.log10(power) if power else -math.inf,
        clipped_share=float(np.mean(np.abs(samples) >= FULL_SCALE)),
        digest=hashlib.blake2b(samples.tobytes(), digest_size=16).digest(),
    )


def _result(
    splits: Mapping[str, Path],
    rows: Iterable[tuple[str, Utterance | RaggedRow]],
    items: Iterable[Item],
    log: _Log,
    strict: bool,
) -> ValidationResult:
    sound = [item for item in items if not log.rejects(item.split, item.utterance.row)]
    accepted = {split: [_clean(item) for item in sound if item.split == split] for split in splits}
    seconds = {
        split: np.array(
            [item.audio.seconds for item in sound if item.audio and item.split == split]
        )
        for split in splits
    }
    rejected = [
        Rejected(split, row, tuple(log.of(split, row.row)))
        for split, row in rows
        if log.rejects(split, row.row)
    ]
    return ValidationResult(dict(splits), CHECKS, log.all(), accepted, seconds, rejected, strict)


def _clean(item: Item) -> Utterance:
    size = item.audio.file_bytes if item.audio else 0
    return replace(item.utterance, transcript=item.text, wav_filesize=size)
