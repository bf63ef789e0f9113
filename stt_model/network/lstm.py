"""The recurrent layer: Keras's LSTM with the weights of TensorFlow 1's LSTM cell.

The checkpoint has one kernel, input rows above recurrent rows, with the gates in the order input,
cell candidate, forget, output. Keras has two kernels, with the gates in the order input, forget,
cell candidate, output. Conversion is exact in both directions.

On a GPU, Keras uses cuDNN. On a CPU, ``lstm`` is used instead: its loop over time does only what
depends on the previous frame, which is one product with the recurrent kernel.

In 16 bits, that kernel is read as 16 bits in every frame, which is half of the traffic. What is
kept for the way back is in 16 bits too; activations, the cell's state from frame to frame and the
sums of the weights' gradients are in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.float32]

_BYTES_AT_ONCE = 2**26
"""Of the gates' gradients, which are gathered for the products after the loop back."""
_ROWS_OF_A_BLOCK = 256


def recurrent_layer(units: int, name: str = "lstm", dtype: str | None = None) -> keras.layers.Layer:
    """Return the layer: float32 [batch, frames, inputs] -> [batch, frames, units].

    The settings are those with which Keras uses cuDNN on a GPU. Padding needs no mask: it comes
    after an utterance's last frame, so no output that is used depends on it.
    """
    return RecurrentLayer(
        units, return_sequences=True, unit_forget_bias=False, name=name, dtype=dtype
    )


@keras.saving.register_keras_serializable("stt_model")
class RecurrentLayer(keras.layers.LSTM):
    """Keras's LSTM, with a faster implementation for CPUs."""

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        """Return the outputs of all frames; a mask or a state uses Keras's implementation."""
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
    gradients of the weights are one product each after the backward loop.

    Args:
        inputs: [batch, frames, inputs], float32 or of 16 bits, and so is all else.
        kernel: [inputs, 4 · units].
        recurrent_kernel: [units, 4 · units].
        bias: [4 · units].

    Returns:
        [batch, frames, units], of the inputs' type.
    """
    sequence = tf.transpose(inputs, [1, 0, 2])
    projected = tf.linalg.matmul(_flat(sequence), kernel) + bias
    projected = tf.reshape(projected, [*_frames_and_batch(sequence), bias.shape[0]])
    gates, cells, outputs = _loop_forward(projected, recurrent_kernel)

    def gradient(upstream: Any) -> tuple[Any, Any, Any, Any]:
        upstream = tf.transpose(upstream, [1, 0, 2])
        at_gates = _loop_back(upstream, gates, cells, recurrent_kernel)
        at_sequence, *at_weights = _products_back(at_gates, sequence, _delayed(outputs), kernel)
        return tf.transpose(at_sequence, [1, 0, 2]), *at_weights

    return tf.transpose(outputs, [1, 0, 2]), gradient


def _loop_forward(projected: Any, recurrent_kernel: Any) -> tuple[tf.TensorArray, ...]:
    """Return the activated gates and the cell states, by frame, and the outputs.

    An element of ``gates`` is [batch, 4 · units], of ``cells`` [batch, units]; ``outputs`` is
    [frames, batch, units]. The gates replace the projected inputs, to save memory: they are the
    largest array in training.
    """
    frames, batch = _frames_and_batch(projected)
    units = recurrent_kernel.shape[0]
    dtype = projected.dtype
    product = product_of_frames(recurrent_kernel)

    def step(
        frame: Any,
        output: Any,
        cell: Any,
        gates: tf.TensorArray,
        cells: tf.TensorArray,
        outputs: tf.TensorArray,
    ) -> tuple[Any, ...]:
        summed = _full(gates.read(frame)) + _full(product(output))
        i, f, candidate, o = tf.split(summed, 4, axis=1)
        i, f, candidate, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(candidate), tf.sigmoid(o)
        cell = f * cell + i * candidate
        output = tf.cast(o * tf.tanh(cell), dtype)
        activated = tf.cast(tf.concat([i, f, candidate, o], axis=1), dtype)
        gates, cells = gates.write(frame, activated), cells.write(frame, tf.cast(cell, dtype))
        return frame + 1, output, cell, gates, cells, outputs.write(frame, output)

    output, cell = tf.zeros([batch, units], dtype), tf.zeros([batch, units])
    gates, cells, outputs = (
        tf.TensorArray(dtype, frames, element_shape=[None, width], clear_after_read=False)
        for width in (4 * units, units, units)
    )
    *_, gates, cells, outputs = tf.while_loop(
        lambda frame, *_: frame < frames,
        step,
        (0, output, cell, gates.unstack(projected), cells, outputs),
        parallel_iterations=1,
    )
    return gates, cells, outputs.stack()


def _loop_back(
    upstream: Any, gates: tf.TensorArray, cells: tf.TensorArray, recurrent_kernel: Any
) -> tf.TensorArray:
    """Return the gradient at the gates before activation, by frame, [batch, 4 · units].

    It replaces the gates, frame by frame.
    """
    frames, batch = _frames_and_batch(upstream)
    dtype = upstream.dtype
    zeros = tf.zeros([batch, recurrent_kernel.shape[0]])
    product = product_of_frames(recurrent_kernel, back=True)

    def step(
        frame: Any, at_output: Any, at_cell: Any, cell: Any, gates: tf.TensorArray
    ) -> tuple[Any, ...]:
        i, f, candidate, o = tf.split(_full(gates.read(frame)), 4, axis=1)
        earlier_cell = tf.cond(frame > 0, lambda: _full(cells.read(frame - 1)), lambda: zeros)
        tanh_cell = tf.tanh(cell)
        at_output = _full(upstream[frame]) + at_output
        at_cell = at_cell + at_output * o * (1 - tf.square(tanh_cell))
        at_gates = tf.concat(
            [
                at_cell * candidate * i * (1 - i),
                at_cell * earlier_cell * f * (1 - f),
                at_cell * i * (1 - tf.square(candidate)),
                at_output * tanh_cell * o * (1 - o),
            ],
            axis=1,
        )
        at_gates = tf.cast(at_gates, dtype)
        at_earlier_output = _full(product(at_gates))
        return frame - 1, at_earlier_output, at_cell * f, earlier_cell, gates.write(frame, at_gates)

    *_, at_gates = tf.while_loop(
        lambda frame, *_: frame >= 0,
        step,
        (frames - 1, zeros, zeros, _full(cells.read(frames - 1)), gates),
        parallel_iterations=1,
    )
    return at_gates


def product_of_frames(recurrent_kernel: Any, *, back: bool = False) -> Callable[[Any], Any]:
    """Return the product of the loop: of [batch, units] with the kernel, [batch, 4 · units].

    With ``back`` it is that of [batch, 4 · units] with the transposed kernel. The kernel is laid
    out once as its type is multiplied fastest with a few rows: in 16 bits, so that what is summed
    lies side by side, since otherwise pairs of its rows are put together anew in every frame.
    """
    is_short = recurrent_kernel.dtype.size == 2
    weights = recurrent_kernel if back == is_short else tf.transpose(recurrent_kernel)
    return lambda rows: tf.linalg.matmul(rows, weights, transpose_b=is_short)


def _products_back(
    at_gates: tf.TensorArray, sequence: Any, earlier_outputs: Any, kernel: Any
) -> tuple[Any, Any, Any, Any]:
    """Return the gradients at the inputs [frames, batch, inputs], at both kernels and at the bias.

    ``at_gates`` is by frame, [batch, 4 · units] each; ``sequence`` and ``earlier_outputs`` are
    time-major. Frames are processed in chunks that give large products, since a copy of all of
    ``at_gates`` would be the largest array of training.
    """
    frames, batch = _frames_and_batch(sequence)
    units = earlier_outputs.shape[2]
    most = tf.maximum(1, _BYTES_AT_ONCE // (4 * units * sequence.dtype.size * batch))
    pieces = -(-frames // most)
    # As large as each other: a short one at the end would cost the sums as much as a large one.
    at_once = -(-frames // pieces)

    def step(
        piece: Any, at_sequence: tf.TensorArray, at_kernel: Any, at_recurrent: Any, at_bias: Any
    ) -> tuple[Any, ...]:
        start, end = piece * at_once, tf.minimum((piece + 1) * at_once, frames)
        rows = tf.reshape(at_gates.gather(tf.range(start, end)), [-1, 4 * units])
        at_rows = tf.linalg.matmul(rows, kernel, transpose_b=True)
        at_these = (
            tf.linalg.matmul(_flat(sequence[start:end]), rows, transpose_a=True),
            tf.linalg.matmul(_flat(earlier_outputs[start:end]), rows, transpose_a=True),
        )
        return (
            piece + 1,
            at_sequence.write(piece, at_rows),
            at_kernel + _full(at_these[0]),
            at_recurrent + _full(at_these[1]),
            # Which sums 16 bits in float32, without a copy of them in float32.
            at_bias + _full(tf.raw_ops.BiasAddGrad(out_backprop=rows)),
        )

    at_sequence = tf.TensorArray(
        sequence.dtype, pieces, element_shape=[None, kernel.shape[0]], infer_shape=False
    )
    zeros = (tf.zeros(shape) for shape in (kernel.shape, [units, 4 * units], [4 * units]))
    _, at_sequence, *at_weights = tf.while_loop(
        lambda piece, *_: piece < pieces,
        step,
        (0, at_sequence, *zeros),
        parallel_iterations=1,
    )
    at_sequence = tf.reshape(at_sequence.concat(), tf.shape(sequence))
    return at_sequence, *(tf.cast(each, sequence.dtype) for each in at_weights)


def _full(values: Any) -> Any:
    """Return them in float32, in which they may be already."""
    return tf.cast(values, tf.float32)


def _frames_and_batch(time_major: Any) -> tuple[Any, Any]:
    shape = tf.shape(time_major)
    return shape[0], shape[1]


def _flat(time_major: Any) -> Any:
    """[frames, batch, n] -> [frames · batch, n]."""
    return tf.reshape(time_major, [-1, time_major.shape[2]])


def _delayed(time_major: Any) -> Any:
    """Shift the values by one frame, with zeros at the first."""
    return tf.concat([tf.zeros_like(time_major[:1]), time_major[:-1]], axis=0)


def to_keras(kernel: Array, bias: Array) -> list[Array]:
    """Convert the checkpoint's ``kernel`` [2H, 4H] and ``bias`` [4H] to Keras's three arrays."""
    units = kernel.shape[0] // 2
    kernel = _swap_middle_gates(kernel)
    return [kernel[:units], kernel[units:], _swap_middle_gates(bias)]


def from_keras(arrays: Sequence[Array]) -> tuple[StackedKernel, Array]:
    """Convert Keras's kernel [H, 4H], recurrent kernel [H, 4H] and bias [4H] to the two."""
    kernel, recurrent_kernel, bias = arrays
    return StackedKernel(kernel, recurrent_kernel), _swap_middle_gates(bias)


class StackedKernel:
    """The checkpoint's kernel [2H, 4H] from Keras's two [H, 4H], computed while it is written.

    It is a third of a checkpoint's weights, and Adam's moments add two more of them.
    """

    def __init__(self, kernel: Array, recurrent_kernel: Array) -> None:
        self._parts = (kernel, recurrent_kernel)
        self.dtype = kernel.dtype
        self.shape = (len(kernel) + len(recurrent_kernel), kernel.shape[1])

    def blocks(self) -> Iterator[Array]:
        """Yield some rows at a time, with the gates in the checkpoint's order."""
        for part in self._parts:
            for start in range(0, len(part), _ROWS_OF_A_BLOCK):
                yield _swap_middle_gates(part[start : start + _ROWS_OF_A_BLOCK])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the whole of it."""
        return np.concatenate(list(self.blocks())).astype(dtype or self.dtype, copy=False)


def _swap_middle_gates(array: Array) -> Array:
    """Swap the two middle gates of the last axis; this is its own inverse."""
    first, second, third, fourth = np.split(array, 4, axis=-1)
    return np.concatenate([first, third, second, fourth], axis=-1)
