"""The input of a pass over a corpus: this worker's share of every batch, and a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, overload

import numpy as np

from stt_model.base import Progress
from stt_model.features import (
    Batch,
    BatchPlan,
    Features,
    FeatureStore,
    batch_dataset,
    failures_of,
    plan_batches,
)
from stt_model.network import Workers


class Feed:
    """A corpus in batches over all replicas; each worker reads only its own part."""

    def __init__(
        self, store: FeatureStore, workers: Workers, replicas: int, *, show_progressbar: bool
    ) -> None:
        self.store = store
        self._workers = workers
        self._replicas = replicas
        self._shown = show_progressbar and workers.is_chief

    def plan(self, batch_size: int, shuffle_seed: int | None = None) -> BatchPlan:
        """Return the batches of a pass; see ``plan_batches``."""
        return plan_batches(
            self.store.samples, batch_size, replicas=self._replicas, shuffle_seed=shuffle_seed
        )

    @contextmanager
    def open(
        self,
        batches: Sequence[Batch],
        description: str,
        done: int = 0,
        features_of: Callable[[int], Features] | None = None,
    ) -> Iterator[tuple[Iterator[tuple[Batch, Any]], Progress]]:
        """Yield the batches after the first ``done`` with this worker's arrays, and a progress bar.

        If ``features_of`` is given, it provides the features.
        """
        shares = _Shares(batches[done:], self._workers)
        dataset = batch_dataset(self.store, shares, features_of)
        utterances = [self.amount(batch)[0] for batch in batches]
        progress = Progress(
            description, sum(utterances), done=sum(utterances[:done]), shown=self._shown
        )
        with failures_of(self.store), progress:
            yield zip(batches[done:], dataset, strict=True), progress

    def amount(self, batch: Batch) -> tuple[int, float]:
        """Return the utterances of a batch, and the seconds of audio in them."""
        rows = [row for row, weight in zip(batch.rows, batch.weights, strict=True) if weight]
        return len(rows), float(self.store.samples.seconds[rows].sum())

    def not_finite(self, batch: Batch, losses: Any) -> str:
        """Describe the utterances of a batch whose loss is not finite; empty if there are none."""
        rows = [row for row, loss in zip(batch.rows, losses, strict=True) if not np.isfinite(loss)]
        bad = dict.fromkeys(rows)
        if not bad:
            return ""
        return f"the loss of {len(bad)} utterance(s) is not finite: {self.names(list(bad))}"

    def names(self, rows: Sequence[int]) -> str:
        """Return the clips of these rows."""
        return ", ".join(self.store.samples.utterance(row).place for row in rows)


class _Shares(Sequence[Batch]):
    """One worker's part of every batch."""

    def __init__(self, batches: Sequence[Batch], workers: Workers) -> None:
        self._batches = batches
        self._workers = workers

    def __len__(self) -> int:
        return len(self._batches)

    @overload
    def __getitem__(self, place: int) -> Batch: ...

    @overload
    def __getitem__(self, place: slice) -> _Shares: ...

    def __getitem__(self, place: int | slice) -> Batch | _Shares:
        if isinstance(place, slice):
            return _Shares(self._batches[place], self._workers)
        batch = self._batches[place]
        # Batches are padded to a multiple of the replicas, and so of the workers.
        size = len(batch.rows) // self._workers.count
        start = self._workers.index * size
        mine = slice(start, start + size)
        return Batch(batch.rows[mine], batch.weights[mine])
