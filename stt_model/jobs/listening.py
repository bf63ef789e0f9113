"""Transcribe clips, with the model's uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from stt_model.base import DataError
from stt_model.corpus import SAMPLE_RATE
from stt_model.jobs.clip_ranking import uncertainty

Item = TypeVar("Item")

BATCH_SIZE = 16
"""Clips transcribed at once."""


class Heard(NamedTuple):
    """The text of a clip, and the model's uncertainty in nats per character."""

    text: str
    uncertainty: float


class Listener:
    """A model with its decoder.

    Args:
        model: checkpoint, or exported ``.tflite``, for audio at 16 kHz.
        scorer: language model for the texts.
        decoding: further arguments of ``decoding.open_decoder``.

    Raises:
        BootstrapError: the model or the scorer cannot be read; DataError for another sample rate.
    """

    def __init__(self, model: Path, scorer: Path | None = None, **decoding: Any) -> None:
        from stt_model.decoding import open_decoder
        from stt_model.jobs.recognition import open_model

        alphabet, audio, beam_width, self._infer = open_model(model)
        if audio.audio_sample_rate != SAMPLE_RATE:
            raise DataError(
                f"{model}: expected a model for {SAMPLE_RATE} Hz, found one for another rate"
            )
        width = decoding.pop("beam_width", 0) or beam_width
        self._decoder = open_decoder(alphabet, scorer_path=scorer, beam_width=width, **decoding)

    def hear(self, clips: Sequence[NDArray[np.float32]]) -> list[Heard]:
        """Transcribe clips: float32 [samples] each, at 16 kHz, in [-1, 1]."""
        logits, frames = self._infer(clips)
        texts = self._decoder.decode(logits, frames)
        return [
            Heard(text, uncertainty(logits[row, : frames[row]], text))
            for row, text in enumerate(texts)
        ]


def batches(items: Iterable[Item], size: int = BATCH_SIZE) -> Iterator[list[Item]]:
    """Yield the items in lists of ``size``; the last may be shorter."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
