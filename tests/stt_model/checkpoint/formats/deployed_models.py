"""Deployed models as Coqui STT's exporter leaves them, made here, so that tests need no Coqui."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from stt_model.checkpoint.formats.metadata import serialise_alphabet
from stt_model.checkpoint.geometry import LSTM_BIAS, LSTM_KERNEL
from stt_model.text.alphabet import Alphabet

STEPS = 16
_Op = schema.BuiltinOperator
_KINDS = {np.dtype(np.float32): 0, np.dtype(np.int32): 2, np.dtype(np.int8): 9}
_ACTIVATED = {"ADD": "Add", "MUL": "Mul", "SUB": "Sub", "FULLY_CONNECTED": "FullyConnected"}


class TocoModel:
    """The graph that TensorFlow 1.15 makes of Coqui STT's inference graph, for TensorFlow Lite."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        alphabet: Alphabet,
        *,
        quantize: bool = False,
        metadata: bool = True,
        steps: int = STEPS,
        rate: int = 16000,
        window: int = 32,
    ) -> None:
        self.weights, self.quantize, self.steps = weights, quantize, steps
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.buffers = [], [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.layer_norm = "layer_1/LayerNorm/beta" in weights
        self.hidden = len(weights["layer_1/bias"])
        self._build(alphabet, metadata, rate, window)

    def to_bytes(self) -> bytes:
        """Return the file."""
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self.model))

    def operators(self, kind: str) -> list:
        """Return the operators of one kind, in their order."""
        codes = [code.builtinCode for code in self.model.operatorCodes]
        return [op for op in self.graph.operators if codes[op.opcodeIndex] == getattr(_Op, kind)]

    def buffer_of(self, tensor: int):
        """Return what holds a constant's bytes."""
        return self.model.buffers[self.graph.tensors[tensor].buffer]

    def constant(self, values, name: str = "") -> int:
        """Add a constant; return its tensor's number."""
        values = np.asarray(values)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        number = self.tensor(values.shape, _KINDS[values.dtype], name)
        self.graph.tensors[number].buffer = len(self.model.buffers) - 1
        return number

    def tensor(self, shape, kind: int = 0, name: str = "") -> int:
        """Add a tensor that is computed; return its number."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, 0
        tensor.name = (name or f"tensor_{len(self.graph.tensors)}").encode()
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def add(self, kind: str, inputs, *shapes, output_kind: int = 0, **options) -> list[int]:
        """Add an operator; return what it makes."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(kind)
        operator.inputs = list(inputs)
        operator.outputs = [self.tensor(shape, output_kind) for shape in shapes]
        name = _ACTIVATED.get(kind, kind.title().replace("_", ""))
        name = {"Mean": "Reducer"}.get(name, name)
        made = getattr(schema, f"{name}OptionsT", None)
        if made:
            operator.builtinOptions = made()
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{name}Options")
            for option, value in options.items():
                setattr(operator.builtinOptions, option, value)
        self.graph.operators.append(operator)
        return operator.outputs

    def _code(self, kind: str) -> int:
        for place, code in enumerate(self.model.operatorCodes):
            if code.builtinCode == getattr(_Op, kind):
                return place
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(_Op, kind)
        code.version = 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _matrix(self, name: str) -> int:
        values = np.ascontiguousarray(self.weights[name].T)
        if not self.quantize or values.size < 1024:
            return self.constant(values, name)
        scale = np.float32(np.abs(values).max() / 127)
        number = self.constant(np.clip(np.round(values / scale), -127, 127).astype(np.int8), name)
        quantisation = schema.QuantizationParametersT()
        quantisation.scale, quantisation.zeroPoint = [float(scale)], [0]
        self.graph.tensors[number].quantization = quantisation
        return number

    def _hidden(self, x: int, layer: str) -> int:
        shape = [self.steps, self.hidden]
        inputs = [x, self._matrix(f"{layer}/weights"), self.constant(self.weights[f"{layer}/bias"])]
        (x,) = self.add("FULLY_CONNECTED", inputs, shape, fusedActivationFunction=1)
        (x,) = self.add("MINIMUM", [x, self.constant(np.float32(20))], shape)
        return self._normalised(x, layer) if self.layer_norm else x

    def _normalised(self, x: int, layer: str) -> int:
        shape, column = [self.steps, self.hidden], [self.steps, 1]
        axis = self.constant(np.int32([1]))
        (mean,) = self.add("MEAN", [x, axis], column, keepDims=True)
        (square,) = self.add("SQUARED_DIFFERENCE", [x, mean], shape)
        (variance,) = self.add("MEAN", [square, axis], column, keepDims=True)
        (total,) = self.add("ADD", [variance, self.constant(np.float32(1e-12))], column)
        (root,) = self.add("RSQRT", [total], column)
        gamma = self.constant(self.weights[f"{layer}/LayerNorm/gamma"])
        (scale,) = self.add("MUL", [root, gamma], shape)
        (scaled,) = self.add("MUL", [x, scale], shape)
        (scaled_mean,) = self.add("MUL", [mean, scale], shape)
        beta = self.constant(self.weights[f"{layer}/LayerNorm/beta"])
        (shift,) = self.add("SUB", [beta, scaled_mean], shape)
        return self.add("ADD", [scaled, shift], shape)[0]

    def _cells(self, x: int, cell: int, state: int) -> tuple[int, int, int]:
        row, width = [1, self.hidden], self.hidden
        shape = [self.steps, 1, width]
        (x,) = self.add("RESHAPE", [x, self.constant(np.int32([-1, 1, width]))], shape)
        kernel, bias = self._matrix(LSTM_KERNEL), self.constant(self.weights[LSTM_BIAS])
        outputs = []
        for step in range(self.steps):
            bounds = [[step, 0, 0], [step + 1, 1, width], [1, 1, 1]]
            places = [self.constant(np.int32(bound)) for bound in bounds]
            (frame,) = self.add(
                "STRIDED_SLICE", [x, *places], row, beginMask=6, endMask=6, shrinkAxisMask=1
            )
            (joined,) = self.add("CONCATENATION", [frame, state], [1, 2 * width], axis=1)
            (gates,) = self.add("FULLY_CONNECTED", [joined, kernel, bias], [1, 4 * width])
            split = [self.constant(np.int32(1)), gates]
            i, j, f, o = self.add("SPLIT", split, row, row, row, row, numSplits=4)
            kept = self._product(self.add("LOGISTIC", [f], row)[0], cell)
            let_in = self._product(self.add("LOGISTIC", [i], row)[0], self._tanh(j))
            (cell,) = self.add("ADD", [kept, let_in], row)
            opening = self.add("LOGISTIC", [o], row)[0]
            state = self._product(opening, self._tanh(cell))
            outputs.append(state)
        (joined,) = self.add("CONCATENATION", outputs, [self.steps, width], axis=0)
        return joined, cell, state

    def _tanh(self, x: int) -> int:
        return self.add("TANH", [x], [1, self.hidden])[0]

    def _product(self, one: int, two: int) -> int:
        return self.add("MUL", [one, two], [1, self.hidden])[0]

    def _build(self, alphabet: Alphabet, metadata: bool, rate: int, window: int) -> None:
        node = self.tensor([1, self.steps, 19, 26], name="input_node")
        cell = self.tensor([1, self.hidden], name="previous_state_c")
        state = self.tensor([1, self.hidden], name="previous_state_h")
        samples = self.tensor([rate * window // 1000], name="input_samples")
        self.graph.inputs = [node, cell, state, samples]
        x = node
        for layer in ("layer_1", "layer_2", "layer_3"):
            x = self._hidden(x, layer)
        x, new_cell, new_state = self._cells(x, cell, state)
        x = self._hidden(x, "layer_5")
        classes = len(self.weights["layer_6/bias"])
        bias = self.constant(self.weights["layer_6/bias"])
        inputs = [x, self._matrix("layer_6/weights"), bias]
        (x,) = self.add("FULLY_CONNECTED", inputs, [self.steps, classes])
        (logits,) = self.add("SOFTMAX", [x], [self.steps, classes], beta=1.0)
        outputs = {"logits": logits, "new_state_c": new_cell, "new_state_h": new_state}
        if metadata:
            self._add_metadata(outputs, alphabet, rate, window)
        for name, number in outputs.items():
            self.graph.tensors[number].name = name.encode()
        self.graph.outputs = list(outputs.values())

    def _add_metadata(self, outputs: dict, alphabet: Alphabet, rate: int, window: int) -> None:
        one = self.constant(np.int32([1]))
        numbers = {
            "metadata_sample_rate": rate,
            "metadata_feature_win_len": window,
            "metadata_feature_win_step": 20,
            "metadata_beam_width": 500,
        }
        for name, value in numbers.items():
            constant = self.constant(np.int32([value]))
            (outputs[name],) = self.add("RESHAPE", [constant, one], [1], output_kind=2)
        labels = serialise_alphabet(alphabet)
        packed = struct.pack("<iii", 1, 12, 12 + len(labels)) + labels
        constant = self.constant(np.frombuffer(packed, np.int8))
        self.graph.tensors[constant].type = schema.TensorType.STRING
        self.graph.tensors[constant].shape = [1]
        (outputs["metadata_alphabet"],) = self.add("RESHAPE", [constant, one], [1], output_kind=5)


def frozen_graph(weights: Mapping[str, np.ndarray], alphabet: Alphabet | None = None):
    """Return Coqui STT's inference graph as a GraphDef, its variables constants by their names."""
    v1, hidden = tf.compat.v1, len(weights["layer_1/bias"])
    with tf.Graph().as_default() as graph:
        variables = {}
        for name, values in weights.items():
            constant = tf.constant(values, name=name)
            variables[name] = tf.identity(constant, name=f"{name}/read")
        v1.placeholder(tf.float32, [512], "input_samples")
        node = v1.placeholder(tf.float32, [1, STEPS, 19, 26], "input_node")
        cell = v1.placeholder(tf.float32, [1, hidden], "previous_state_c")
        state = v1.placeholder(tf.float32, [1, hidden], "previous_state_h")
        lengths = v1.placeholder(tf.int32, [1], "input_lengths")

        def layer(x, name):
            product = tf.matmul(x, variables[f"{name}/weights"])
            x = tf.minimum(tf.nn.relu(tf.nn.bias_add(product, variables[f"{name}/bias"])), 20.0)
            if f"{name}/LayerNorm/beta" not in variables:
                return x
            mean, variance = tf.nn.moments(x, [1], keepdims=True)
            beta, gamma = (variables[f"{name}/LayerNorm/{each}"] for each in ("beta", "gamma"))
            return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-12)

        x = tf.reshape(tf.transpose(node, [1, 0, 2, 3]), [-1, 494])
        for name in ("layer_1", "layer_2", "layer_3"):
            x = layer(x, name)
        zeros = tf.zeros([hidden])
        block = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(tf.reduce_max(lengths), tf.int64),
            x=tf.reshape(x, [-1, 1, hidden]),
            cs_prev=cell,
            h_prev=state,
            w=variables[LSTM_KERNEL],
            wci=zeros,
            wcf=zeros,
            wco=zeros,
            b=variables[LSTM_BIAS],
            forget_bias=0,
            cell_clip=-1,
            use_peephole=False,
        )
        mask = tf.transpose(tf.sequence_mask(lengths, STEPS, tf.float32))
        output = block.h * tf.tile(tf.expand_dims(mask, -1), [1, 1, hidden])
        x = layer(tf.reshape(output, [-1, hidden]), "layer_5")
        x = tf.nn.bias_add(tf.matmul(x, variables["layer_6/weights"]), variables["layer_6/bias"])
        tf.nn.softmax(tf.reshape(x, [STEPS, 1, -1], name="raw_logits"), name="logits")
        if alphabet:
            tf.constant([serialise_alphabet(alphabet)], name="metadata_alphabet")
            tf.constant([16000], name="metadata_sample_rate")
    return graph.as_graph_def()


def memory_mapped(graph_def, *, with_lengths: bool) -> bytes:
    """Return the file that TensorFlow's converter makes of a frozen graph: large constants apart.

    Only newer converters write how long a region is; each region begins at a multiple of 64.
    """
    mapped = tf.compat.v1.GraphDef()
    mapped.CopyFrom(graph_def)
    content = bytearray()
    entries = []

    def add_region(name: str, data: bytes) -> None:
        content.extend(bytes(-len(content) % 64))
        entries.append((len(content), name, len(data)))
        content.extend(data)

    for number, node in enumerate(mapped.node):
        if node.op != "Const" or len(node.attr["value"].tensor.tensor_content) < 64:
            continue
        tensor = tf.make_ndarray(node.attr["value"].tensor)
        name = f"memmapped_package://region_{number}"
        add_region(name, tensor.tobytes())
        node.op = "ImmutableConst"
        del node.attr["value"]
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(tensor.shape).as_proto())
        node.attr["memory_region_name"].s = name.encode()
    add_region("memmapped_package://.", mapped.SerializeToString())
    directory = b"".join(_entry(*entry, with_lengths=with_lengths) for entry in entries)
    return bytes(content) + directory + struct.pack("<Q", len(content))


def _entry(offset: int, name: str, length: int, *, with_lengths: bool) -> bytes:
    entry = b"\x08" + _varint(offset) + b"\x12" + _varint(len(name)) + name.encode()
    if with_lengths:
        entry += b"\x18" + _varint(length)
    return b"\x0a" + _varint(len(entry)) + entry


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])
