"""The loss against the sum over every path, written out."""

import itertools
import math

import numpy as np
import tensorflow as tf

from stt_model.network.ctc import ctc_loss


def obvious_loss(logits, labels):
    """Minus the logarithm of the summed probability of every path that collapses to ``labels``."""
    frames, classes = logits.shape
    log_probabilities = logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))
    total = 0.0
    for path in itertools.product(range(classes), repeat=frames):
        collapsed = [label for label, _ in itertools.groupby(path) if label != classes - 1]
        if collapsed == list(labels):
            total += math.exp(sum(log_probabilities[t, label] for t, label in enumerate(path)))
    return -math.log(total)


def test_equals_the_sum_over_paths_and_ignores_padding():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(2, 5, 3)).astype(np.float32)
    labels = np.array([[0, 0], [1, 7]], np.int32)
    losses = ctc_loss(logits, np.array([5, 4]), labels, np.array([2, 1])).numpy()
    expected = [obvious_loss(logits[0], [0, 0]), obvious_loss(logits[1, :4], [1])]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_is_infinite_where_the_labels_do_not_fit_and_leaves_the_others_alone():
    logits = np.random.default_rng(5).normal(size=(4, 3, 3)).astype(np.float32)
    labels = np.array([[0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0]], np.int32)
    # Two equal labels in a row need a blank between them; the last row's second 1 is padding.
    losses = ctc_loss(logits, np.array([3, 3, 2, 0]), labels, np.array([3, 3, 2, 1])).numpy()
    assert np.isinf(losses[[0, 2, 3]]).all()
    assert np.isclose(losses[1], obvious_loss(logits[1], [0, 1, 0]), rtol=1e-5)


def test_has_a_gradient_in_a_graph_without_static_shapes():
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 4], tf.float32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None], tf.int32),
        ]
    )
    def gradient(logits, frames, labels, label_lengths):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_sum(ctc_loss(logits, frames, labels, label_lengths))
        return tape.gradient(loss, logits)

    logits = np.random.default_rng(4).normal(size=(1, 6, 4)).astype(np.float32)
    result = gradient(logits, np.array([4]), np.array([[2, 1]]), np.array([2])).numpy()
    assert np.abs(result[0, :4]).min() > 0
    assert not result[0, 4:].any(), "padding has no gradient"
