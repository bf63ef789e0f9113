"""Features by sample, computed from clips on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stt_model.base import BootstrapError
from stt_model.corpus import (
    DIGEST_LENGTH,
    USUAL_AUDIO,
    AudioSettings,
    Samples,
    clip_digest,
    read_audio,
    row_named,
)
from stt_model.features.cache import GIB, FeatureCache
from stt_model.features.extraction import COEFFICIENTS, extract_features, feature_settings

Features = NDArray[np.float32]

# Features take 19 MB per hour of speech; keeping them is cheaper than computing them again.
MEMORY_FOR_FEATURES = 2**29


def open_cache(
    folder: Path | None, gib: int, audio: AudioSettings = USUAL_AUDIO
) -> FeatureCache | None:
    """Open the cache in a folder, limited to so many GiB; None without a folder.

    Raises:
        DataError: the folder cannot be written to.
    """
    if not folder:
        return None
    return FeatureCache(folder, COEFFICIENTS, feature_settings(audio), gib * GIB)


@dataclass
class FeatureStore:
    """Features by row, computed once if there is room to keep them.

    They are kept in ``cache`` if there is one, otherwise in memory, up to ``limit`` bytes.
    Any number of threads may use it at once.
    """

    samples: Samples
    limit: int = MEMORY_FOR_FEATURES
    cache: FeatureCache | None = None
    failure: BootstrapError | None = field(default=None, init=False)
    """The error that ended a dataset over this store."""
    _kept: dict[int, Features] = field(default_factory=dict, init=False)
    _bytes: int = field(default=0, init=False)
    _digests: NDArray[np.bytes_] = field(init=False)
    """By row; empty if not known yet."""

    def __post_init__(self) -> None:
        rows = len(self.samples) if self.cache else 0
        self._digests = np.zeros(rows, f"S{DIGEST_LENGTH}")

    def __getitem__(self, row: int) -> Features:
        """Return the features of a sample, float32 [frames, 26].

        Raises:
            DataError: the clip cannot be decoded; its row is named.
        """
        if self.cache:
            return self.cache.get(self._digest(row), lambda: self.compute(row))
        features = self._kept.get(row)
        if features is None:
            features = self.compute(row)
            if self._bytes + features.nbytes <= self.limit:
                self._kept[row] = features
                self._bytes += features.nbytes
        return features

    def compute(self, row: int) -> Features:
        """Compute the features of a clip; nothing else does so."""
        return extract_features(self.read(row), self.samples.audio)

    def read(self, row: int) -> NDArray[np.float32]:
        """Return the samples of a clip, float32 [n], mono at the model's rate, in [-1, 1].

        Raises:
            DataError: the clip cannot be decoded; its row is named.
        """
        utterance = self.samples.utterance(row)
        with row_named(utterance):
            return read_audio(utterance.place, sample_rate=self.samples.audio.audio_sample_rate)

    def _digest(self, row: int) -> str:
        # Once per run: from the second epoch on no clip is read.
        if not self._digests[row]:
            utterance = self.samples.utterance(row)
            with row_named(utterance):
                self._digests[row] = clip_digest(utterance.place).encode()
        return self._digests[row].decode()
