"""Measure a clip's audio for validation, from its samples or from its header alone."""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import numpy as np

from stt_model.corpus.audio import AudioError, decode_clip, ranged_info
from stt_model.corpus.audio_settings import SAMPLE_RATE
from stt_model.corpus.clips import look_at
from stt_model.storage import MissingError, StoredObject

FULL_SCALE = 0.999
"""Samples from here to 1 count as clipped."""


class Measurement(NamedTuple):
    """Measurements of an utterance's audio; the samples are not kept."""

    file_bytes: int
    sample_rate: int
    samples: int
    """At 16 kHz."""
    digest: bytes
    """16 bytes: of the samples at 16 kHz mono, whatever the file format, or, for a clip that was
    not read, of the object's version."""
    level: float | None
    """Root mean square in dB relative to full scale; -inf for digital silence; None if not read."""
    clipped_share: float | None
    """None if not read."""

    @property
    def seconds(self) -> float:
        """The duration."""
        return self.samples / SAMPLE_RATE


class TooLongError(Exception):
    """A clip that is too long to be decoded: ``seconds`` long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def measure_clip(
    place: str, stored: StoredObject | None = None, *, max_seconds: float
) -> Measurement:
    """Decode and measure a clip; ``stored`` is its object in a store, if that is known already.

    TooLongError above ``max_seconds``, AudioError if it is not readable audio.
    """
    file_bytes, info, samples = decode_clip(place, stored, max_seconds=max_seconds)
    if samples is None:
        raise TooLongError(info.duration)
    power = float(np.mean(np.square(samples)))
    return Measurement(
        file_bytes=file_bytes,
        sample_rate=info.sample_rate,
        samples=len(samples),
        digest=_digest(samples.data),
        level=10 * math.log10(power) if power else -math.inf,
        clipped_share=float(np.count_nonzero(np.abs(samples) >= FULL_SCALE)) / len(samples),
    )


def measure_header(
    place: str, stored: StoredObject | None = None, *, max_seconds: float
) -> Measurement:
    """Measure an object by its header alone; ``level`` and ``clipped_share`` are None."""
    try:
        stored = stored or look_at(place)
    except MissingError as error:
        raise AudioError(place, "nothing") from error
    info = ranged_info(stored)
    if not info.samples:
        raise AudioError(place, "no samples")
    if info.duration > max_seconds:
        raise TooLongError(info.duration)
    return Measurement(
        file_bytes=stored.size,
        sample_rate=info.sample_rate,
        samples=round(info.samples * SAMPLE_RATE / info.sample_rate),
        digest=object_digest(stored),
        level=None,
        clipped_share=None,
    )


def object_digest(stored: StoredObject) -> bytes:
    """Return a digest that objects of the same content share, unless uploaded in parts."""
    return _digest(f"{stored.size} {stored.etag}".encode())


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
