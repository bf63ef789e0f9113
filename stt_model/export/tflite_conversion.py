"""A checkpoint's weights as a ``.tflite`` file that Coqui STT's runtime 1.4 runs.

The runtime calls the model some frames at a time, mostly 16, with the recurrent layer's state going
in and coming out, and finds inputs, outputs and metadata by their names. Features are part of the
model.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from stt_model.checkpoint import (
    LSTM_BIAS,
    LSTM_KERNEL,
    Geometry,
    Weights,
    serialise_alphabet,
)
from stt_model.corpus import USUAL_AUDIO, AudioSettings
from stt_model.export.config import N_STEPS
from stt_model.export.rounding import round_stochastically
from stt_model.features import mfcc
from stt_model.network import LAYER_NORM_EPSILON, RELU_CLIP
from stt_model.text import Alphabet

GRAPH_VERSION = 6
"""The version of inputs and outputs that runtime 1.4 requires."""

INPUTS = ("input_node", "previous_state_c", "previous_state_h", "input_samples")
OUTPUTS = (
    *("logits", "new_state_c", "new_state_h", "mfccs"),
    *("metadata_version", "metadata_sample_rate", "metadata_feature_win_len"),
    *("metadata_feature_win_step", "metadata_beam_width", "metadata_alphabet"),
    "metadata_language",
)
"""The order in which the runtime reads the metadata; with another it crashes."""


@dataclass(frozen=True)
class RuntimeMetadata:
    """The metadata that the runtime reads from the model."""

    alphabet: Alphabet
    beam_width: int
    language: str
    audio: AudioSettings = USUAL_AUDIO

    def values(self) -> dict[str, int | bytes]:
        """Return the values by the names of the model's outputs."""
        return {
            "metadata_version": GRAPH_VERSION,
            "metadata_sample_rate": self.audio.audio_sample_rate,
            "metadata_feature_win_len": self.audio.feature_win_len,
            "metadata_feature_win_step": self.audio.feature_win_step,
            "metadata_beam_width": self.beam_width,
            "metadata_alphabet": serialise_alphabet(self.alphabet),
            "metadata_language": self.language.encode(),
        }


def convert(
    weights: Weights,
    geometry: Geometry,
    metadata: RuntimeMetadata,
    *,
    quantize: bool,
    stochastic: bool = False,
    n_steps: int = N_STEPS,
) -> bytes:
    """Return the content of the ``.tflite`` file.

    Args:
        weights: float32, under the checkpoint's names.
        quantize: store the large matrices as 8-bit integers with one scale each (dynamic range).
        stochastic: round to those integers at random; see ``stt_model.export.rounding``.
        n_steps: frames that one call of the model takes.
    """
    step = _Step(weights, geometry, metadata, n_steps)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([step.concrete_function()], step)
    # AudioSpectrogram and Mfcc, whose kernels the runtime has.
    converter.allow_custom_ops = True
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # One scale for each output would take version 12 of FULLY_CONNECTED; the runtime has 9.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    model = _as_runtime_reads(converter.convert())
    return round_stochastically(model, weights) if quantize and stochastic else model


class _Step(tf.Module):
    """From some windows and the state before them to probabilities and the state after them."""

    def __init__(
        self, weights: Weights, geometry: Geometry, metadata: RuntimeMetadata, n_steps: int
    ) -> None:
        super().__init__()
        self._n_steps = n_steps
        self._geometry = geometry
        self._metadata = metadata
        kernel = weights[LSTM_KERNEL]
        arrays = {name: weights[name] for name in weights if name != LSTM_KERNEL}
        arrays["input_kernel"] = kernel[: geometry.n_hidden]
        arrays["recurrent_kernel"] = kernel[geometry.n_hidden :]
        # Variables, because the converter makes several copies of every constant.
        self._weights = {name: tf.Variable(array) for name, array in arrays.items()}

    def concrete_function(self) -> Any:
        state = [1, self._geometry.n_hidden]
        windows = [1, self._n_steps, 2 * self._geometry.n_context + 1, self._geometry.n_input]
        signature = [
            tf.TensorSpec(windows, name="input_node"),
            tf.TensorSpec(state, name="previous_state_c"),
            tf.TensorSpec(state, name="previous_state_h"),
            tf.TensorSpec([self._metadata.audio.window], name="input_samples"),
        ]
        return tf.function(self._run, input_signature=signature).get_concrete_function()

    def _run(
        self, input_node: Any, previous_state_c: Any, previous_state_h: Any, input_samples: Any
    ) -> dict[str, Any]:
        x = tf.reshape(input_node, [self._n_steps, -1])
        for layer in ("layer_1", "layer_2", "layer_3"):
            x = self._hidden(x, layer)
        x, new_state_c, new_state_h = self._recurrent(x, previous_state_c, previous_state_h)
        x = self._hidden(x, "layer_5")
        return {
            "logits": tf.nn.softmax(self._dense(x, "layer_6")),
            "new_state_c": new_state_c,
            "new_state_h": new_state_h,
            "mfccs": mfcc(input_samples, self._metadata.audio),
            **{name: tf.constant([value]) for name, value in self._metadata.values().items()},
        }

    def _dense(self, x: Any, layer: str) -> Any:
        return tf.matmul(x, self._weights[f"{layer}/weights"]) + self._weights[f"{layer}/bias"]

    def _hidden(self, x: Any, layer: str) -> Any:
        x = tf.minimum(tf.nn.relu(self._dense(x, layer)), RELU_CLIP)
        if not self._geometry.layer_norm:
            return x
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        beta, gamma = (self._weights[f"{layer}/LayerNorm/{name}"] for name in ("beta", "gamma"))
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, LAYER_NORM_EPSILON)

    def _recurrent(self, x: Any, cell: Any, output: Any) -> tuple[Any, Any, Any]:
        """Run the LSTM; the input projection is one product for all frames."""
        projected = tf.matmul(x, self._weights["input_kernel"]) + self._weights[LSTM_BIAS]
        recurrent_kernel = tf.convert_to_tensor(self._weights["recurrent_kernel"])
        outputs = []
        for frame in tf.split(projected, self._n_steps):
            gates = frame + tf.matmul(output, recurrent_kernel)
            i, candidate, f, o = tf.split(gates, 4, axis=1)
            cell = tf.sigmoid(f) * cell + tf.sigmoid(i) * tf.tanh(candidate)
            output = tf.sigmoid(o) * tf.tanh(cell)
            outputs.append(output)
        return tf.concat(outputs, 0), cell, output


def _as_runtime_reads(converted: bytes) -> bytes:
    """Give inputs and outputs the runtime's names, and make each output the result of an operation.

    The runtime walks from each metadata output back to its operation; for a bare constant, which
    has none, it crashes.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(converted))
    (graph,) = model.subgraphs
    (signature,) = model.signatureDefs
    for entry in (*signature.inputs, *signature.outputs):
        graph.tensors[entry.tensorIndex].name = entry.name
    made = {tensor for operation in graph.operators for tensor in operation.outputs}
    opcode, one = _add_reshape_code(model), _add_one(model)
    for entry in sorted(signature.outputs, key=_place):
        if entry.tensorIndex not in made:
            constant = graph.tensors[entry.tensorIndex]
            graph.tensors.append(_tensor(entry.name, constant.type))
            constant.name = entry.name + b"_copy"
            output = len(graph.tensors) - 1
            graph.operators.append(_reshape(opcode, [entry.tensorIndex, one], output))
            entry.tensorIndex = output
    graph.inputs = [entry.tensorIndex for entry in sorted(signature.inputs, key=_place)]
    graph.outputs = [entry.tensorIndex for entry in sorted(signature.outputs, key=_place)]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _place(entry: Any) -> int:
    return (*INPUTS, *OUTPUTS).index(entry.name.decode())


def _add_reshape_code(model: Any) -> int:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _add_one(model: Any) -> int:
    """Add a constant tensor that holds the number 1, as the target shape."""
    buffer = schema.BufferT()
    buffer.data = list(struct.pack("<i", 1))
    model.buffers.append(buffer)
    tensors = model.subgraphs[0].tensors
    tensors.append(_tensor(b"one", schema.TensorType.INT32, len(model.buffers) - 1))
    return len(tensors) - 1


def _reshape(opcode: int, sources: list[int], target: int) -> Any:
    options = schema.ReshapeOptionsT()
    options.newShape = [1]
    operation = schema.OperatorT()
    operation.opcodeIndex = opcode
    operation.inputs = sources
    operation.outputs = [target]
    operation.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    operation.builtinOptions = options
    return operation


def _tensor(name: bytes, kind: int, buffer: int = 0) -> Any:
    """Return a tensor of one element; buffer 0 is empty, for results of operations."""
    tensor = schema.TensorT()
    tensor.name = name
    tensor.shape = [1]
    tensor.type = kind
    tensor.buffer = buffer
    return tensor
