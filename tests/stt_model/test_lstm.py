"""The recurrent layer against the slow obvious loop over the checkpoint's own kernel."""

import keras
import numpy as np
import pytest

from stt_model import lstm


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


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 7), (3, 5)])
def test_equals_the_obvious_loop(batch, frames):
    rng = np.random.default_rng(1)
    units = 6
    inputs = rng.normal(size=(batch, frames, units)).astype(np.float32)
    kernel = rng.normal(size=(2 * units, 4 * units)).astype(np.float32)
    bias = rng.normal(size=4 * units).astype(np.float32)
    layer = lstm.recurrent_layer(units)
    layer.build(inputs.shape)
    layer.set_weights(lstm.to_keras(kernel, bias))
    outputs = keras.ops.convert_to_numpy(layer(inputs))
    np.testing.assert_allclose(outputs, obvious_lstm(inputs, kernel, bias), atol=1e-5)


def test_weights_go_to_keras_and_back_bit_for_bit():
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(10, 20)).astype(np.float32)
    bias = rng.normal(size=20).astype(np.float32)
    kernel_again, bias_again = lstm.from_keras(lstm.to_keras(kernel, bias))
    np.testing.assert_array_equal(kernel_again, kernel)
    np.testing.assert_array_equal(bias_again, bias)
