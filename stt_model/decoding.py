"""Logits to text: the best label of each frame, or a beam search."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from stt_model.alphabet import Alphabet
from stt_model.errors import DataError


class Decoder(Protocol):
    """Turns logits into text; made once and used for every batch."""

    def decode(self, logits: Any, frames: Any) -> list[str]:
        """Return the transcript of each utterance.

        Args:
            logits: float32 [batch, frames, classes]; the last class is the blank.
            frames: int32 [batch], frames of each utterance that are not padding.
        """
        ...


class PlainDecoder:
    """Goes by the logits alone: greedily (``beam_width`` 0), or keeping ``beam_width`` prefixes."""

    def __init__(self, alphabet: Alphabet, beam_width: int) -> None:
        self.alphabet = alphabet
        self.beam_width = beam_width

    def decode(self, logits: Any, frames: Any) -> list[str]:
        """Return the most probable transcript of each utterance."""
        return decode(logits, frames, self.alphabet, self.beam_width)


def open_decoder(
    alphabet: Alphabet,
    *,
    beam_width: int = 0,
    scorer_path: Path | None = None,
    lm_alpha: float | None = None,
    lm_beta: float | None = None,
    cutoff_prob: float = 1.0,
    cutoff_top_n: int = 300,
    workers: int | None = None,
) -> Decoder:
    """Return what decodes the logits of a model that writes ``alphabet``."""
    if scorer_path is not None:
        raise DataError(f"{scorer_path}: decoding with a scorer is not there yet; leave it out")
    return PlainDecoder(alphabet, beam_width)


def decode(logits: Any, frames: Any, alphabet: Alphabet, beam_width: int = 0) -> list[str]:
    """Return the most probable transcript of each utterance.

    Args:
        logits: float32 [batch, frames, classes]; the last class is the blank.
        frames: int32 [batch], frames of each utterance that are not padding.
        alphabet: what the other classes stand for.
        beam_width: prefixes kept at each frame; 0 takes the best label of each frame (greedy).
    """
    time_major = tf.transpose(logits, [1, 0, 2])
    if beam_width > 0:
        decoded, _ = tf.nn.ctc_beam_search_decoder(
            time_major, frames, beam_width=beam_width, top_paths=1
        )
    else:
        decoded, _ = tf.nn.ctc_greedy_decoder(time_major, frames)
    batch_size = int(tf.shape(logits)[0])
    sequences: list[list[int]] = [[] for _ in range(batch_size)]
    for (utterance, _), label in zip(
        decoded[0].indices.numpy(), decoded[0].values.numpy(), strict=True
    ):
        sequences[utterance].append(int(label))
    return [alphabet.decode(sequence) for sequence in sequences]
