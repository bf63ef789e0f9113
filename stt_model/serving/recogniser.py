"""One model that many requests share."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model import jobs
from stt_model.corpus import SAMPLE_RATE, resample
from stt_model.decoding import open_decoder
from stt_model.jobs.recognition import open_model


class Recogniser:
    """A checkpoint or an exported model with its decoder, for one recording at a time."""

    def __init__(self, model: Path, scorer_path: Path | None = None, **decoding: Any) -> None:
        """Load the model and transcribe a moment of silence, so that the first request is fast.

        Args:
            model: a checkpoint directory, or a ``.tflite`` file for Coqui STT's runtime.
            scorer_path: language model to decode with.
            decoding: further arguments of ``decoding.open_decoder``.

        Raises:
            BootstrapError: the model or the scorer cannot be used.
        """
        jobs.start_tensorflow()
        self.name = model.resolve().name
        alphabet, audio, _, self._infer = open_model(model)
        self._rate = audio.audio_sample_rate
        self._decoder = open_decoder(alphabet, scorer_path=scorer_path, **decoding)
        # Threads can share neither the interpreter nor a beam search.
        self._lock = threading.Lock()
        self.transcribe(np.zeros(8000, np.float32))

    def transcribe(self, samples: NDArray[np.float32]) -> str:
        """Return the text of samples, float32 [n], mono, 16 kHz, in [-1, 1]."""
        wanted = resample(samples, SAMPLE_RATE, self._rate)
        with self._lock:
            (text,) = self._decoder.decode(*self._infer([wanted]))
        return text
