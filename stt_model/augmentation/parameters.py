"""What an augmentation is, and what its parameters can be.

The grammar of ranges is Coqui STT's: ``VALUE``, ``VALUE~RADIUS``, ``START:END`` or
``START:END~RADIUS``. The centre moves from START to END with the progress of training, and the
value is drawn evenly from RADIUS around it.
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
    """What an augmentation changes, in the order in which one is made from the other."""

    SIGNAL = "signal"
    """Samples: float32 [n], 16 kHz mono, in [-1, 1]."""
    SPECTROGRAM = "spectrogram"
    """Squared magnitudes: float32 [frames, 257], a frame each 20 ms, a band each 31.25 Hz."""
    FEATURES = "features"
    """Cepstral coefficients: float32 [frames, 26]."""


@dataclass(frozen=True)
class Range:
    """Numbers to draw from, which may move while training goes on."""

    start: float
    end: float
    radius: float = 0.0
    least: float = -math.inf
    most: float = math.inf
    whole: bool = False

    def draw(self, random: np.random.Generator, clock: float) -> float:
        """Return a number for this progress of training, ``clock``, from 0 to 1.

        What the radius adds stays within ``least`` and ``most``.
        """
        centre = self.start + clock * (self.end - self.start)
        value = random.uniform(centre - self.radius, centre + self.radius)
        value = min(max(value, self.least), self.most)
        return round(value) if self.whole else value


@dataclass(frozen=True)
class Draw:
    """What decides how one augmentation changes one utterance in one epoch."""

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
    """One way to change utterances; the fields that say how they are read are its parameters."""

    p: float = field(default=1.0, metadata={"read": lambda text: _read_probability(text)})
    domain: Domain

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return what becomes of the data of this domain; the array given stays as it is."""
        raise NotImplementedError


def real(default: str, *, least: float = -math.inf, most: float = math.inf, alias: str = "") -> Any:
    """Return a parameter that is a range of numbers from ``least`` to ``most``."""
    return _parameter(default, partial(read_range, least=least, most=most), alias)


def whole(
    default: str, *, least: float = -math.inf, most: float = math.inf, alias: str = ""
) -> Any:
    """Return a parameter that is a range of whole numbers from ``least`` to ``most``."""
    return _parameter(default, partial(read_range, least=least, most=most, whole=True), alias)


def domain(default: Domain) -> Any:
    """Return a parameter that says what an augmentation changes."""
    return _parameter(default.value, _read_domain)


def _parameter(default: str, read: Callable[[str], Any], alias: str = "") -> Any:
    return field(default=read(default), metadata={"read": read, "alias": alias})


def read_range(text: str, *, least: float, most: float, whole: bool = False) -> Range:
    """Read a range in Coqui's grammar.

    Raises:
        ValueError: it is none, or its ends lie outside ``least`` and ``most``; in words.
    """
    centre, tilde, radius = text.partition("~")
    start, colon, end = centre.partition(":")
    try:
        first = _number(start, whole)
        last = _number(end, whole) if colon else first
        around = _number(radius, whole) if tilde else 0
        if not (least <= first <= most and least <= last <= most and around >= 0):
            raise ValueError(text)
    except ValueError as error:
        raise ValueError(f"{_expected(least, most, whole)}, got {text!r}") from error
    return Range(first, last, around, least, most, whole)


def _number(text: str, whole: bool) -> float:
    number = float(int(text) if whole else float(text))
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _expected(least: float, most: float, whole: bool) -> str:
    limits = {
        (True, True): "",
        (False, True): f" of {least:g} or more",
        (True, False): f" of {most:g} or less",
        (False, False): f" from {least:g} to {most:g}",
    }[math.isinf(least), math.isinf(most)]
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
