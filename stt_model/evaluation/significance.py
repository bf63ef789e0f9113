"""Confidence intervals of error rates, and tests whether two models differ by more than chance.

The unit is the utterance: errors within one are correlated, those of two are not.

- Intervals: bootstrap over utterances, percentiles (Bisani and Ney, "Bootstrap estimates for
  confidence intervals in ASR performance evaluation", ICASSP 2004). For a difference, both models'
  errors on an utterance are drawn together.
- Test: matched pairs (Gillick and Cox, "Some statistical issues in the comparison of speech
  recognition algorithms", ICASSP 1989; MAPSSWE in NIST's scoring toolkit), each utterance being one
  segment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000
FEWEST_FOR_TEST = 30
"""Utterances below which the test's normal approximation does not hold."""

_SEED = 4568
_DRAWN_AT_ONCE = 2**20
"""Utterances per block, so that memory does not grow with the corpus."""


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Rate:
    """Errors over the length of the references; may exceed 1, since insertions count."""

    errors: int
    length: int
    interval: Interval | None
    """None for fewer than two utterances, whose variance is unknown."""

    @property
    def value(self) -> float:
        """The rate; 0 if there are no errors or the references are empty."""
        return self.errors / self.length if self.length else 0.0

    def __str__(self) -> str:
        shown = f"{self.value:.1%}"
        if self.interval:
            shown += f" ({self.interval.low:.1%} to {self.interval.high:.1%})"
        return shown


@dataclass(frozen=True)
class Difference:
    """One model's error rate minus another's on the same utterances; below 0 is better."""

    value: float
    interval: Interval | None
    """None for fewer than two utterances."""
    p_value: float | None
    """The p-value of the difference; None for fewer than 30 utterances."""

    @property
    def is_significant(self) -> bool:
        """Whether the difference is significant at the level of 5 %."""
        return self.p_value is not None and self.p_value < 1 - CONFIDENCE

    def __str__(self) -> str:
        shown = _in_points(self.value)
        if self.interval:
            low, high = self.interval.low, self.interval.high
            if low * high > 0:
                # Both on one side of 0: the smaller difference first.
                nearer, further = sorted((abs(low), abs(high)))
                shown += f" ({100 * nearer:.1f} to {100 * further:.1f})"
            elif low != high:
                shown += f" ({_in_points(low)} to {_in_points(high)})"
        return f"{shown}, {self.p_shown}"

    @property
    def p_shown(self) -> str:
        """The p-value as text."""
        if self.p_value is None:
            return "too few utterances for a test"
        return f"p {'< 0.001' if self.p_value < 0.001 else f'= {self.p_value:.3f}'}"


def _in_points(value: float) -> str:
    side = "lower" if value < 0 else "higher"
    return f"{100 * abs(value):.1f} points {side}" if value else "no difference"


def measure_rate(errors: Sequence[int], lengths: Sequence[int]) -> Rate:
    """Return the error rate over utterances with its interval.

    Args:
        errors: of each utterance.
        lengths: words or characters of each reference.
    """
    return Rate(sum(errors), sum(lengths), _bootstrap(np.array(errors), np.array(lengths)))


def compare_rates(
    errors: Sequence[int], other_errors: Sequence[int], lengths: Sequence[int]
) -> Difference:
    """Return the difference between two models' error rates.

    Args:
        errors: of the first model, for each utterance.
        other_errors: of the other model, for the same utterances in the same order.
        lengths: words or characters of each reference.
    """
    differences = np.array(errors) - np.array(other_errors)
    value = float(differences.sum() / max(sum(lengths), 1))
    interval = _bootstrap(differences, np.array(lengths))
    return Difference(value, interval, _matched_pairs(differences))


def _matched_pairs(differences: NDArray[np.int64]) -> float | None:
    """Return the two-sided p-value of the mean difference; ``differences`` is [utterances]."""
    if len(differences) < FEWEST_FOR_TEST:
        return None
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if not deviation:
        return 0.0 if mean else 1.0
    return 2 * NormalDist().cdf(-abs(mean) / (deviation / math.sqrt(len(differences))))


def _bootstrap(numerators: NDArray[np.int64], denominators: NDArray[np.int64]) -> Interval | None:
    """Return the percentile interval of the ratio of two sums over utterances, [utterances]."""
    utterances = len(numerators)
    if utterances < 2:
        return None
    random = np.random.default_rng(_SEED)
    at_once = max(1, _DRAWN_AT_ONCE // utterances)
    ratios = []
    for start in range(0, RESAMPLES, at_once):
        shape = (min(at_once, RESAMPLES - start), utterances)
        drawn = random.integers(utterances, size=shape, dtype=np.int32)
        ratios.append(numerators[drawn].sum(axis=1) / denominators[drawn].sum(axis=1))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(ratios), [tail, 1 - tail])
    return Interval(float(low), float(high))
