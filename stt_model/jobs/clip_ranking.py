"""Which clips to transcribe first: those the model is unsure of, and unlike those already chosen.

The uncertainty of a clip is the entropy of the labels in all its frames, in nats, over the
characters that the model hears in it. Only its rank counts, for clips without speech can have any
value. Unlike means far away in how the clip sounds: mean and deviation of its features, each scaled
by its spread over all clips.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_COMPARED = 2000
"""Clips that are chosen one after another; the others are ranked by uncertainty alone."""


def uncertainty(logits: NDArray[np.float32], text: str) -> float:
    """Return the entropy in nats per character of a clip with these logits, [frames, classes]."""
    if not len(logits):
        return 0.0
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    entropy = -(np.exp(logarithms) * logarithms).sum()
    return float(entropy / max(len(text), 1))


def describe_sound(features: NDArray[np.float32]) -> Array:
    """Return a vector, [2 n], that describes the sound of a clip with features [frames, n]."""
    if not len(features):
        return np.zeros(2 * features.shape[1])
    return np.concatenate([features.mean(axis=0), features.std(axis=0)]).astype(np.float64)


def rank_clips(uncertainties: Array, sounds: Array) -> list[int]:
    """Return the rows of clips in the order in which to transcribe them.

    Args:
        uncertainties: [clips].
        sounds: [clips, n], of ``describe_sound``.
    """
    count = len(uncertainties)
    if not count:
        return []
    ranks = np.empty(count)
    ranks[np.argsort(uncertainties, kind="stable")] = np.arange(1, count + 1) / count
    spread = sounds.std(axis=0)
    scaled = (sounds - sounds.mean(axis=0)) / np.where(spread > 0, spread, 1)
    # For the first choice, the distance is that from the mean of all clips.
    distances = np.sqrt((scaled**2).sum(axis=1))
    usual = float(np.median(distances)) or 1.0
    left = np.ones(count, bool)
    chosen: list[int] = []
    for _ in range(min(count, MOST_COMPARED)):
        values = np.where(left, ranks * distances / (distances + usual), -1.0)
        row = int(values.argmax())
        chosen.append(row)
        left[row] = False
        nearer = np.sqrt(((scaled - scaled[row]) ** 2).sum(axis=1))
        distances = nearer if len(chosen) == 1 else np.minimum(distances, nearer)
    rest = np.flatnonzero(left)
    return chosen + rest[np.argsort(-ranks[rest], kind="stable")].tolist()
