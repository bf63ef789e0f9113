"""Open a checkpoint or an exported model for recognition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model import network
from stt_model.checkpoint import open_checkpoint, read_weights
from stt_model.corpus import AudioSettings
from stt_model.export import TfliteModel, as_logits, fill_up
from stt_model.features import extract_features, pad_features
from stt_model.text import Alphabet

Array = NDArray[np.float32]
Infer = Callable[[Sequence[Array]], tuple[Array, NDArray[np.int32]]]
"""From samples, float32 [n] each, to logits [batch, frames, classes] and frames [batch]."""


def open_model(model: Path) -> tuple[Alphabet, AudioSettings, int, Infer]:
    """Return alphabet, audio settings, beam width and inference function of a checkpoint or model.

    A checkpoint has no beam width: 0.

    Of a directory the best checkpoint is used, or else the last; a ``.tflite`` file runs with input
    as from Coqui STT's runtime; of a frozen graph only the weights are used.
    """
    is_frozen = model.is_file() and model.suffix.lower() in (".pb", ".pbmm")
    return _open_exported(model) if model.is_file() and not is_frozen else _open_trained(model)


def _open_trained(directory: Path) -> tuple[Alphabet, AudioSettings, int, Infer]:
    checkpoint = open_checkpoint(directory)
    model = network.build(checkpoint.geometry)
    network.load_weights(model, checkpoint.geometry, read_weights(checkpoint))
    compiled = tf.function(model, reduce_retracing=True)

    def infer(samples: Sequence[Array]) -> tuple[Array, NDArray[np.int32]]:
        features = [extract_features(each, checkpoint.audio) for each in samples]
        frames = np.array([len(each) for each in features], np.int32)
        return np.asarray(compiled(pad_features(features))), frames

    return checkpoint.alphabet, checkpoint.audio, 0, infer


def _open_exported(file: Path) -> tuple[Alphabet, AudioSettings, int, Infer]:
    model = TfliteModel(file)
    alphabet = model.read_alphabet()

    def infer(samples: Sequence[Array]) -> tuple[Array, NDArray[np.int32]]:
        rows = [model.probabilities(fill_up(each, model.audio)) for each in samples]
        frames = np.array([len(each) for each in rows], np.int32)
        logits = np.zeros((len(rows), max(1, *frames), alphabet.classes), np.float32)
        for place, row in enumerate(rows):
            logits[place, : len(row)] = as_logits(row)
        return logits, frames

    return alphabet, model.audio, model.read_beam_width(), infer
