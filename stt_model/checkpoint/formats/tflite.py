"""Deployed ``.tflite`` models of Coqui STT, DeepSpeech and this project.

The recurrent layer is unrolled: every frame has its own cell operators. TensorFlow's old converter
(TOCO) multiplies frame and state by one matrix, the new one (MLIR) by two.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.checkpoint.formats import tflite_graph
from stt_model.checkpoint.formats.flatbuffer import Bytes
from stt_model.checkpoint.formats.metadata import NAMES, check_window, read_metadata
from stt_model.checkpoint.formats.model import (
    DeployedModel,
    StoredMatrix,
    StoredVariable,
    UnreadableError,
)
from stt_model.checkpoint.formats.network import (
    FEATURES_SHAPE,
    Dense,
    Mean,
    Node,
    Recurrent,
    Value,
    expect,
    floats,
    is_made_by,
    operands,
    past_reshaping,
    read_layers,
    sort_operands,
)

NAME = "tflite"

_NO_ACTIVATION, _RELU = 0, 1
_MOST_FRAMES = 1024


def recognises(data: Bytes) -> bool:
    """Tell whether a file is of this format."""
    return data[4:8].tobytes() == tflite_graph.IDENTIFIER


def read(path: Path, data: Bytes) -> DeployedModel:
    """Read a model; its weights stay views of ``data``.

    Raises:
        UnreadableError: damaged, or not the network of a checkpoint.
    """
    graph = _Graph(data)
    for name in ("logits", "new_state_c", "new_state_h"):
        if name not in graph.file.outputs:
            found = ", ".join(map(repr, list(graph.file.outputs)[:8])) or "none"
            raise UnreadableError(f"no output {name}; its outputs are {found}")
    variables = read_layers(graph, graph.file.outputs["logits"])
    alphabet, settings = read_metadata(dict(graph.metadata()))
    check_window(graph.samples(), settings)
    return DeployedModel(path, NAME, variables, alphabet, settings)


def read_stored_variables(data: Bytes) -> dict[str, StoredVariable]:
    """Return the variables as stored, as views of ``data``; errors as in ``read``."""
    graph = _Graph(data)
    return read_layers(graph, graph.file.outputs["logits"])


class _Graph:
    """The graph of a file as ``read_layers`` takes it; values are numbers of tensors."""

    def __init__(self, data: Bytes) -> None:
        self.file = tflite_graph.Graph(data)

    def maker(self, value: Any) -> Node | None:
        operator = self.file.maker(value)
        return Node(operator.kind, operator.inputs, operator.outputs) if operator else None

    def constant(self, value: Any) -> NDArray[Any]:
        return self.file.array(value)

    def option(self, value: Any, field: int, kind: str = "b", default: int | float = 0) -> Any:
        operator = self.file.maker(value)
        return operator.option(field, kind, default) if operator else default

    def shape(self, value: Any) -> tuple[int, ...]:
        return self.file.tensor(value).shape

    def dense(self, value: Any) -> Dense | None:
        node, apart = self.maker(value), False
        if node and node.kind == "RELU" and node.inputs:
            value, apart = node.inputs[0], True
            node = self.maker(value)
        if node is None or node.kind != "FULLY_CONNECTED":
            return None
        if not 2 <= len(node.inputs) <= 3:
            raise UnreadableError(f"damaged: a dense layer of {len(node.inputs)} inputs")
        if self.option(value, 1) != 0:
            raise UnreadableError("shuffled weights of a dense layer")
        activation = self.option(value, 0)
        if activation not in (_NO_ACTIVATION, _RELU):
            raise UnreadableError(f"a dense layer with activation number {activation}")
        x, matrix, *rest = node.inputs
        stored = self.file.matrix(matrix)  # type: ignore[arg-type]
        if stored.values.ndim != 2:
            raise UnreadableError(f"weights of shape {list(stored.values.shape)}, expected two")
        outputs = stored.values.shape[0]
        has_bias = bool(rest) and rest[0] != -1
        bias = floats(self.constant(rest[0])) if has_bias else np.zeros(outputs, np.float32)
        turned = StoredMatrix(stored.values.T, stored.scale)
        relu = apart or activation == _RELU
        return Dense(x, StoredVariable((turned,)), bias, relu)

    def softmax_beta(self, value: Any) -> float:
        return float(self.option(value, 0, "f", 0.0))

    def mean(self, value: Any) -> Mean:
        node = expect(self, value, "MEAN", "in a layer normalisation", inputs=2)
        axes = tuple(int(axis) for axis in self.constant(node.inputs[1]).reshape(-1))
        return Mean(axes, len(self.shape(node.inputs[0])), bool(self.option(value, 0)))

    def check_features(self, value: Any) -> None:
        given = self.file.inputs.get("input_node")
        if value != given:
            raise UnreadableError("layer 1 that does not see input_node")
        shape = self.shape(value)
        if len(shape) != 4 or shape[0] != 1 or shape[2:] != FEATURES_SHAPE:
            raise UnreadableError(f"features of shape {list(shape)}, expected [1, frames, 19, 26]")

    def samples(self) -> int:
        """Return the number of samples in a window."""
        if "input_samples" not in self.file.inputs:
            raise UnreadableError("no input input_samples")
        return int(np.prod(self.shape(self.file.inputs["input_samples"])))

    def metadata(self) -> Iterator[tuple[str, int | bytes]]:
        for name in NAMES:
            if name in self.file.outputs:
                place: Any = past_reshaping(self, self.file.outputs[name])
                yield name, _single(self.file, place, name)

    def recurrent(self, value: Value) -> Recurrent:
        return _UnrolledCell(self, value).read()


class _UnrolledCell:
    """The unrolled recurrent layer; every cell is compared with the first."""

    def __init__(self, graph: _Graph, value: Value) -> None:
        self._graph = graph
        node = graph.maker(value)
        if node and node.kind == "CONCATENATION":
            first: Any = node.inputs[0] if node.inputs else value
            rank = len(graph.shape(first))
            if graph.option(value, 0, "i") % max(rank, 1) != 0 or graph.option(value, 1) != 0:
                raise UnreadableError("frames that are not concatenated in order")
            self._outputs = list(node.inputs)
        else:
            self._outputs = [value]
        if len(self._outputs) > _MOST_FRAMES:
            raise UnreadableError(f"{len(self._outputs)} frames at a time")

    def read(self) -> Recurrent:
        inputs, outputs = self._graph.file.inputs, self._graph.file.outputs
        state: tuple[Value, Value] = (
            inputs.get("previous_state_c"),
            inputs.get("previous_state_h"),
        )
        if None in state:
            raise UnreadableError("no inputs previous_state_c and previous_state_h")
        first: _Products | None = None
        for frame, output in enumerate(self._outputs):
            where = f"in the recurrent layer, frame {frame}"
            gates, cell, before = self._cell(output, where)
            products = _products(self._graph, gates, where)
            source, place = _frame(self._graph, products.frame, where)
            same_order = place == frame or (place is None and len(self._outputs) == 1)
            if (before, products.state) != state or not same_order:
                raise UnreadableError(f"another state or another frame {where}")
            if first is None:
                first, x = products, source
            elif source != x or not products.equals(first):
                raise UnreadableError(f"other weights {where} than in frame 0")
            state = cell, output
        ends = outputs["new_state_c"], outputs["new_state_h"]
        if first is None or tuple(past_reshaping(self._graph, end) for end in ends) != state:
            raise UnreadableError("a state that is not passed on to the next call")
        return Recurrent(past_reshaping(self._graph, x), first.kernel(), first.bias)

    def _cell(self, output: Value, where: str) -> tuple[Any, Value, Value]:
        """Return all gates before activation, the cell's state, and the previous one."""
        graph = self._graph
        self._check_plain(output)
        pair = operands(graph, output, "MUL", where)
        squashed, opening = sort_operands(graph, pair, "TANH", where)
        cell = expect(graph, squashed, "TANH", where).inputs[0]
        self._check_plain(cell)
        one, two = operands(graph, cell, "ADD", where)
        self._check_plain(one)
        self._check_plain(two)
        terms = [operands(graph, term, "MUL", where) for term in (one, two)]
        terms.sort(key=lambda term: not any(is_made_by(graph, each, "TANH") for each in term))
        candidate, letting_in = sort_operands(graph, terms[0], "TANH", where)
        keeping, before = sort_operands(graph, terms[1], "LOGISTIC", where)
        gates = (
            expect(graph, letting_in, "LOGISTIC", where).inputs[0],
            expect(graph, candidate, "TANH", where).inputs[0],
            expect(graph, keeping, "LOGISTIC", where).inputs[0],
            expect(graph, opening, "LOGISTIC", where).inputs[0],
        )
        split = expect(graph, gates[0], "SPLIT", where, inputs=2)
        if tuple(split.outputs) != gates:
            raise UnreadableError(f"gates in another order than i, j, f, o {where}")
        _check_axis(graph, split, 1, where)
        return split.inputs[1], cell, before

    def _check_plain(self, value: Value) -> None:
        if self._graph.option(value, 0) != _NO_ACTIVATION:
            raise UnreadableError("an activation within the recurrent layer's sums and products")


class _Products:
    """The products of a cell: frame and previous state, by one matrix or by two."""

    def __init__(self, frame: Value, state: Value, parts: list[Dense]) -> None:
        self.frame, self.state = frame, state
        self._parts = parts
        self.bias = sum((part.bias for part in parts[1:] if part.bias.any()), start=parts[0].bias)

    def kernel(self) -> StoredVariable:
        """Return the checkpoint's kernel: rows of the input above rows of the state."""
        return StoredVariable([each for part in self._parts for each in part.weights.parts])

    def equals(self, other: _Products) -> bool:
        """Compare with another frame's, mostly the same array objects."""
        pairs = [
            (mine.values, others.values, mine.scale == others.scale)
            for mine, others in zip(self.kernel().parts, other.kernel().parts, strict=False)
        ]
        pairs.append((self.bias, other.bias, len(self._parts) == len(other._parts)))
        return all(alike and _same(mine, others) for mine, others, alike in pairs)


def _same(one: NDArray[Any], two: NDArray[Any]) -> bool:
    there = one.__array_interface__, two.__array_interface__
    return there[0] == there[1] or np.array_equal(one, two)


def _products(graph: _Graph, gates: Value, where: str) -> _Products:
    if is_made_by(graph, gates, "ADD"):
        if graph.option(gates, 0) != _NO_ACTIVATION:
            raise UnreadableError(f"an activation {where}, expected none")
        return _two_products(graph, operands(graph, gates, "ADD", where), where)
    dense = _linear(graph, gates, where)
    joined = expect(graph, dense.x, "CONCATENATION", where, inputs=2)
    rank = len(graph.shape(dense.x))
    if len(joined.inputs) != 2 or graph.option(dense.x, 0, "i") % max(rank, 1) != rank - 1:
        raise UnreadableError(f"frame and state that are not concatenated {where}")
    return _Products(joined.inputs[0], joined.inputs[1], [dense])


def _two_products(graph: _Graph, pair: tuple[Value, Value], where: str) -> _Products:
    for of_state, of_frame in (pair, pair[::-1]):
        dense = graph.dense(of_state)
        if dense and not dense.relu:
            source, place = _frame(graph, of_frame, where)
            projected = _linear(graph, source, where)
            if dense.bias.any() and projected.bias.any():
                raise UnreadableError(f"two biases {where}, expected one")
            return _Products(_Place(projected.x, place), dense.x, [projected, dense])
    raise UnreadableError(f"no product with the state {where}")


def _linear(graph: _Graph, value: Value, where: str) -> Dense:
    dense = graph.dense(past_reshaping(graph, value))
    if dense is None or dense.relu:
        raise UnreadableError(f"no linear product {where}")
    return dense


class _Place(tuple[Value, int | None]):
    """A sliced frame: its source and its index."""

    def __new__(cls, source: Value, place: int | None) -> _Place:
        return super().__new__(cls, (source, place))


def _frame(graph: _Graph, value: Value, where: str) -> tuple[Value, int | None]:
    """Return the source of a frame and its index; None if it is not sliced."""
    if isinstance(value, _Place):
        return value
    value = past_reshaping(graph, value)
    node = graph.maker(value)
    if node and node.kind == "SPLIT" and len(node.inputs) == 2:
        _check_axis(graph, node, 0, where)
        return past_reshaping(graph, node.inputs[1]), node.outputs.index(value)
    if node and node.kind == "UNPACK" and node.inputs:
        if graph.option(value, 1, "i") != 0:
            raise UnreadableError(f"frames along another axis {where}")
        return past_reshaping(graph, node.inputs[0]), node.outputs.index(value)
    if node and node.kind == "STRIDED_SLICE" and len(node.inputs) == 4:
        return past_reshaping(graph, node.inputs[0]), _sliced(graph, value, node, where)
    return value, None


def _sliced(graph: _Graph, value: Value, node: Node, where: str) -> int:
    """Return the single row that a slice takes."""
    shape = graph.shape(node.inputs[0])
    begin, end, strides = (graph.constant(each).reshape(-1) for each in node.inputs[1:])
    masks = [graph.option(value, field, "i") for field in range(5)]
    if not len(shape) == len(begin) == len(end) == len(strides) or masks[2] or masks[3]:
        raise UnreadableError(f"a slice in another form {where}")
    row = 0 if masks[0] & 1 else int(begin[0])
    whole = all(
        (masks[0] >> axis & 1 or begin[axis] == 0)
        and (masks[1] >> axis & 1 or end[axis] >= shape[axis])
        for axis in range(1, len(shape))
    )
    if not whole or masks[1] & 1 or int(end[0]) != row + 1 or (strides != 1).any():
        raise UnreadableError(f"a slice that is not one frame {where}")
    return row


def _check_axis(graph: _Graph, split: Node, expected: int, where: str) -> None:
    axis = graph.constant(split.inputs[0]).reshape(-1)
    rank = len(graph.shape(split.inputs[1]))
    if axis.size != 1 or int(axis[0]) % max(rank, 1) != (expected and rank - 1):
        raise UnreadableError(f"a split along another axis {where}")
    shapes = {graph.shape(output) for output in split.outputs}
    if len(shapes) != 1:
        raise UnreadableError(f"a split into unequal parts {where}")


def _single(graph: tflite_graph.Graph, index: int, name: str) -> int | bytes:
    """Return the single number or string of a constant."""
    tensor = graph.tensor(index)
    if tensor.kind == tflite_graph.STRING and tensor.constant is not None:
        return _first_string(tensor.constant.tobytes())
    values = graph.array(index).reshape(-1)
    if tensor.kind != tflite_graph.INT32 or values.size != 1:
        raise UnreadableError(f"{values.size} values of {tensor.type_name} as {name}")
    return int(values[0])


def _first_string(data: bytes) -> bytes:
    """Return the first of the strings that TensorFlow Lite packs: count, offsets, bytes."""
    if len(data) < 12:
        raise UnreadableError("damaged: a string without its length")
    count, start, end = struct.unpack_from("<iii", data)
    if count < 1 or not 0 <= start <= end <= len(data):
        raise UnreadableError("damaged: a string beyond its end")
    return data[start:end]
