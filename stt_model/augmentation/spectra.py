"""Augmentations of spectrograms, features and samples, whose first axis is time.

Masks follow SpecAugment (Park et al. 2019, https://arxiv.org/abs/1904.08779), without its limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stt_model.augmentation.parameters import (
    Array,
    Augmentation,
    Domain,
    Draw,
    Range,
    domain,
    real,
    whole,
)
from stt_model.corpus import SAMPLE_RATE, STRIDE


@dataclass(frozen=True, kw_only=True)
class TimeMask(Augmentation):
    """Masks intervals of time."""

    domain: Domain = domain(Domain.SPECTROGRAM)
    n: Range = whole("3", minimum=0, maximum=1000)
    size: Range = real("10", minimum=0)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return an array of the same shape with zeros in up to ``n`` intervals of time."""
        rate = SAMPLE_RATE if self.domain is Domain.SIGNAL else SAMPLE_RATE / STRIDE
        per_millisecond = rate / 1000
        sizes = [
            max(1, int(draw.real(self.size) * per_millisecond)) for _ in range(draw.whole(self.n))
        ]
        return _masked(data, sizes, 0, draw)


@dataclass(frozen=True, kw_only=True)
class FrequencyMask(Augmentation):
    """Masks bands of frequencies."""

    domain: Domain = Domain.SPECTROGRAM
    n: Range = whole("3", minimum=0, maximum=1000)
    size: Range = whole("2", minimum=1)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return an array of the same shape with zeros in up to ``n`` intervals."""
        sizes = [draw.whole(self.size) for _ in range(draw.whole(self.n))]
        return _masked(data, sizes, 1, draw)


@dataclass(frozen=True, kw_only=True)
class Dropout(Augmentation):
    """Zeroes single values."""

    domain: Domain = domain(Domain.SPECTROGRAM)
    rate: Range = real("0.05", minimum=0, maximum=1)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return an array of the same shape with that share of its values set to zero."""
        rate = draw.real(self.rate)
        return data * (draw.random.random(data.shape, np.float32) >= rate)


@dataclass(frozen=True, kw_only=True)
class Add(Augmentation):
    """Adds normally distributed numbers around 0."""

    domain: Domain = domain(Domain.FEATURES)
    stddev: Range = real("5")

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return an array of the same shape."""
        stddev = np.float32(draw.real(self.stddev))
        return data + stddev * draw.random.standard_normal(data.shape, np.float32)


@dataclass(frozen=True, kw_only=True)
class Multiply(Augmentation):
    """Multiplies by normally distributed numbers around 1."""

    domain: Domain = domain(Domain.FEATURES)
    stddev: Range = real("5")

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return an array of the same shape."""
        stddev = np.float32(draw.real(self.stddev))
        return data * (1 + stddev * draw.random.standard_normal(data.shape, np.float32))


@dataclass(frozen=True, kw_only=True)
class Warp(Augmentation):
    """Warps the array by shifting the points of a grid."""

    domain: Domain = Domain.SPECTROGRAM
    nt: Range = whole("1", minimum=0, maximum=1000, alias="num_t")
    nf: Range = whole("1", minimum=0, maximum=250, alias="num_f")
    wt: Range = real("0.1", alias="warp_t")
    wf: Range = real("0", alias="warp_f")

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return an array of the same shape with fixed edges."""
        lines = (draw.whole(self.nt), draw.whole(self.nf))
        sizes = (draw.real(self.wt), draw.real(self.wf))
        places: list[NDArray[np.float64]] = list(np.indices(data.shape, np.float64))
        for axis, (count, length) in enumerate(zip(lines, data.shape, strict=True)):
            # A shift of 1 is half the distance to the next line.
            stddev = sizes[axis] * length / (2 * (count + 1))
            shifts = np.pad(stddev * draw.random.standard_normal(lines), 1)
            places[axis] += (
                _hats(data.shape[0], lines[0]) @ shifts @ _hats(data.shape[1], lines[1]).T
            )
        return _sampled(data, places)


def _masked(data: Array, sizes: list[int], axis: int, draw: Draw) -> Array:
    length = data.shape[axis]
    masked = data.copy()
    along = np.moveaxis(masked, axis, 0)
    for size in sizes:
        # Never mask everything.
        size = min(size, length - 1)
        if size > 0:
            start = draw.random.integers(length - size + 1)
            along[start : start + size] = 0
    return masked


def _hats(length: int, lines: int) -> NDArray[np.float64]:
    """Return the weight of each line's shift at each position: float64 [length, lines + 2]."""
    places = np.linspace(0, lines + 1, length)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(lines + 2)))


def _sampled(data: Array, places: list[NDArray[np.float64]]) -> Array:
    """Interpolate the data bilinearly at positions on its two axes."""
    whole_parts, rests = [], []
    for place, length in zip(places, data.shape, strict=True):
        inside = np.clip(place, 0, max(0, length - 1))
        low = np.clip(np.floor(inside).astype(np.int64), 0, max(0, length - 2))
        whole_parts.append(low)
        rests.append((inside - low).astype(np.float32))
    (t, f), (dt, df) = whole_parts, rests
    t1, f1 = (np.minimum(low + 1, size - 1) for low, size in zip((t, f), data.shape, strict=True))
    now = data[t, f] * (1 - df) + data[t, f1] * df
    after = data[t1, f] * (1 - df) + data[t1, f1] * df
    return now * (1 - dt) + after * dt
