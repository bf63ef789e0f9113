"""The dev set: its loss, and the error rates of greedy decoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from rapidfuzz.distance import Levenshtein

from stt_model.base import TrainingError
from stt_model.decoding import collapse
from stt_model.network import sum_over_workers
from stt_model.text import Alphabet
from stt_model.training.feed import Feed
from stt_model.training.learner import Learner


class DevFigures(NamedTuple):
    """The figures of a pass over the dev set.

    ``loss`` is the mean in nats per utterance; the rates are all errors over the words or
    characters of the references, 0 for none.
    """

    loss: float
    wer: float
    cer: float

    def by(self, name: str) -> float:
        """Return one of ``config.BEST_BY``."""
        return float(getattr(self, name))


class DevSet:
    """Evaluates a network during training, always on the same utterances."""

    def __init__(self, feed: Feed, learner: Learner, alphabet: Alphabet, batch_size: int) -> None:
        self._feed = feed
        self._learner = learner
        self._alphabet = alphabet
        self._batch_size = batch_size

    @property
    def audio_seconds(self) -> float:
        """Seconds of speech in it."""
        return float(self._feed.store.samples.seconds.sum())

    def measure(self, advice: str, after_batch: Callable[[], None]) -> DevFigures:
        """Return the figures of the network in its current state.

        Raises:
            TrainingError: a loss is not finite; it ends with ``advice``.
        """
        feed, total, count = self._feed, 0.0, 0
        errors = np.zeros(4, np.int64)
        with feed.open(feed.plan(self._batch_size), "dev") as (elements, progress):
            for batch, arrays in elements:
                heard = self._learner.hear(arrays)
                if problem := feed.not_finite(batch, heard.losses):
                    raise TrainingError(f"dev set: {problem}; {advice}")
                total += float(np.sum(heard.losses * np.array(batch.weights)))
                utterances, seconds = feed.amount(batch)
                count += utterances
                rows, weights = arrays["rows"].numpy(), arrays["weights"].numpy()
                for row, weight, labels in zip(rows, weights, heard.labels, strict=True):
                    if weight:
                        errors += self._errors(int(row), collapse(labels, self._alphabet))
                progress.update(utterances, seconds, f"loss {total / count:.3f}")
                after_batch()
        words, said, characters, written = sum_over_workers(self._learner.strategy, errors.tolist())
        return DevFigures(total / count, words / max(said, 1), characters / max(written, 1))

    def _errors(self, row: int, understood: str) -> tuple[int, int, int, int]:
        """Return the word errors and words of an utterance, its character errors and characters."""
        said = self._feed.store.samples.utterance(row).transcript
        words = said.split()
        return (
            Levenshtein.distance(words, understood.split()),
            len(words),
            Levenshtein.distance(said, understood),
            len(said),
        )
