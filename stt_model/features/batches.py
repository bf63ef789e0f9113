"""Padded batches of utterances of similar length."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model.base import BootstrapError, usable_cpus
from stt_model.corpus import Samples
from stt_model.features.extraction import COEFFICIENTS
from stt_model.features.store import Features, FeatureStore

_BATCHES_AHEAD = 4
_CLIPS_AHEAD = 64

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
class Batch:
    """The samples of a batch; a weight of 0 marks padding."""

    rows: tuple[int, ...]
    weights: tuple[float, ...]


class BatchPlan(Sequence[Batch]):
    """Batches in order, in 4 bytes per sample; a slice of it is a plan too."""

    def __init__(
        self, order: NDArray[np.int32], batch_size: int, replicas: int, numbers: Sequence[int]
    ) -> None:
        self._order = order
        self._batch_size = batch_size
        self._replicas = replicas
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Batch: ...

    @overload
    def __getitem__(self, place: slice) -> BatchPlan: ...

    def __getitem__(self, place: int | slice) -> Batch | BatchPlan:
        """Return a batch, or some of them as a plan."""
        if isinstance(place, slice):
            return BatchPlan(self._order, self._batch_size, self._replicas, self._numbers[place])
        start = self._numbers[place] * self._batch_size
        rows = tuple(self._order[start : start + self._batch_size].tolist())
        filling = -len(rows) % self._replicas
        return Batch(rows + rows[:1] * filling, (1.0,) * len(rows) + (0.0,) * filling)


def plan_batches(
    samples: Samples,
    batch_size: int,
    *,
    replicas: int = 1,
    shuffle_seed: int | None = None,
) -> BatchPlan:
    """Group samples of similar length, so that there is little padding.

    Args:
        samples: what to group.
        batch_size: samples in a batch, over all replicas.
        replicas: every batch is padded to a multiple of this with samples of weight 0.
        shuffle_seed: draws the order of the batches; without it the shortest come first.
    """
    order = np.argsort(samples.frames, kind="stable").astype(np.int32)
    numbers = list(range(-(-len(samples) // batch_size)))
    if shuffle_seed is not None:
        random.Random(shuffle_seed).shuffle(numbers)
    return BatchPlan(order, batch_size, replicas, numbers)


def padding_share(samples: Samples, batches: Sequence[Batch]) -> float:
    """Return the share of padding among the network's input frames, from 0 to below 1."""
    fed = meant = 0
    for batch in batches:
        frames = samples.frames[list(batch.rows)]
        fed += len(frames) * max(1, int(frames.max()))
        meant += int(frames @ np.array(batch.weights))
    return 1 - meant / fed


def batch_dataset(
    store: FeatureStore,
    batches: Sequence[Batch],
    features_of: Callable[[int], Features] | None = None,
) -> tf.data.Dataset:
    """Return the batches as a dataset, prefetched on all cores.

    ``features_of`` returns the features of a row, if they are not the store's.

    Each element holds ``features`` float32 [batch, frames, 26], ``frames`` int32 [batch],
    ``labels`` int32 [batch, labels] padded with 0, ``label_lengths`` int32 [batch], ``weights``
    float32 [batch] and ``rows`` int32 [batch], the samples' places in the store.
    """

    def generate() -> Iterator[dict[str, NDArray[Any]]]:
        try:
            for batch, features in _features_ahead(features_of or store.__getitem__, batches):
                yield _element(store.samples, batch, features)
        except BootstrapError as error:
            store.failure = error
            raise

    dataset = tf.data.Dataset.from_generator(generate, output_signature=BATCH_SIGNATURE)
    options = tf.data.Options()
    # There is nothing to tune, and the tuner delays the end of a pass: it sleeps for 10 ms, 20 ms,
    # 40 ms and so on, and the pass waits for it, for up to half of its length.
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def _features_ahead(
    features_of: Callable[[int], Features], batches: Sequence[Batch]
) -> Iterator[tuple[Batch, list[Features]]]:
    """Yield each batch with its features, while threads compute the next ones.

    Threads suffice: decoders, the resampler and TensorFlow all release the interpreter's lock.
    """
    pool = ThreadPoolExecutor(usable_cpus())
    ahead: deque[tuple[Batch, list[Future[Features]]]] = deque()
    size = max(_BATCHES_AHEAD, _CLIPS_AHEAD // max(1, len(batches[0].rows))) if batches else 0
    try:
        for batch in batches:
            ahead.append((batch, [pool.submit(features_of, row) for row in batch.rows]))
            if len(ahead) > size:
                yield _done(*ahead.popleft())
        while ahead:
            yield _done(*ahead.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _done(batch: Batch, futures: Sequence[Future[Features]]) -> tuple[Batch, list[Features]]:
    return batch, [future.result() for future in futures]


@contextmanager
def failures_of(store: FeatureStore) -> Iterator[None]:
    """Raise the original error of a dataset of ``batch_dataset``, before TensorFlow wrapped it.

    Raises:
        DataError: a clip cannot be decoded.
        StoreError: the clip's store fails.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if store.failure:
            raise store.failure from error
        raise


def pad_features(features: Sequence[Features]) -> Features:
    """Return features, float32 [frames, 26] each, as one array padded with zeros.

    It is float32 [batch, frames, 26], with the frames of the longest, at least one.
    """
    longest = max(1, *map(len, features))
    padded = np.zeros((len(features), longest, COEFFICIENTS), np.float32)
    for place, each in enumerate(features):
        padded[place, : len(each)] = each
    return padded


def _element(
    samples: Samples, batch: Batch, features: Sequence[Features]
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
