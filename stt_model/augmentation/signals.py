"""Augmentations of samples: float32 [n], 16 kHz mono, in [-1, 1].

FFmpeg (PyAV) stretches time and encodes Opus, soxr resamples. Levels in dBFS are as in Coqui STT:
those of a sine with the same peak, so that full scale is 3.01.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr

from stt_model.augmentation.parameters import Array, Augmentation, Domain, Draw, Range, real, whole
from stt_model.base import AugmentationError
from stt_model.corpus import (
    SAMPLE_RATE,
    STRIDE,
    WINDOW,
    AudioInfo,
    audio_info,
    find_audio,
    read_audio,
    read_manifest,
)
from stt_model.storage import local_path

if TYPE_CHECKING:
    import av

FULL_SCALE = 10 * math.log10(2)
"""Coqui's dBFS of a sine whose peak is 1: 3.01."""

# Half of the encoder's effort: up to three times as fast, with hardly any audible difference.
_OPUS_OPTIONS = {"compression_level": "5"}
# Without silence after them, FFmpeg does not return the last samples.
_ATEMPO_TAIL = 4096


@dataclass(frozen=True, kw_only=True)
class SignalAugmentation(Augmentation):
    """Changes samples."""

    domain: Domain = Domain.SIGNAL


@dataclass(frozen=True, kw_only=True)
class Volume(SignalAugmentation):
    """Scales the peak to a level and clips at full scale."""

    dbfs: Range = real(f"{FULL_SCALE}", minimum=-100, maximum=40)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return samples of the same number."""
        return _with_peak(data, 10 ** ((draw.real(self.dbfs) - FULL_SCALE) / 20))


@dataclass(frozen=True)
class Recording:
    """A file to mix in."""

    path: Path | str
    info: AudioInfo


def _read_recordings(source: str) -> tuple[Recording, ...]:
    """List the audio of a manifest (.csv, .sdb, .tar), of a folder, or of one file.

    Raises:
        BootstrapError: there is none, or a file is not audio.
    """
    path = local_path(source)
    if path.suffix.lower() in (".csv", ".sdb", ".tar"):
        paths: Sequence[Path | str] = [utterance.place for utterance in read_manifest(path)]
    else:
        paths = find_audio([path])
    with ThreadPoolExecutor() as pool:
        recordings = map(Recording, paths, pool.map(audio_info, paths))
        found = tuple(recording for recording in recordings if recording.info.samples)
    if not found:
        raise AugmentationError(f"{path}: expected at least one recording with sound, found none")
    return found


@dataclass(frozen=True, kw_only=True)
class Overlay(SignalAugmentation):
    """Mixes in other sound at a given signal-to-noise ratio, keeping the peak."""

    source: tuple[Recording, ...] = field(metadata={"read": _read_recordings})
    snr: Range = real("3", minimum=-100, maximum=100)
    layers: Range = whole("1", minimum=0, maximum=100)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return samples of the same number."""
        decibels = draw.real(self.snr)
        layers = [self._layer(len(data), draw) for _ in range(draw.whole(self.layers))]
        noise = np.zeros_like(data) + sum(layers)
        energy, noise_energy = _energy(data), _energy(noise)
        if not energy or not noise_energy:
            return data
        gain = math.sqrt(energy / noise_energy) * 10 ** (-decibels / 20)
        return _with_peak(data + np.float32(gain) * noise, _peak(data))

    def _layer(self, length: int, draw: Draw) -> Array:
        """Return so much of a random part of a recording, or of several in a row."""
        pieces: list[Array] = [np.zeros(0, np.float32)]
        missing = length
        while missing > 0:
            recording = self.source[draw.random.integers(len(self.source))]
            # A little more, so that rounding at another rate leaves no sample missing.
            needed = missing / SAMPLE_RATE + 0.01
            spare = max(0.0, recording.info.duration - needed)
            start = draw.random.uniform(0, spare)
            piece = read_audio(recording.path, start=start, seconds=needed)[:missing]
            pieces.append(piece)
            missing -= len(piece)
        return np.concatenate(pieces)


@dataclass(frozen=True, kw_only=True)
class Reverb(SignalAugmentation):
    """Adds the echoes of a room with Schroeder's comb filters, keeping the peak."""

    delay: Range = real("20", minimum=1, maximum=1000)
    decay: Range = real("10", minimum=0, maximum=100)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return samples of the same number: echoes beyond the end are cut off."""
        delay = draw.real(self.delay) / 1000 * SAMPLE_RATE
        gain = np.float32(10 ** (-draw.real(self.decay) / 20))
        # Five walls at incommensurable distances, so that no tone resonates.
        delays = [round(delay * ratio) for ratio in (1, 19 / 17, 23 / 17, 29 / 17, 31 / 17)]
        return _with_peak(data + sum(_comb(data, each, gain) for each in delays), _peak(data))


@dataclass(frozen=True, kw_only=True)
class Resample(SignalAugmentation):
    """Removes the frequencies above half of another sample rate."""

    rate: Range = whole("8000", minimum=1000, maximum=48000)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return samples of the same number and rate."""
        rate = draw.whole(self.rate)
        there = soxr.resample(data, SAMPLE_RATE, rate)
        return _of_length(soxr.resample(there, rate, SAMPLE_RATE), len(data))


@dataclass(frozen=True, kw_only=True)
class Codec(SignalAugmentation):
    """Compresses with Opus and decodes again."""

    bitrate: Range = whole("3200", minimum=500, maximum=256000)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return samples of the same number, aligned with the given ones."""
        import av  # not in the image of the data steps, which read the names of augmentations

        if not len(data):
            return data
        file = io.BytesIO()
        with av.open(file, "w", "ogg") as container:
            stream = container.add_stream(
                "libopus", rate=SAMPLE_RATE, layout="mono", options=_OPUS_OPTIONS
            )
            stream.bit_rate = draw.whole(self.bitrate)
            container.mux(stream.encode(_frame(data)))
            container.mux(stream.encode(None))
        file.seek(0)
        with av.open(file) as container:
            resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
            frames = [
                part for each in container.decode(audio=0) for part in resampler.resample(each)
            ]
            frames += resampler.resample(None)
        return _of_length(_samples(frames), len(data))


@dataclass(frozen=True, kw_only=True)
class Tempo(SignalAugmentation):
    """Speaks faster or slower with the same voice."""

    factor: Range = real("1.1", minimum=0.5, maximum=2)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return 1 / factor times as many samples, but enough for the transcript."""
        length = round(len(data) / draw.real(self.factor))
        needed = WINDOW + (draw.least_frames - 1) * STRIDE if draw.least_frames else 0
        return _stretched(data, max(length, min(needed, len(data))))


@dataclass(frozen=True, kw_only=True)
class Pitch(SignalAugmentation):
    """Raises or lowers the voice at the same tempo."""

    pitch: Range = real("1.075~0.125", minimum=0.5, maximum=2)

    def apply(self, data: Array, draw: Draw) -> Array:
        """Return samples of the same number."""
        # Played faster, a voice is higher and shorter; stretching restores its length.
        played = soxr.resample(data, SAMPLE_RATE * draw.real(self.pitch), SAMPLE_RATE)
        return _stretched(played, len(data))


def _stretched(samples: Array, length: int) -> Array:
    """Stretch to ``length`` samples, half to twice as many, without changing the pitch."""
    import av

    if len(samples) in (0, length):
        return _of_length(samples, length)
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE, format="fltp", layout="mono")
    tempo = graph.add("atempo", str(min(max(len(samples) / length, 0.5), 2.0)))
    sink = graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    graph.push(_frame(np.pad(samples, (0, _ATEMPO_TAIL))))
    graph.push(None)
    frames = []
    while True:
        try:
            frames.append(graph.pull())
        except av.error.EOFError:
            return _of_length(_samples(frames), length)


def _frame(samples: Array) -> av.AudioFrame:
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), "fltp", "mono")
    frame.sample_rate = SAMPLE_RATE
    return frame


def _samples(frames: Sequence[Any]) -> Array:
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def _comb(samples: Array, delay: int, gain: np.float32) -> Array:
    """Return ``y[n] = x[n] + gain * y[n - delay]``."""
    rows = np.pad(samples, (0, -len(samples) % delay)).reshape(-1, delay)
    for before, row in pairwise(rows):
        row += gain * before
    return rows.reshape(-1)[: len(samples)]


def _energy(samples: Array) -> float:
    return float(np.sum(np.square(samples, dtype=np.float64)))


def _peak(samples: Array) -> float:
    return float(np.max(np.abs(samples), initial=0.0))


def _with_peak(samples: Array, peak: float) -> Array:
    found = _peak(samples)
    return samples * np.float32(peak / found) if found else samples


def _of_length(samples: Array, length: int) -> Array:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))
