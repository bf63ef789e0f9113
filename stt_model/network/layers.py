"""DeepSpeech's six layers in Keras, and their mapping to a checkpoint's variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model.checkpoint import DENSE_LAYERS, LSTM_BIAS, LSTM_KERNEL, NORMALISED_LAYERS, Geometry
from stt_model.network import lstm

Weights = dict[str, NDArray[np.float32]]

RELU_CLIP = 20.0
# The epsilon of TensorFlow 1's layer normalisation.
LAYER_NORM_EPSILON = 1e-12


@keras.saving.register_keras_serializable("stt_model")
def clipped_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return ``min(relu(x), 20)``."""
    return keras.ops.minimum(keras.ops.relu(x), RELU_CLIP)


@keras.saving.register_keras_serializable("stt_model")
class ContextWindows(keras.layers.Layer):
    """Add neighbouring frames to each frame: [batch, frames, n] -> [batch, frames, (2c + 1)·n].

    Frames before the first and after the last are zeros, as in the checkpoints' training.
    """

    def __init__(self, context: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.context = context

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Return the windows, frame-major: the earliest neighbour's features come first."""
        frames = keras.ops.shape(features)[1]
        padded = keras.ops.pad(features, [[0, 0], [self.context, self.context], [0, 0]])
        neighbours = [padded[:, offset : offset + frames] for offset in range(2 * self.context + 1)]
        return keras.ops.concatenate(neighbours, axis=-1)

    def get_config(self) -> dict[str, object]:
        """Return the configuration of this layer."""
        return {**super().get_config(), "context": self.context}


def build(
    geometry: Geometry,
    dropout: float | Mapping[str, float] = 0.0,
    seed: int | None = None,
    precision: str = "float32",
) -> keras.Model:
    """Return the network: MFCC float32 [batch, frames, 26] to logits [batch, frames, classes].

    Args:
        geometry: the sizes, usually those of a checkpoint.
        dropout: share of the outputs of layers 1, 2, 3 and 5 that training sets to zero; or one
            for each, by its name.
        seed: makes dropout repeatable; layer N draws from ``seed + N``.
        precision: one of Keras's dtype policies. Under ``mixed_float16`` and ``mixed_bfloat16`` the
            weights are still float32, and so are layer normalisation and the logits.
    """

    def rate_of(name: str) -> float:
        return dropout[name] if isinstance(dropout, Mapping) else dropout

    def hidden(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        x = keras.layers.Dense(
            geometry.n_hidden, activation=clipped_relu, name=name, dtype=precision
        )(x)
        if geometry.layer_norm:
            x = keras.layers.LayerNormalization(
                epsilon=LAYER_NORM_EPSILON, name=_norm_name(name), dtype="float32"
            )(x)
        layer_seed = None if seed is None else seed + int(name[-1])
        return keras.layers.Dropout(
            rate_of(name), seed=layer_seed, name=f"{name}_dropout", dtype=precision
        )(x)

    features = keras.Input((None, geometry.n_input), name="features")
    x = ContextWindows(geometry.n_context, name="context")(features)
    for name in ("layer_1", "layer_2", "layer_3"):
        x = hidden(x, name)
    x = lstm.recurrent_layer(geometry.n_hidden, dtype=precision)(x)
    x = hidden(x, "layer_5")
    logits = keras.layers.Dense(geometry.n_classes, name="layer_6", dtype="float32")(x)
    return keras.Model(features, logits, name="deepspeech")


def set_precision(model: keras.Model, precision: str) -> None:
    """Have a network that ``build`` made compute under another of Keras's dtype policies.

    Functions that were traced before go on as they were.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense | keras.layers.Dropout) and layer.name != "layer_6":
            layer.dtype_policy = precision
        elif isinstance(layer, keras.layers.LSTM):
            layer.dtype_policy = layer.cell.dtype_policy = precision


def variable_table(geometry: Geometry) -> dict[str, tuple[str, ...]]:
    """Return the checkpoint's variables of each Keras layer with weights, in the layer's order."""
    table: dict[str, tuple[str, ...]] = {
        name: (f"{name}/weights", f"{name}/bias") for name in DENSE_LAYERS
    }
    if geometry.layer_norm:
        for name in NORMALISED_LAYERS:
            table[_norm_name(name)] = (f"{name}/LayerNorm/gamma", f"{name}/LayerNorm/beta")
    table["lstm"] = (LSTM_KERNEL, LSTM_BIAS)
    return table


def variables_of(
    model: keras.Model, geometry: Geometry, layers: Collection[str]
) -> list[keras.Variable]:
    """Return the weights of some layers of the checkpoint, with normalisation, in order."""
    return [
        variable
        for name in variable_table(geometry)
        if name.removesuffix("_norm") in layers
        for variable in model.get_layer(name).trainable_variables
    ]


def load_weights(
    model: keras.Model, geometry: Geometry, weights: Mapping[str, NDArray[np.float32]]
) -> None:
    """Load a checkpoint's weights into a network of the same geometry."""
    for layer, names in variable_table(geometry).items():
        arrays = [weights[name] for name in names]
        model.get_layer(layer).set_weights(lstm.to_keras(*arrays) if layer == "lstm" else arrays)


def export_weights(model: keras.Model, geometry: Geometry) -> Weights:
    """Return the network's weights under the checkpoint's names."""
    return {
        name: array
        for layer, names in variable_table(geometry).items()
        for name, array in zip(
            names, _in_checkpoint_form(layer, model.get_layer(layer).weights), strict=True
        )
    }


def export_slots(
    model: keras.Model, geometry: Geometry, optimizer: keras.optimizers.Adam
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return Adam's first and second moments of every weight under the checkpoint's names."""
    places = {variable.path: place for place, variable in enumerate(model.trainable_variables)}
    slots: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    for layer, names in variable_table(geometry).items():
        paths = [variable.path for variable in model.get_layer(layer).trainable_variables]
        first, second = (
            _in_checkpoint_form(layer, [moments[places[path]] for path in paths])
            for moments in (optimizer._momentums, optimizer._velocities)
        )
        slots.update(zip(names, zip(first, second, strict=True), strict=True))
    return slots


def load_slots(
    model: keras.Model,
    geometry: Geometry,
    optimizer: keras.optimizers.Adam,
    moments: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> None:
    """Load the moments of ``export_slots`` into Adam."""
    places = {variable.path: place for place, variable in enumerate(model.trainable_variables)}
    for layer, names in variable_table(geometry).items():
        variables = model.get_layer(layer).trainable_variables
        for slot, slots in enumerate((optimizer._momentums, optimizer._velocities)):
            arrays = [moments[name][slot] for name in names]
            if layer == "lstm":
                arrays = lstm.to_keras(*arrays)
            for variable, array in zip(variables, arrays, strict=True):
                slots[places[variable.path]].assign(array)


def _in_checkpoint_form(layer: str, variables: Sequence[keras.Variable]) -> tuple[Any, ...]:
    """Return read-only arrays that later steps do not change."""
    # They share the variables' memory; the next assignment gives the variables new memory.
    arrays = [np.asarray(memoryview(tf.convert_to_tensor(each.value))) for each in variables]
    if layer == "lstm":
        return lstm.from_keras(arrays)
    return tuple(arrays)


def _norm_name(layer: str) -> str:
    return f"{layer}_norm"
