"""The base class of augmentations, and the kinds of their parameters.

The grammar of ranges is Coqui STT's: ``VALUE``, ``VALUE~RADIUS``, ``START:END`` or
``START:END~RADIUS``. The centre moves from START to END with the progress of training, and the
value is drawn uniformly from RADIUS around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Domain(str, Enum):
    """What an augmentation changes, in the order in which each is computed from the one before."""

    SIGNAL = "signal"
    """Samples: float32 [n], 16 kHz mono, in [-1, 1]."""
    SPECTROGRAM = "spectrogram"
    """Squared magnitudes: float32 [frames, 257], one frame per 20 ms, one band per 31.25 Hz."""
    FEATURES = "features"
    """Cepstral coefficients: float32 [frames, 26]."""


@dataclass(frozen=True)
class Range:
    """A range of numbers to draw from, which may move during training."""

    start: float
    end: float
    radius: float = 0.0
    minimum: float = -math.inf
    maximum: float = math.inf
    whole: bool = False

    def draw(self, random: np.random.Generator, clock: float) -> float:
        """Return a number for the progress of training ``clock``, from 0 to 1.

        The number stays within ``minimum`` and ``maximum``.
        """
        centre = self.start + clock * (self.end - self.start)
        value = random.uniform(centre - self.radius, centre + self.radius)
        value = min(max(value, self.minimum), self.maximum)
        return round(value) if self.whole else value


@dataclass(frozen=True)
class Draw:
    """The random choices of one augmentation for one utterance in one epoch."""

    random: np.random.Generator
    clock: float
    """Progress of training, from 0 to 1."""
    least_frames: int = 0
    """Frames that the transcript needs."""

    def real(self, numbers: Range) -> float:
        """Draw a number."""
        return numbers.draw(self.random, self.clock)

    def whole(self, numbers: Range) -> int:
        """Draw a whole number."""
        return round(self.real(numbers))


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """One way to change utterances; its parameters are the fields that declare how to read them."""

    p: float = field(default=1.0, metadata={"read": lambda text: _read_probability(text)})
    domain: Domain

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return the changed data of this domain; the given array is not modified."""
        raise NotImplementedError


def real(
    default: str, *, minimum: float = -math.inf, maximum: float = math.inf, alias: str = ""
) -> Any:
    """Return a parameter that is a range of numbers from ``minimum`` to ``maximum``."""
    return _parameter(default, partial(read_range, minimum=minimum, maximum=maximum), alias)


def whole(
    default: str, *, minimum: float = -math.inf, maximum: float = math.inf, alias: str = ""
) -> Any:
    """Return a parameter that is a range of whole numbers from ``minimum`` to ``maximum``."""
    return _parameter(
        default, partial(read_range, minimum=minimum, maximum=maximum, whole=True), alias
    )


def domain(default: Domain) -> Any:
    """Return a parameter for the domain that an augmentation changes."""
    return _parameter(default.value, _read_domain)


def _parameter(default: str, read: Callable[[str], Any], alias: str = "") -> Any:
    return field(default=read(default), metadata={"read": read, "alias": alias})


def read_range(text: str, *, minimum: float, maximum: float, whole: bool = False) -> Range:
    """Read a range in Coqui's grammar.

    Raises:
        ValueError: it is invalid, or exceeds ``minimum`` or ``maximum``.
    """
    centre, tilde, radius = text.partition("~")
    start, colon, end = centre.partition(":")
    try:
        first = _number(start, whole)
        last = _number(end, whole) if colon else first
        around = _number(radius, whole) if tilde else 0
        if not (minimum <= first <= maximum and minimum <= last <= maximum and around >= 0):
            raise ValueError(text)
    except ValueError as error:
        raise ValueError(f"{_expected(minimum, maximum, whole)}, got {text!r}") from error
    return Range(first, last, around, minimum, maximum, whole)


def _number(text: str, whole: bool) -> float:
    number = float(int(text) if whole else float(text))
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _expected(minimum: float, maximum: float, whole: bool) -> str:
    limits = {
        (True, True): "",
        (False, True): f" of {minimum:g} or more",
        (True, False): f" of {maximum:g} or less",
        (False, False): f" from {minimum:g} to {maximum:g}",
    }[math.isinf(minimum), math.isinf(maximum)]
    kind = "whole numbers" if whole else "numbers"
    return f"expected {kind}{limits}, as VALUE, START:END, VALUE~RADIUS or START:END~RADIUS"


def _read_probability(text: str) -> float:
    try:
        probability = float(text)
    except ValueError:
        probability = math.nan
    if not 0 <= probability <= 1:
        raise ValueError(f"expected a probability from 0 to 1, got {text!r}")
    return probability


def _read_domain(text: str) -> Domain:
    names = [each.value for each in Domain]
    if text not in names:
        raise ValueError(f"expected one of {', '.join(names)}, got {text!r}")
    return Domain(text)
