"""Audio files to text, with no transcript to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model import network
from stt_model.checkpoint import open_checkpoint, read_weights
from stt_model.corpus import read_audio
from stt_model.decoding import open_decoder
from stt_model.export import TfliteModel, as_logits, fill_up
from stt_model.features import extract_features, pad_features
from stt_model.text import Alphabet

Array = NDArray[np.float32]
Infer = Callable[[Sequence[Array]], tuple[Array, NDArray[np.int32]]]
"""From samples, float32 [n] each, to logits [batch, frames, classes] and frames [batch]."""


def transcribe(
    model: Path, files: Sequence[Path], *, batch_size: int = 16, **decoding: Any
) -> Iterator[str]:
    """Yield what a model understands in each file, a batch at a time.

    Args:
        model: a checkpoint directory, whose best checkpoint is taken, or the last; or a ``.tflite``
            file for Coqui STT's runtime, which is fed as that does it.
        files: audio of any rate and channel count.
        batch_size: files that go through the network together.
        decoding: what ``open_decoder`` takes; without any, the best label of each frame counts.

    Raises:
        BootstrapError: the model, the scorer or a file cannot be read.
    """
    alphabet, infer = _open_exported(model) if model.is_file() else _open_trained(model)
    decoder = open_decoder(alphabet, **decoding)
    for start in range(0, len(files), batch_size):
        samples = [read_audio(path) for path in files[start : start + batch_size]]
        yield from decoder.decode(*infer(samples))


def _open_trained(directory: Path) -> tuple[Alphabet, Infer]:
    checkpoint = open_checkpoint(directory)
    model = network.build(checkpoint.geometry)
    network.load_weights(model, checkpoint.geometry, read_weights(checkpoint))
    compiled = tf.function(model, reduce_retracing=True)

    def infer(samples: Sequence[Array]) -> tuple[Array, NDArray[np.int32]]:
        features = [extract_features(each) for each in samples]
        frames = np.array([len(each) for each in features], np.int32)
        return np.asarray(compiled(pad_features(features))), frames

    return checkpoint.alphabet, infer


def _open_exported(file: Path) -> tuple[Alphabet, Infer]:
    model = TfliteModel(file)
    alphabet = model.read_alphabet()

    def infer(samples: Sequence[Array]) -> tuple[Array, NDArray[np.int32]]:
        rows = [model.probabilities(fill_up(each)) for each in samples]
        frames = np.array([len(each) for each in rows], np.int32)
        logits = np.zeros((len(rows), max(1, *frames), alphabet.classes), np.float32)
        for place, row in enumerate(rows):
            logits[place, : len(row)] = as_logits(row)
        return logits, frames

    return alphabet, infer
