"""The recurrent layer: Keras's LSTM, holding the weights of TensorFlow 1's LSTM cell.

The checkpoint keeps one kernel, input rows above recurrent rows, with the gates in the order input,
cell candidate, forget, output. Keras keeps two kernels, with the gates in the order input, forget,
cell candidate, output. Going from one to the other is exact.

With a GPU, Keras hands the layer to cuDNN. On a CPU, ``lstm`` takes its place: the loop over time
keeps only what must be done frame by frame, which is one product with the recurrent kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.float32]


def recurrent_layer(units: int, name: str = "lstm") -> keras.layers.Layer:
    """Return the layer: float32 [batch, frames, inputs] -> [batch, frames, units].

    The settings are those that Keras hands to cuDNN when there is a GPU. Padding needs no mask: it
    comes after an utterance's last frame, so nothing that is read depends on it.
    """
    return RecurrentLayer(units, return_sequences=True, unit_forget_bias=False, name=name)


@keras.saving.register_keras_serializable("stt_model")
class RecurrentLayer(keras.layers.LSTM):
    """Keras's LSTM, with a faster way through it on a CPU."""

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        """Return the outputs of all frames; a mask or a state takes Keras's own way."""
        if initial_state is None and mask is None and not tf.config.list_logical_devices("GPU"):
            weights = (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
            return lstm(sequences, *map(tf.convert_to_tensor, weights))
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)


@tf.custom_gradient
def lstm(
    inputs: Any, kernel: Any, recurrent_kernel: Any, bias: Any
) -> tuple[Any, Callable[..., Any]]:
    """Run an LSTM from a zero state over sequences, with Keras's order of gates.

    The inputs of all frames are projected in one product before the loop over time, and the
    gradients of the weights are one product each after the loop back.

    Args:
        inputs: float32 [batch, frames, inputs].
        kernel: float32 [inputs, 4 · units].
        recurrent_kernel: float32 [units, 4 · units].
        bias: float32 [4 · units].

    Returns:
        float32 [batch, frames, units].
    """
    sequence = tf.transpose(inputs, [1, 0, 2])
    projected = tf.linalg.matmul(_flat(sequence), kernel) + bias
    projected = tf.reshape(projected, [*_frames_and_batch(sequence), bias.shape[0]])
    gates, cells, outputs = _loop_forward(projected, recurrent_kernel)

    def gradient(upstream: Any) -> tuple[Any, Any, Any, Any]:
        upstream = tf.transpose(upstream, [1, 0, 2])
        at_gates = _flat(_loop_back(upstream, gates, cells, recurrent_kernel))
        at_inputs = tf.reshape(
            tf.linalg.matmul(at_gates, kernel, transpose_b=True), tf.shape(sequence)
        )
        return (
            tf.transpose(at_inputs, [1, 0, 2]),
            tf.linalg.matmul(_flat(sequence), at_gates, transpose_a=True),
            tf.linalg.matmul(_flat(_delayed(outputs)), at_gates, transpose_a=True),
            tf.reduce_sum(at_gates, axis=0),
        )

    return tf.transpose(outputs, [1, 0, 2]), gradient


def _loop_forward(projected: Any, recurrent_kernel: Any) -> tuple[Any, Any, Any]:
    """Return what the way back needs, all time-major.

    They are the gates after their activations [frames, batch, 4 · units], the cell states and the
    outputs, both [frames, batch, units].
    """
    frames, batch = _frames_and_batch(projected)
    units = recurrent_kernel.shape[0]

    def step(frame: Any, output: Any, cell: Any, *arrays: Any) -> tuple[Any, ...]:
        summed = projected[frame] + tf.linalg.matmul(output, recurrent_kernel)
        i, f, candidate, o = tf.split(summed, 4, axis=1)
        i, f, candidate, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(candidate), tf.sigmoid(o)
        cell = f * cell + i * candidate
        output = o * tf.tanh(cell)
        values = (tf.concat([i, f, candidate, o], axis=1), cell, output)
        written = (array.write(frame, value) for array, value in zip(arrays, values, strict=True))
        return (frame + 1, output, cell, *written)

    zeros = tf.zeros([batch, units], projected.dtype)
    arrays = [
        tf.TensorArray(projected.dtype, frames, element_shape=[None, width])
        for width in (4 * units, units, units)
    ]
    _, _, _, gates, cells, outputs = tf.while_loop(
        lambda frame, *_: frame < frames, step, (0, zeros, zeros, *arrays), parallel_iterations=1
    )
    return gates.stack(), cells.stack(), outputs.stack()


def _loop_back(upstream: Any, gates: Any, cells: Any, recurrent_kernel: Any) -> Any:
    """Return the gradient at the gates before their activations, [frames, batch, 4 · units].

    What does not depend on later frames is worked out for all frames at once.
    """
    frames, batch = _frames_and_batch(upstream)
    i, f, candidate, o = tf.split(gates, 4, axis=2)
    tanh_cells = tf.tanh(cells)
    cell_by_output = o * (1 - tf.square(tanh_cells))
    o_by_output = tanh_cells * o * (1 - o)
    others_by_cell = tf.concat(
        [
            candidate * i * (1 - i),
            _delayed(cells) * f * (1 - f),
            i * (1 - tf.square(candidate)),
        ],
        axis=2,
    )
    # Transposed once, not in every frame.
    back_through_time = tf.transpose(recurrent_kernel)

    def step(frame: Any, at_output: Any, at_cell: Any, array: Any) -> tuple[Any, ...]:
        at_output = upstream[frame] + at_output
        at_cell = at_cell + at_output * cell_by_output[frame]
        at_others = tf.tile(at_cell, [1, 3]) * others_by_cell[frame]
        at_gates = tf.concat([at_others, at_output * o_by_output[frame]], axis=1)
        at_earlier = tf.linalg.matmul(at_gates, back_through_time)
        return frame - 1, at_earlier, at_cell * f[frame], array.write(frame, at_gates)

    units = recurrent_kernel.shape[0]
    zeros = tf.zeros([batch, units], upstream.dtype)
    array = tf.TensorArray(upstream.dtype, frames, element_shape=[None, 4 * units])
    *_, array = tf.while_loop(
        lambda frame, *_: frame >= 0,
        step,
        (frames - 1, zeros, zeros, array),
        parallel_iterations=1,
    )
    return array.stack()


def _frames_and_batch(time_major: Any) -> tuple[Any, Any]:
    shape = tf.shape(time_major)
    return shape[0], shape[1]


def _flat(time_major: Any) -> Any:
    """[frames, batch, n] -> [frames · batch, n]."""
    return tf.reshape(time_major, [-1, time_major.shape[2]])


def _delayed(time_major: Any) -> Any:
    """Each frame's value at the frame after it, zeros at the first."""
    return tf.concat([tf.zeros_like(time_major[:1]), time_major[:-1]], axis=0)


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
