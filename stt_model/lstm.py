"""The recurrent layer: Keras's LSTM, holding the weights of TensorFlow 1's LSTM cell.

The checkpoint keeps one kernel, input rows above recurrent rows, with the gates in the order input,
cell candidate, forget, output. Keras keeps two kernels, with the gates in the order input, forget,
cell candidate, output. Going from one to the other is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def recurrent_layer(units: int, name: str = "lstm") -> keras.layers.Layer:
    """Return the layer: float32 [batch, frames, units] -> [batch, frames, units].

    The settings are those that Keras hands to cuDNN when there is a GPU. Padding needs no mask: it
    comes after an utterance's last frame, so nothing that is read depends on it.
    """
    return keras.layers.LSTM(units, return_sequences=True, unit_forget_bias=False, name=name)


def to_keras(kernel: Array, bias: Array) -> list[Array]:
    """Turn the checkpoint's ``kernel`` [2H, 4H] and ``bias`` [4H] into Keras's three arrays."""
    units = kernel.shape[0] // 2
    kernel = _swap_middle_gates(kernel)
    return [kernel[:units], kernel[units:], _swap_middle_gates(bias)]


def from_keras(arrays: Sequence[Array]) -> tuple[Array, Array]:
    """Turn Keras's kernel [H, 4H], recurrent kernel [H, 4H] and bias [4H] into the two."""
    kernel, recurrent_kernel, bias = arrays
    stacked = np.concatenate([kernel, recurrent_kernel], axis=0)
    return _swap_middle_gates(stacked), _swap_middle_gates(bias)


def _swap_middle_gates(array: Array) -> Array:
    first, second, third, fourth = np.split(array, 4, axis=-1)
    return np.concatenate([first, third, second, fourth], axis=-1)
