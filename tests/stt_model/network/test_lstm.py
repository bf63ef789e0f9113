"""The recurrent layer against Keras's own, and against the slow obvious loop over the checkpoint's
kernel: outputs and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stt_model.checkpoint.geometry import Geometry
from stt_model.network import layers as network
from stt_model.network import lstm

SHAPES = [(1, 1), (1, 7), (3, 1), (3, 5)]
UNITS = 6


def obvious_lstm(inputs, kernel, bias):
    """Gates in TensorFlow 1's order: input, candidate, forget, output; forget bias 0."""
    batch, frames, units = inputs.shape
    h = np.zeros((batch, units))
    c = np.zeros((batch, units))
    outputs = np.zeros((batch, frames, units))
    for frame in range(frames):
        gates = np.concatenate([inputs[:, frame], h], axis=1) @ kernel + bias
        i, candidate, f, o = np.split(gates, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(candidate)
        h = _sigmoid(o) * np.tanh(c)
        outputs[:, frame] = h
    return outputs


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def random_case(batch, frames):
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(batch, frames, UNITS)).astype(np.float32)
    kernel = rng.normal(size=(2 * UNITS, 4 * UNITS)).astype(np.float32)
    bias = rng.normal(size=4 * UNITS).astype(np.float32)
    return inputs, kernel, bias


def built_layer(kernel, bias):
    layer = lstm.recurrent_layer(UNITS)
    layer.build((None, None, UNITS))
    layer.set_weights(lstm.to_keras(kernel, bias))
    return layer


@pytest.mark.parametrize(("batch", "frames"), SHAPES)
def test_outputs_equal_the_obvious_loop(batch, frames):
    inputs, kernel, bias = random_case(batch, frames)
    outputs = keras.ops.convert_to_numpy(built_layer(kernel, bias)(inputs))
    np.testing.assert_allclose(outputs, obvious_lstm(inputs, kernel, bias), atol=1e-5)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize(("batch", "frames"), SHAPES)
def test_outputs_and_gradients_equal_those_of_keras(batch, frames, in_graph):
    inputs, kernel, bias = random_case(batch, frames)
    ours = built_layer(kernel, bias)
    theirs = keras.layers.LSTM(UNITS, return_sequences=True)
    theirs.build(inputs.shape)
    theirs.set_weights(ours.get_weights())
    upstream = np.random.default_rng(2).normal(size=inputs.shape).astype(np.float32)

    def run(layer):
        def step(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x)
                loss = tf.reduce_sum(outputs * upstream)
            return outputs, tape.gradient(loss, [x, *layer.trainable_variables])

        signature = [tf.TensorSpec([None, None, UNITS])]
        outputs, gradients = (tf.function(step, signature) if in_graph else step)(
            tf.constant(inputs)
        )
        return [outputs, *gradients]

    for found, expected in zip(run(ours), run(theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bytes_at_once", [1, 4 * 96, 2**26])
@pytest.mark.parametrize(("batch", "frames"), [*SHAPES, (2, 5)])
def test_gradients_equal_differences_of_the_obvious_loop(batch, frames, bytes_at_once, monkeypatch):
    # So that the weight gradients are summed over pieces of time, the last of which is shorter.
    monkeypatch.setattr(lstm, "_BYTES_AT_ONCE", bytes_at_once)
    inputs, kernel, bias = random_case(batch, frames)
    layer = built_layer(kernel, bias)
    with tf.GradientTape() as tape:
        watched = tf.constant(inputs)
        tape.watch(watched)
        loss = tf.reduce_sum(layer(watched) ** 2)
    at_inputs, *others = tape.gradient(loss, [watched, *layer.trainable_variables])
    found = [at_inputs.numpy(), *lstm.from_keras([gradient.numpy() for gradient in others])]
    values = [each.astype(np.float64) for each in (inputs, kernel, bias)]
    for array, gradient in zip(values, found, strict=True):
        np.testing.assert_allclose(gradient, slopes(array, values), rtol=1e-4, atol=1e-4)


def slopes(array, values):
    """Central differences of the obvious loop's loss by every element of one of its arrays."""
    slope = np.empty(array.shape)
    for place in np.ndindex(array.shape):
        losses = []
        for step in (1e-5, -1e-5):
            array[place] += step
            losses.append((obvious_lstm(*values) ** 2).sum())
            array[place] -= step
        slope[place] = (losses[0] - losses[1]) / 2e-5
    return slope


def test_with_a_gpu_the_layer_is_left_to_keras(monkeypatch):
    inputs, kernel, bias = random_case(2, 3)
    layer = built_layer(kernel, bias)
    fast = keras.ops.convert_to_numpy(layer(inputs))
    monkeypatch.setattr(lstm, "lstm", None)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(inputs)), fast, atol=1e-6)


def test_padding_needs_no_mask():
    """Keras with a mask and the fast way without one agree on all that is not padding."""
    inputs, kernel, bias = random_case(3, 5)
    layer = built_layer(kernel, bias)
    mask = tf.sequence_mask([5, 1, 3], 5)
    upstream = np.random.default_rng(2).normal(size=inputs.shape) * mask.numpy()[..., np.newaxis]

    def run(**options):
        x = tf.constant(inputs)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, **options)
            loss = tf.reduce_sum(outputs * upstream.astype(np.float32))
        return [outputs[mask], *tape.gradient(loss, [x, *layer.trainable_variables])]

    for found, expected in zip(run(), run(mask=mask), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize(("batch", "frames"), SHAPES)
def test_the_whole_network_agrees_with_kerass_way(monkeypatch, batch, frames, layer_norm):
    model = network.build(Geometry(UNITS, 5, layer_norm=layer_norm), seed=1)
    features = np.random.default_rng(3).normal(size=(batch, frames, 26)).astype(np.float32)
    upstream = np.random.default_rng(4).normal(size=(batch, frames, 5)).astype(np.float32)

    def run():
        with tf.GradientTape() as tape:
            logits = model(features, training=True)
            loss = tf.reduce_sum(logits * upstream)
        return [logits, *tape.gradient(loss, model.trainable_variables)]

    fast = run()
    monkeypatch.setattr(lstm, "lstm", None)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    for found, expected in zip(fast, run(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_mask_or_a_state_is_left_to_keras():
    inputs, kernel, bias = random_case(2, 3)
    layer = built_layer(kernel, bias)
    state = [np.ones((2, UNITS), np.float32)] * 2
    assert not np.allclose(layer(inputs, initial_state=state), layer(inputs))


def test_weights_go_to_keras_and_back_bit_for_bit():
    _, kernel, bias = random_case(1, 1)
    kernel_again, bias_again = lstm.from_keras(lstm.to_keras(kernel, bias))
    np.testing.assert_array_equal(kernel_again, kernel)
    np.testing.assert_array_equal(bias_again, bias)
