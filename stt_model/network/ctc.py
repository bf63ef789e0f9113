"""The training criterion: connectionist temporal classification, one number per utterance."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf


def ctc_loss(logits: Any, frames: Any, labels: Any, label_lengths: Any) -> Any:
    """Return the CTC loss of each utterance in nats.

    Args:
        logits: float32 [batch, frames, classes]; the last class is the blank.
        frames: int32 [batch], frames of each utterance that are not padding.
        labels: int32 [batch, labels].
        label_lengths: int32 [batch], labels of each utterance that are not padding.

    Returns:
        float32 [batch]; infinite if the labels do not fit into the frames, which the kernels
        would report as an error of the whole batch.
    """
    frames, label_lengths = tf.cast(frames, tf.int32), tf.cast(label_lengths, tf.int32)
    places_of_labels = tf.range(1, tf.shape(labels)[1])
    repeats = tf.logical_and(
        labels[:, 1:] == labels[:, :-1], places_of_labels < label_lengths[:, tf.newaxis]
    )
    possible = frames >= label_lengths + tf.math.count_nonzero(repeats, axis=1, dtype=tf.int32)
    # For those that do not fit, one label in one frame satisfies the kernels.
    mask = tf.sequence_mask(tf.where(possible, label_lengths, 1), tf.shape(labels)[1])
    places = tf.where(mask)
    # Sparse labels make TensorFlow use its native kernels: its own on a CPU, cuDNN's on a GPU.
    sparse_labels = tf.SparseTensor(
        places, tf.gather_nd(labels, places), tf.shape(labels, out_type=tf.int64)
    )
    losses = tf.nn.ctc_loss(
        labels=sparse_labels,
        logits=tf.transpose(logits, [1, 0, 2]),
        label_length=None,
        logit_length=tf.maximum(frames, 1),
        blank_index=-1,
    )
    return tf.where(possible, losses, math.inf)
