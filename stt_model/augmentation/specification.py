"""Parse ``--augment`` and choose the augmentations of each utterance in each epoch.

The specifications are Coqui STT's: ``name[p=PROBABILITY,parameter=RANGE,…]``. The changes to an
utterance depend only on the seed, the epoch and its row, not on order or threads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Any

import numpy as np

from stt_model.augmentation.parameters import Array, Augmentation, Domain, Draw
from stt_model.augmentation.signals import Codec, Overlay, Pitch, Resample, Reverb, Tempo, Volume
from stt_model.augmentation.spectra import Add, Dropout, FrequencyMask, Multiply, TimeMask, Warp
from stt_model.base import AugmentationError, BootstrapError

AUGMENTATIONS: dict[str, type[Augmentation]] = {
    "volume": Volume,
    "overlay": Overlay,
    "reverb": Reverb,
    "resample": Resample,
    "codec": Codec,
    "tempo": Tempo,
    "pitch": Pitch,
    "warp": Warp,
    "frequency_mask": FrequencyMask,
    "time_mask": TimeMask,
    "dropout": Dropout,
    "add": Add,
    "multiply": Multiply,
}

_SPECIFICATION = re.compile(r"(?P<name>\w+)(\[(?P<parameters>.*)\])?", re.DOTALL)
# Inside brackets, paths may contain both separators.
_SEPARATOR = re.compile(r"[\s;]+(?![^\[]*\])")


@dataclass(frozen=True)
class Visit:
    """One utterance in one epoch."""

    epoch: int
    row: int
    clock: float
    """Progress of training, from 0 to 1."""
    least_frames: int = 0
    """Frames that the transcript needs."""


@dataclass(frozen=True)
class Treatment:
    """The random choices for one visit; it is used once."""

    steps: Sequence[tuple[Augmentation, Draw]]

    @property
    def on_features_only(self) -> bool:
        """Whether only the features of the unchanged clip are needed."""
        return all(augmentation.domain is Domain.FEATURES for augmentation, _ in self.steps)

    def apply(self, domain: Domain, data: Array) -> Array:
        """Return an utterance's changed data in one domain; the given array is not modified."""
        for augmentation, draw in self.steps:
            if augmentation.domain is domain:
                data = _allowed(domain, augmentation.apply(data, draw))
        return data


@dataclass(frozen=True)
class Augmenter:
    """The augmentations of a run, in the order in which they are applied in each domain."""

    augmentations: Sequence[Augmentation]
    seed: int

    def choose(self, visit: Visit) -> Treatment:
        """Choose the changes to an utterance; the same for the same visit."""
        steps = []
        for place, augmentation in enumerate(self.augmentations):
            # Each has its own random stream, so that adding one does not change the others.
            random = np.random.default_rng([self.seed % 2**64, visit.epoch, visit.row, place])
            if random.random() < augmentation.p:
                steps.append((augmentation, Draw(random, visit.clock, visit.least_frames)))
        return Treatment(steps)


def _allowed(domain: Domain, data: Array) -> Array:
    if domain is Domain.SIGNAL:
        return np.clip(data, -1.0, 1.0)
    return np.maximum(data, 0.0) if domain is Domain.SPECTROGRAM else data


def parse_augmentations(specifications: str) -> list[Augmentation]:
    """Parse specifications such as ``volume[p=0.1,dbfs=-10:-40] reverb``, and list their audio.

    They are separated by spaces or semicolons.

    Raises:
        AugmentationError: one is invalid, or names missing audio; in one line.
    """
    return [_parse(each) for each in _SEPARATOR.split(specifications) if each]


def _parse(specification: str) -> Augmentation:
    match = _SPECIFICATION.fullmatch(specification)
    if not match:
        raise AugmentationError(
            f"--augment {specification!r}: expected NAME or NAME[PARAMETER=VALUE,…], such as"
            " volume[p=0.1,dbfs=-10:-40]"
        )
    name, text = match["name"], match["parameters"] or ""
    if name not in AUGMENTATIONS:
        raise AugmentationError(
            f"--augment {specification}: {_unknown('augmentation', name, list(AUGMENTATIONS))}"
        )
    try:
        return AUGMENTATIONS[name](**_parameters(AUGMENTATIONS[name], text))
    except (ValueError, BootstrapError) as error:
        raise AugmentationError(f"--augment {specification}: {error}") from error


def _parameters(augmentation: type[Augmentation], text: str) -> dict[str, Any]:
    """Parse ``name=value,…``; invalid input raises ValueError or BootstrapError."""
    known = {each.name: each for each in fields(augmentation) if "read" in each.metadata}
    names = {each.metadata.get("alias") or name: name for name, each in known.items()}
    names |= {name: name for name in known}
    found: dict[str, Any] = {}
    for part in text.split(",") if text.strip() else []:
        given, equals, value = (each.strip() for each in part.partition("="))
        if not equals:
            raise ValueError(f"expected PARAMETER=VALUE, got {part.strip()!r}")
        if given not in names:
            raise ValueError(_unknown("parameter", given, list(known)))
        name = names[given]
        if name in found:
            raise ValueError(f"{given} is given twice")
        try:
            found[name] = known[name].metadata["read"](value)
        except ValueError as error:
            raise ValueError(f"{given}: {error}") from error
    for name, each in known.items():
        if each.default is MISSING and name not in found:
            raise ValueError(f"expected {name}=…, found none")
    return found


def _unknown(kind: str, name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown {kind} {name!r}; known are {', '.join(known)}{hint}"
