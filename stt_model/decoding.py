"""Logits to text, without a language model."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from stt_model.alphabet import Alphabet


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
