"""A recording of any length as samples that lie on disk, and where nobody speaks in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from stt_model.base import native_lines_dropped
from stt_model.corpus import AudioError


class Samples(Protocol):
    """The samples of a recording, int16 [n]: an array, or what reads the parts that are asked for.

    A file that is mapped counts as memory of the process once it was read, 110 MiB an hour.
    """

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, part: slice, /) -> NDArray[np.int16]:
        """Return some that follow each other."""


class _SamplesOfFile:
    """Those in a file of 16-bit integers, without any in memory."""

    def __init__(self, path: Path) -> None:
        self._path, self._length = path, path.stat().st_size // 2

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice, /) -> NDArray[np.int16]:
        begin, end, _ = part.indices(self._length)
        return np.fromfile(self._path, "<i2", max(end - begin, 0), offset=2 * begin)


_BLOCK = 1 << 18
"""Samples a channel read at once."""
HOP = 0.01
"""Seconds between two levels."""
_SURROUNDINGS = 30.0
"""Seconds within which speech and noise have one level each."""
_SHARE = 0.3
"""How far between the level of noise and that of speech a pause may reach, in decibels."""
_SHORTEST = 0.06
"""Seconds of a pause."""


@contextmanager
def samples_on_disk(wav: Path, folder: Path, rate: int) -> Iterator[Samples]:
    """Yield a recording as int16 [n], mono at ``rate``, read in parts from a file in ``folder``.

    AudioError for what cannot be read, or holds nothing.
    """
    path = folder / "samples.raw"
    try:
        try:
            _convert(wav, path, rate)
        except (soundfile.SoundFileError, OSError, ValueError) as error:
            reason = getattr(error, "error_string", str(error))
            raise AudioError(
                wav, f"a file that cannot be decoded: {' '.join(reason.split())}"
            ) from error
        if not path.stat().st_size:
            raise AudioError(wav, "no samples")
        yield _SamplesOfFile(path)
    finally:
        path.unlink(missing_ok=True)


def _convert(wav: Path, target: Path, rate: int) -> None:
    with native_lines_dropped(), soundfile.SoundFile(wav) as sound, target.open("wb") as out:
        stream: Any = None
        if sound.samplerate != rate:
            stream = soxr.ResampleStream(sound.samplerate, rate, 1, "float32", "VHQ")
        while True:
            block = sound.read(_BLOCK, dtype="float32", always_2d=True).mean(axis=1)
            is_last = len(block) < _BLOCK
            if stream is not None:
                block = stream.resample_chunk(block, last=is_last)
            whole = np.round(np.nan_to_num(block) * 32768)
            out.write(np.clip(whole, -32768, 32767).astype("<i2").tobytes())
            if is_last:
                return


def find_pauses(samples: Samples, rate: int) -> NDArray[np.float64]:
    """Return the pauses of a recording, float64 [pauses, 2]: where each begins and ends, in s.

    A pause is quieter than speech and noise of its surroundings let expect.
    """
    levels = _levels(samples, rate)
    quiet = levels < _thresholds(levels)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    begins, ends = edges[::2], edges[1::2]
    found = np.column_stack([begins, ends]).astype(np.float64) * np.float64(HOP)
    return found[ends - begins >= round(_SHORTEST / HOP)]


def _levels(samples: Samples, rate: int) -> NDArray[np.float32]:
    """Return the level of each hundredth of a second, with its neighbours, in decibels."""
    hop = round(rate * HOP)
    count = max(1, len(samples) // hop)
    powers = np.empty(count, np.float32)
    for begin in range(0, count, 6000):
        end = min(begin + 6000, count)
        part = np.asarray(samples[begin * hop : end * hop], np.float32)
        if len(part) < (end - begin) * hop:
            part = np.pad(part, (0, (end - begin) * hop - len(part)))
        powers[begin:end] = np.square(part.reshape(end - begin, hop)).mean(axis=1)
    padded = np.pad(powers, 1, mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return np.asarray(10 * np.log10(smooth + 1), np.float32)


def _thresholds(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    span = round(_SURROUNDINGS / HOP)
    centres: list[float] = []
    found: list[float] = []
    for begin in range(0, len(levels), span // 2):
        part = levels[begin : begin + span]
        if found and len(part) < span // 2:
            break
        noise, speech = np.percentile(part, (5, 90))
        centres.append(begin + len(part) / 2)
        # Where all is of one level there is no telling, and nothing is a pause.
        is_told = speech - noise >= 6
        found.append(noise + max(3.0, _SHARE * (speech - noise)) if is_told else -1.0)
    return np.asarray(np.interp(np.arange(len(levels)), centres, found), np.float32)
