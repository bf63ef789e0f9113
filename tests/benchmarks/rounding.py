"""What rounding to 8 bits costs, to the nearest step or at random, whatever a model descends from.

    python -m tests.benchmarks.rounding CHECKPOINT=MANIFEST… [--draws 5]

Each checkpoint is exported as float, with its weights rounded to the nearest step of the 8-bit
grid, and several times rounded at random; all of them transcribe the same clips without a beam. The
loss is CTC's, in nats an utterance. One JSON line a checkpoint.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from unittest import mock

import jiwer
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model.checkpoint import Checkpoint, open_checkpoint, read_weights
from stt_model.decoding import open_decoder
from stt_model.export import rounding
from stt_model.export.comparison import Clip, read_clips
from stt_model.export.tflite_conversion import RuntimeMetadata, convert
from stt_model.export.tflite_model import TfliteModel, as_logits, fill_up


def main() -> None:
    """Measure each checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pairs", nargs="+", metavar="CHECKPOINT=MANIFEST")
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    for pair in args.pairs:
        folder, _, manifest = pair.partition("=")
        figures = measure(open_checkpoint(folder), Path(manifest), args.draws)
        print(json.dumps({"checkpoint": folder, **figures}), flush=True)


def measure(checkpoint: Checkpoint, manifest: Path, draws: int) -> dict[str, object]:
    """Return CER and loss of the float export, of the nearest steps, and of each draw."""
    clips = read_clips([manifest], checkpoint.audio)
    weights = read_weights(checkpoint)
    metadata = RuntimeMetadata(checkpoint.alphabet, 500, "und", checkpoint.audio)

    def rate(*, quantize: bool, seed: str | None = None) -> tuple[float, float]:
        with mock.patch.object(rounding, "weights_digest", return_value=seed):
            model = convert(
                weights,
                checkpoint.geometry,
                metadata,
                quantize=quantize,
                stochastic=seed is not None,
            )
        return rate_model(model, checkpoint, clips)

    exact, nearest = rate(quantize=False), rate(quantize=True)
    drawn = [rate(quantize=True, seed=str(draw)) for draw in range(draws)]
    return {
        "clips": len(clips),
        "n_hidden": checkpoint.geometry.n_hidden,
        "float": exact,
        "nearest": nearest,
        "random": drawn,
        "random, mean": tuple(mean(column) for column in zip(*drawn, strict=True)),
    }


def rate_model(model: bytes, checkpoint: Checkpoint, clips: Sequence[Clip]) -> tuple[float, float]:
    """Return the CER and the mean loss of a ``.tflite`` file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        loaded = TfliteModel(path)
    logits = [
        as_logits(loaded.probabilities(fill_up(clip.samples, loaded.audio))) for clip in clips
    ]
    decoder = open_decoder(checkpoint.alphabet, beam_width=1)
    texts = [decoder.decode(each[np.newaxis], [len(each)])[0] for each in logits]
    said = [clip.transcript for clip in clips]
    losses = [
        ctc_loss(each, checkpoint.alphabet.encode(text), checkpoint.alphabet.blank)
        for each, text in zip(logits, said, strict=True)
    ]
    return jiwer.cer(said, texts), mean(losses)


def ctc_loss(logits: NDArray[np.float32], labels: Sequence[int], blank: int) -> float:
    """Return the negative log-likelihood of the labels, in nats."""
    found = tf.nn.ctc_loss(
        tf.constant([list(labels)], tf.int32),
        tf.constant(logits[:, np.newaxis]),
        tf.constant([len(labels)]),
        tf.constant([len(logits)]),
        blank_index=blank,
    )
    return float(found[0])


if __name__ == "__main__":
    main()
