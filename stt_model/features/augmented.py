"""The features of an epoch's augmented utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stt_model.augmentation import Augmenter, Domain, Visit
from stt_model.features.batches import Batch
from stt_model.features.extraction import extract_spectrogram, features_of_spectrogram
from stt_model.features.store import Features, FeatureStore


@dataclass(frozen=True)
class AugmentedFeatures:
    """One epoch's features by row; see ``augment_epoch``."""

    store: FeatureStore
    augmenter: Augmenter
    epoch: int
    clocks: NDArray[np.float32]

    def __getitem__(self, row: int) -> Features:
        """Return the features of a sample, float32 [frames, 26].

        Raises:
            DataError: the clip cannot be decoded; its row is named.
        """
        needed = int(self.store.samples.frames_needed[row])
        visit = Visit(self.epoch, row, float(self.clocks[row]), needed)
        treatment = self.augmenter.choose(visit)
        if treatment.on_features_only:
            features = self.store[row]
        else:
            audio = self.store.samples.audio
            samples = treatment.apply(Domain.SIGNAL, self.store.read(row))
            spectrogram = treatment.apply(Domain.SPECTROGRAM, extract_spectrogram(samples, audio))
            features = features_of_spectrogram(spectrogram, audio)
        return treatment.apply(Domain.FEATURES, features)


def augment_epoch(
    store: FeatureStore,
    augmenter: Augmenter,
    batches: Sequence[Batch],
    *,
    epoch: int,
    epochs: int,
) -> AugmentedFeatures:
    """Return the features that an epoch, counted from 1, trains on.

    The clock of schedules goes from 0 at the first batch of the first epoch towards 1 at the end of
    the last of ``epochs``.
    """
    clocks = np.zeros(len(store.samples), np.float32)
    for place, batch in enumerate(batches):
        clocks[list(batch.rows)] = (epoch - 1 + place / len(batches)) / epochs
    return AugmentedFeatures(store, augmenter, epoch, clocks)
