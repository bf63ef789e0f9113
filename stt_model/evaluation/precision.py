"""A network for evaluation, in 16 bits where that is faster and changes no text."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model import network
from stt_model.base import AUTO
from stt_model.checkpoint import Checkpoint, read_weights
from stt_model.decoding import open_decoder
from stt_model.features import COEFFICIENTS
from stt_model.training import CLEARLY_FASTER, PRECISIONS, bfloat16_gain

log = logging.getLogger(__name__)

FLOAT32 = "off"


class Inference:
    """Computes logits with a checkpoint's network.

    Attributes:
        precision: one of ``training.PRECISIONS``, as it is after the first batch.
    """

    def __init__(self, checkpoint: Checkpoint, asked: str, rows: int) -> None:
        """Load the network; ``rows`` is the number of utterances in a batch."""
        self._decoder = open_decoder(checkpoint.alphabet, beam_width=1)
        self.precision = choose_precision(asked, checkpoint.geometry.n_hidden, rows)
        self._is_settled = asked != AUTO or self.precision == FLOAT32
        self._model = network.build(checkpoint.geometry, precision=PRECISIONS[self.precision])
        network.load_weights(self._model, checkpoint.geometry, read_weights(checkpoint))
        self._infer = self._traced()

    def __call__(self, features: Any, frames: NDArray[np.int32]) -> Any:
        """Return the logits, float32 [batch, frames, classes], of features and their lengths.

        An automatic choice of 16 bits is revoked if it changes a text of the first batch, when
        each frame's best label is taken.
        """
        logits = self._infer(features)
        if self._is_settled:
            return logits
        self._is_settled = True
        network.set_precision(self._model, PRECISIONS[FLOAT32])
        in_float32 = self._traced()
        exact = in_float32(features)
        changed = sum(
            text != other
            for text, other in zip(
                self._decoder.decode(exact, frames),
                self._decoder.decode(logits, frames),
                strict=True,
            )
        )
        if not changed:
            return logits
        log.info(
            "evaluating in float32: %s changes %d of the first %d texts",
            self.precision,
            changed,
            len(frames),
        )
        self.precision, self._infer = FLOAT32, in_float32
        return exact

    def _traced(self) -> Callable[[Any], Any]:
        features = tf.TensorSpec([None, None, COEFFICIENTS], tf.float32)
        function = tf.function(
            lambda batch: self._model(batch, training=False), input_signature=[features]
        )
        # Now, before another precision is set.
        function.get_concrete_function()
        infer: Callable[[Any], Any] = function
        return infer


def choose_precision(asked: str, n_hidden: int, rows: int) -> str:
    """Return the precision to evaluate in: as asked for, or for auto the faster one here."""
    if asked != AUTO:
        return asked
    is_faster = bfloat16_gain(n_hidden, rows) >= CLEARLY_FASTER
    return "bfloat16" if is_faster else FLOAT32
