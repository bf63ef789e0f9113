"""The Keras network against the same arithmetic written out in numpy."""

import keras
import numpy as np
import pytest

from stt_model.checkpoint.geometry import LSTM_BIAS, LSTM_KERNEL, Geometry
from stt_model.network import layers as network
from tests.stt_model.network.test_lstm import obvious_lstm

GEOMETRIES = [Geometry(n_hidden=8, n_classes=5), Geometry(n_hidden=6, n_classes=4, layer_norm=True)]


def random_weights(geometry, scale=0.3):
    rng = np.random.default_rng(5)
    return {
        name: (scale * rng.normal(size=shape)).astype(np.float32)
        for name, shape in geometry.shapes().items()
    }


def obvious_network(features, weights, geometry):
    context = geometry.n_context
    frames, inputs = features.shape
    padded = np.concatenate([np.zeros((context, inputs)), features, np.zeros((context, inputs))])
    x = np.stack([padded[t : t + 2 * context + 1].ravel() for t in range(frames)])

    def hidden(x, name):
        x = np.clip(x @ weights[f"{name}/weights"] + weights[f"{name}/bias"], 0, 20)
        if geometry.layer_norm:
            mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
            x = (x - mean) / np.sqrt(variance + 1e-12)
            x = x * weights[f"{name}/LayerNorm/gamma"] + weights[f"{name}/LayerNorm/beta"]
        return x

    for name in ("layer_1", "layer_2", "layer_3"):
        x = hidden(x, name)
    x = obvious_lstm(x[np.newaxis], weights[LSTM_KERNEL], weights[LSTM_BIAS])[0]
    return hidden(x, "layer_5") @ weights["layer_6/weights"] + weights["layer_6/bias"]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("frames", [1, 12])
def test_equals_the_arithmetic_written_out(geometry, frames):
    weights = random_weights(geometry)
    model = network.build(geometry)
    network.load_weights(model, geometry, weights)
    features = np.random.default_rng(6).normal(size=(frames, 26)).astype(np.float32)
    logits = keras.ops.convert_to_numpy(model(features[np.newaxis]))[0]
    assert logits.shape == (frames, geometry.n_classes)
    np.testing.assert_allclose(logits, obvious_network(features, weights, geometry), atol=1e-4)


def test_padding_does_not_reach_the_frames_before_it():
    geometry = GEOMETRIES[0]
    model = network.build(geometry)
    features = np.random.default_rng(7).normal(size=(1, 10, 26)).astype(np.float32)
    padded = np.pad(features, [(0, 0), (0, 30), (0, 0)])
    alone = keras.ops.convert_to_numpy(model(features))
    together = keras.ops.convert_to_numpy(model(padded))[:, :10]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_weight_goes_in_and_out_bit_for_bit(geometry):
    weights = random_weights(geometry)
    model = network.build(geometry, dropout=0.5)
    network.load_weights(model, geometry, weights)
    exported = network.export_weights(model, geometry)
    assert exported.keys() == weights.keys() == geometry.shapes().keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(exported[name], array)
    assert model.count_params() == sum(array.size for array in weights.values())


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_adam_slots_come_out_under_the_names_of_their_weights(geometry):
    model = network.build(geometry)
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    for variable, first in zip(model.trainable_variables, optimizer._momentums, strict=True):
        first.assign(2 * variable)
    slots = network.export_slots(model, geometry, optimizer)
    for name, weight in network.export_weights(model, geometry).items():
        np.testing.assert_array_equal(slots[name][0], 2 * np.asarray(weight))
        assert not np.any(slots[name][1])


def test_relu_is_clipped_at_twenty():
    values = keras.ops.convert_to_numpy(network.clipped_relu(np.array([-1.0, 3.0, 21.0])))
    np.testing.assert_array_equal(values, [0, 3, 20])


def test_dropout_is_for_training_only():
    geometry = GEOMETRIES[0]
    features = np.random.default_rng(8).normal(size=(1, 6, 26)).astype(np.float32)
    model = network.build(geometry, dropout=0.5, seed=1)
    first, second = (keras.ops.convert_to_numpy(model(features)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    trained = keras.ops.convert_to_numpy(model(features, training=True))
    assert np.abs(trained - first).max() > 1e-3
