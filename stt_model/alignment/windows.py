"""The logits of a recording of any length, computed in windows and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stt_model.alignment.sound import Samples
from stt_model.corpus import AudioSettings

Floats = NDArray[np.float32]
Infer = Callable[[Sequence[Floats]], tuple[Floats, NDArray[np.int32]]]
"""From samples, float32 [n] each, to logits [batch, frames, classes] and frames [batch]."""

WINDOW = 1000
"""Frames of a window: 20 s as a rule."""
WARM_UP = 150
"""Frames before a window that the network hears first: it begins in silence, as in training."""
_BEHIND = 10
"""Frames behind it, which the last ones of the window look at."""
_TOGETHER = 8
"""Windows that go through the network at once."""
_LEAST = -30.0
"""Smallest logarithm of a probability that is kept."""


@contextmanager
def log_probabilities(
    infer: Infer, samples: Samples, audio: AudioSettings, folder: Path
) -> Iterator[NDArray[np.float16]]:
    """Yield the logarithms of all classes' probabilities, float16 [frames, classes], from disk.

    Args:
        infer: the network.
        samples: int16 [n], at the network's rate, at least one window of features.
        audio: how the network's features are cut out of sound.
        folder: where the file lies while the block lasts.
    """
    path = folder / "logits.f16"
    frames = audio.frame_count(len(samples))
    try:
        classes = 0
        with path.open("wb") as out:
            starts = iter(range(0, frames, WINDOW))
            with tqdm(desc="logits", total=frames, unit="frame", disable=None) as bar:
                while batch := list(islice(starts, _TOGETHER)):
                    pieces = [_piece(samples, begin, frames, audio) for begin in batch]
                    logits, _ = infer(pieces)
                    classes = logits.shape[2]
                    for begin, rows in zip(batch, logits, strict=True):
                        skipped = begin - max(0, begin - WARM_UP)
                        count = min(WINDOW, frames - begin)
                        out.write(_normalised(rows[skipped : skipped + count]).tobytes())
                        bar.update(count)
        yield np.memmap(path, np.float16, "r", shape=(frames, classes))
    finally:
        path.unlink(missing_ok=True)


def _piece(samples: Samples, begin: int, frames: int, audio: AudioSettings) -> Floats:
    first = max(0, begin - WARM_UP)
    last = min(begin + WINDOW + _BEHIND, frames)
    part = samples[first * audio.stride : (last - 1) * audio.stride + audio.window]
    return np.asarray(part, np.float32) / np.float32(32768)


def _normalised(logits: Floats) -> NDArray[np.float16]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    found = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.maximum(found, _LEAST).astype(np.float16)
