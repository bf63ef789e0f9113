"""The training criterion: connectionist temporal classification, one number an utterance."""

from __future__ import annotations

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
        float32 [batch].
    """
    # Sparse labels make TensorFlow choose its native kernels: its own on a CPU, cuDNN's on a GPU.
    mask = tf.sequence_mask(label_lengths, tf.shape(labels)[1])
    places = tf.where(mask)
    sparse_labels = tf.SparseTensor(
        places, tf.gather_nd(labels, places), tf.shape(labels, out_type=tf.int64)
    )
    return tf.nn.ctc_loss(
        labels=sparse_labels,
        logits=tf.transpose(logits, [1, 0, 2]),
        label_length=None,
        logit_length=frames,
        blank_index=-1,
    )
