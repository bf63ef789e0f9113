"""Audio files to text, with no transcript to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from stt_model import network
from stt_model.audio import read_audio
from stt_model.batches import pad_features
from stt_model.checkpoint import open_checkpoint, read_weights
from stt_model.decoding import decode
from stt_model.features import extract_features


def transcribe(
    checkpoint_dir: Path, files: Sequence[Path], *, batch_size: int = 16, beam_width: int = 0
) -> list[str]:
    """Return what a checkpoint understands in each file.

    Args:
        checkpoint_dir: a checkpoint directory; the best checkpoint of it is taken, or the last.
        files: audio of any rate and channel count.
        batch_size: files that go through the network together.
        beam_width: prefixes that the search keeps; 0 takes the best label of each frame.

    Raises:
        BootstrapError: the checkpoint or a file cannot be read.
    """
    checkpoint = open_checkpoint(checkpoint_dir)
    model = network.build(checkpoint.geometry)
    network.load_weights(model, checkpoint.geometry, read_weights(checkpoint))
    infer = tf.function(model, reduce_retracing=True)
    texts = []
    for start in range(0, len(files), batch_size):
        features = [
            extract_features(read_audio(path)) for path in files[start : start + batch_size]
        ]
        frames = np.array([len(each) for each in features], np.int32)
        logits = infer(pad_features(features))
        texts += decode(logits, frames, checkpoint.alphabet, beam_width)
    return texts
