"""Cut long recordings into pieces of speech with WebRTC's voice activity detector."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stt_model.base import BootstrapError
from stt_model.corpus import SAMPLE_RATE

FRAME_MS = 30
_FRAME = SAMPLE_RATE * FRAME_MS // 1000
_WINDOW = 10
"""Window in frames whose majority decides that speech begins or ends."""


@dataclass(frozen=True)
class Piece:
    """Speech in a recording, from ``start`` to ``end`` in milliseconds."""

    start: int
    end: int
    samples: NDArray[np.float32]


def find_speech(samples: NDArray[np.float32], aggressiveness: int = 3) -> Iterator[Piece]:
    """Yield the pieces of speech in a recording, with some silence around each.

    Args:
        samples: float32 [n], 16 kHz, in [-1, 1].
        aggressiveness: 0 to 3: how readily a frame counts as silence.

    Raises:
        BootstrapError: the package webrtcvad-wheels is not installed.
    """
    frames = _frames(samples)
    recent: deque[bool] = deque(maxlen=_WINDOW)
    start: int | None = None
    for number, is_speech in enumerate(_judge(frames, aggressiveness)):
        recent.append(is_speech)
        if start is None and sum(recent) > _WINDOW / 2:
            start = number + 1 - len(recent)
            recent.clear()
        elif start is not None and len(recent) - sum(recent) > _WINDOW / 2:
            yield _piece(frames, start, number + 1)
            start = None
            recent.clear()
    if start is not None:
        yield _piece(frames, start, len(frames))


def _frames(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return int16 [frames, samples of 30 ms]; an incomplete last frame is dropped."""
    count = len(samples) // _FRAME
    whole = np.clip(samples[: count * _FRAME] * 32768, -32768, 32767)
    return whole.astype("<i2").reshape(count, _FRAME)


def _judge(frames: NDArray[np.int16], aggressiveness: int) -> Iterator[bool]:
    try:
        import webrtcvad
    except ModuleNotFoundError as error:
        raise BootstrapError(
            "cutting long recordings needs the package webrtcvad-wheels, which is not installed"
        ) from error
    detector = webrtcvad.Vad(aggressiveness)
    return (detector.is_speech(frame.tobytes(), SAMPLE_RATE) for frame in frames)


def _piece(frames: NDArray[np.int16], start: int, end: int) -> Piece:
    samples = frames[start:end].ravel().astype(np.float32) / np.float32(32768)
    return Piece(start * FRAME_MS, end * FRAME_MS, samples)
