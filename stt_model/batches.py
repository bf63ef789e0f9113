"""Utterances to padded batches, the like of length together."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model.alphabet import Alphabet, describe_characters, normalise
from stt_model.audio import AudioError, AudioInfo, audio_info, read_audio
from stt_model.corpus import Utterance, read_manifest
from stt_model.errors import DataError
from stt_model.features import COEFFICIENTS, extract_features

log = logging.getLogger(__name__)

ADVICE = "`stt-bootstrap validate` lists every such row and writes manifests without them"

# Features take 19 MB an hour of speech and less to keep than to compute again.
MEMORY_FOR_FEATURES = 2 * 2**30


BATCH_SIGNATURE = {
    "features": tf.TensorSpec([None, None, COEFFICIENTS], tf.float32),
    "frames": tf.TensorSpec([None], tf.int32),
    "labels": tf.TensorSpec([None, None], tf.int32),
    "label_lengths": tf.TensorSpec([None], tf.int32),
    "weights": tf.TensorSpec([None], tf.float32),
    "rows": tf.TensorSpec([None], tf.int32),
}
"""What ``batch_dataset`` yields."""


@dataclass(frozen=True)
class Sample:
    """One utterance ready to be fed: its labels, and its length as its file's header tells it."""

    utterance: Utterance
    labels: tuple[int, ...]
    frames: int
    seconds: float

    @property
    def long_enough(self) -> bool:
        """Whether CTC can place the labels in the frames."""
        return self.frames >= frames_needed(self.labels)


@dataclass(frozen=True)
class Batch:
    """Which samples go together; a weight of 0 marks one that only fills the batch up."""

    rows: tuple[int, ...]
    weights: tuple[float, ...]


def read_samples(manifests: Sequence[Path], alphabet: Alphabet) -> list[Sample]:
    """Read manifests and make sure that the alphabet can write every row.

    A transcript that only fits in NFC is taken in NFC.

    Raises:
        DataError: if there is no row, or a row has a blank transcript, characters outside the
            alphabet, or no readable audio. The first such row is shown; the others are counted,
            unless it is for their audio.
    """
    utterances = [
        _in_writable_form(utterance, alphabet)
        for path in manifests
        for utterance in read_manifest(path)
    ]
    if not utterances:
        names = ", ".join(str(path) for path in manifests)
        raise DataError(f"{names}: expected at least one utterance, found none")
    problems = [text for each in utterances if (text := _problem(each, alphabet))]
    if problems:
        more = f" (and {len(problems) - 1} more such rows)" if len(problems) > 1 else ""
        raise DataError(f"{problems[0]}{more}; {ADVICE}")
    with ThreadPoolExecutor() as pool:
        infos = pool.map(_audio_info, utterances)
        return [
            Sample(each, tuple(alphabet.encode(each.transcript)), info.frames, info.duration)
            for each, info in zip(utterances, infos, strict=True)
        ]


def drop_too_short(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples that can be trained on; the others are named in the log.

    CTC has no path through fewer frames than ``frames_needed``.

    Raises:
        DataError: none is left.
    """
    kept = [sample for sample in samples if sample.long_enough]
    for sample in samples:
        if not sample.long_enough:
            log.warning(
                "%s, row %d: left out: expected at least %d frames of audio for its %d labels,"
                " found %d",
                sample.utterance.source,
                sample.utterance.row,
                frames_needed(sample.labels),
                len(sample.labels),
                sample.frames,
            )
    if not kept:
        source = samples[0].utterance.source
        raise DataError(
            f"{source}: every transcript has more labels than its audio has frames;"
            " check that these clips belong to these transcripts"
        )
    return kept


def _audio_info(utterance: Utterance) -> AudioInfo:
    with _row_named(utterance):
        return audio_info(utterance.path)


@contextmanager
def _row_named(utterance: Utterance) -> Iterator[None]:
    """Add to what is wrong with a clip which row it is of."""
    try:
        yield
    except AudioError as error:
        raise DataError(f"{utterance.source}, row {utterance.row}: {error}; {ADVICE}") from error


def _in_writable_form(utterance: Utterance, alphabet: Alphabet) -> Utterance:
    if alphabet.missing(utterance.transcript):
        return replace(utterance, transcript=normalise(utterance.transcript))
    return utterance


def _problem(utterance: Utterance, alphabet: Alphabet) -> str | None:
    row = f"{utterance.source}, row {utterance.row}"
    if not utterance.transcript.strip():
        return f"{row}: expected a transcript, found none"
    missing = alphabet.missing(utterance.transcript)
    if missing:
        return (
            f"{row}: expected only characters of the alphabet ({alphabet.size} labels), found"
            f" {describe_characters(sorted(missing))}; to give the model a new alphabet, use"
            " --drop_source_layers and --alphabet_config_path"
        )
    return None


def frames_needed(labels: Sequence[int]) -> int:
    """Return the frames that CTC needs: one a label, and a blank between two that are the same."""
    return len(labels) + sum(first == second for first, second in pairwise(labels))


def plan_batches(
    samples: Sequence[Sample],
    batch_size: int,
    *,
    replicas: int = 1,
    shuffle_seed: int | None = None,
) -> list[Batch]:
    """Group samples of like length, so that little is padding.

    Args:
        samples: what to group.
        batch_size: samples in a batch, over all replicas.
        replicas: every batch is filled up to a multiple of this with samples of weight 0.
        shuffle_seed: draws the order of the batches; without it the shortest come first.
    """
    order = sorted(range(len(samples)), key=lambda row: (samples[row].frames, row))
    batches = []
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        filling = -len(rows) % replicas
        weights = (1.0,) * len(rows) + (0.0,) * filling
        batches.append(Batch(tuple(rows) + (rows[0],) * filling, weights))
    if shuffle_seed is not None:
        random.Random(shuffle_seed).shuffle(batches)
    return batches


@dataclass
class FeatureStore:
    """Features of samples, each computed once and kept as long as the memory given lasts."""

    samples: Sequence[Sample]
    limit: int = MEMORY_FOR_FEATURES
    failure: DataError | None = field(default=None, init=False)
    """Why a dataset over this store broke off."""
    _kept: dict[int, NDArray[np.float32]] = field(default_factory=dict, init=False)
    _bytes: int = field(default=0, init=False)

    def __getitem__(self, row: int) -> NDArray[np.float32]:
        """Return the features of a sample, float32 [frames, 26]."""
        features = self._kept.get(row)
        if features is None:
            utterance = self.samples[row].utterance
            with _row_named(utterance):
                features = extract_features(read_audio(utterance.path))
            if self._bytes + features.nbytes <= self.limit:
                self._kept[row] = features
                self._bytes += features.nbytes
        return features


def batch_dataset(store: FeatureStore, batches: Sequence[Batch]) -> tf.data.Dataset:
    """Return the batches as a dataset, prepared ahead of their use.

    Each element holds ``features`` float32 [batch, frames, 26], ``frames`` int32 [batch],
    ``labels`` int32 [batch, labels] padded with 0, ``label_lengths`` int32 [batch], ``weights``
    float32 [batch] and ``rows`` int32 [batch], the samples' places in the store.
    """

    def generate() -> Iterator[dict[str, NDArray[Any]]]:
        with ThreadPoolExecutor() as pool:
            for batch in batches:
                try:
                    features = list(pool.map(store.__getitem__, batch.rows))
                except DataError as error:
                    store.failure = error
                    raise
                yield _element(store.samples, batch, features)

    dataset = tf.data.Dataset.from_generator(generate, output_signature=BATCH_SIGNATURE)
    options = tf.data.Options()
    # There is nothing to tune, and the tuner sleeps through the end of a pass: it wakes after
    # 10 ms, 20 ms, 40 ms and so on, and the pass waits for it, for up to half of its length.
    options.autotune.enabled = False
    return dataset.prefetch(4).with_options(options)


@contextmanager
def failures_of(store: FeatureStore) -> Iterator[None]:
    """Raise what broke a dataset of ``batch_dataset`` off as it was before TensorFlow wrapped it.

    Raises:
        DataError: a clip cannot be decoded.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if store.failure:
            raise store.failure from error
        raise


def pad_features(features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return features, float32 [frames, 26] each, as one array filled up with zeros.

    It is float32 [batch, frames, 26], of the longest's frames and at least one.
    """
    longest = max(1, *map(len, features))
    padded = np.zeros((len(features), longest, COEFFICIENTS), np.float32)
    for place, each in enumerate(features):
        padded[place, : len(each)] = each
    return padded


def _element(
    samples: Sequence[Sample], batch: Batch, features: Sequence[NDArray[np.float32]]
) -> dict[str, NDArray[Any]]:
    labels = [samples[row].labels for row in batch.rows]
    label_lengths = np.array([len(item) for item in labels], np.int32)
    padded_labels = np.zeros((len(labels), label_lengths.max()), np.int32)
    for place, each in enumerate(labels):
        padded_labels[place, : len(each)] = each
    return {
        "features": pad_features(features),
        "frames": np.array([len(item) for item in features], np.int32),
        "labels": padded_labels,
        "label_lengths": label_lengths,
        "weights": np.array(batch.weights, np.float32),
        "rows": np.array(batch.rows, np.int32),
    }
