"""Read the layers of a graph from output to input, whatever the file format.

Layers are recognised by operators and their inputs, not by the names of inner tensors.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stt_model.checkpoint.formats.model import StoredMatrix, StoredVariable, UnreadableError
from stt_model.checkpoint.geometry import LSTM_BIAS, LSTM_KERNEL

Value = Hashable
"""A value passed between operators; its type depends on the graph."""

RELU_CLIP = 20.0
LAYER_NORM_EPSILON = 1e-12
FEATURES_SHAPE = (19, 26)
"""Frames that layer 1 sees at once, and coefficients per frame."""

# They change the shape, never the order of the numbers.
_RESHAPING = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


@dataclass(frozen=True)
class Node:
    """An operator, with TensorFlow Lite's name for it."""

    kind: str
    inputs: Sequence[Value]
    outputs: Sequence[Value] = ()


@dataclass(frozen=True)
class Dense:
    """A dense layer: ``x`` times ``weights`` plus ``bias``."""

    x: Value
    weights: StoredVariable
    bias: NDArray[np.float32]
    relu: bool


@dataclass(frozen=True)
class Mean:
    """How an operator takes a mean."""

    axes: tuple[int, ...]
    """Negative ones count from the last."""
    rank: int
    """Axes that there are."""
    keeps_axes: bool
    """Whether an axis that was averaged stays, with one place."""


class Graph(Protocol):
    """The graph that the layers are read from."""

    def maker(self, value: Value) -> Node | None:
        """Return the operator that computes a value; None for an input or a constant."""

    def constant(self, value: Value) -> NDArray[Any]:
        """Return a constant; UnreadableError if it is not one."""

    def dense(self, value: Value) -> Dense | None:
        """Return the dense layer that computes a value, or None."""

    def softmax_beta(self, value: Value) -> float:
        """Return what the softmax that makes a value multiplies its logits by."""

    def mean(self, value: Value) -> Mean:
        """Return how the mean that makes a value is taken."""

    def recurrent(self, value: Value) -> Recurrent:
        """Return the recurrent layer that computes a value."""

    def check_features(self, value: Value) -> None:
        """Raise UnreadableError if a value is not the input features."""


@dataclass(frozen=True)
class Recurrent:
    """The LSTM: its input and its variables; gates in the order i, j, f, o."""

    x: Value
    kernel: StoredVariable
    bias: NDArray[np.float32]


@dataclass
class _Walk:
    graph: Graph
    variables: dict[str, StoredVariable] = field(default_factory=dict)

    def add(self, name: str, variable: StoredVariable, values: NDArray[np.float32]) -> None:
        layer = name.removesuffix("/weights")
        bias = LSTM_BIAS if name == LSTM_KERNEL else f"{layer}/bias"
        self.variables[name] = variable
        self.variables[bias] = StoredVariable((StoredMatrix(values.reshape(-1)),))

    def add_vector(self, name: str, value: Value) -> None:
        values = floats(self.graph.constant(value)).reshape(-1)
        self.variables[name] = StoredVariable((StoredMatrix(values),))


def read_layers(graph: Graph, logits: Value) -> dict[str, StoredVariable]:
    """Return the checkpoint's variables from the graph whose output is ``logits``.

    Raises:
        UnreadableError: it is another network; the message says what was found, and where.
    """
    walk = _Walk(graph)
    softmax = expect(graph, logits, "SOFTMAX", "as the output")
    beta = graph.softmax_beta(logits)
    if beta != 1:
        raise UnreadableError(f"a softmax of beta {beta:g}, expected 1")
    dense = _dense(graph, softmax.inputs[0], "layer 6", relu=False)
    walk.add("layer_6/weights", dense.weights, dense.bias)
    value = _hidden(walk, dense.x, "layer_5")
    recurrent = graph.recurrent(past_reshaping(graph, value))
    walk.add(LSTM_KERNEL, recurrent.kernel, recurrent.bias)
    value = recurrent.x
    for layer in ("layer_3", "layer_2", "layer_1"):
        value = _hidden(walk, value, layer)
    graph.check_features(past_reshaping(graph, value))
    return walk.variables


def expect(graph: Graph, value: Value, kind: str, where: str, inputs: int = 1) -> Node:
    """Return the operator of a value; it must be of this kind and have enough inputs."""
    node = graph.maker(value)
    if node is None or node.kind != kind:
        found = node.kind if node else "an input or a constant"
        raise UnreadableError(f"{found} {where}, expected {kind}")
    if len(node.inputs) < inputs:
        raise UnreadableError(f"damaged: {kind} of {len(node.inputs)} inputs {where}")
    return node


def past_reshaping(graph: Graph, value: Value) -> Value:
    """Return the value before reshaping."""
    seen = set()
    while (node := graph.maker(value)) and node.kind in _RESHAPING and node.inputs:
        if value in seen:
            raise UnreadableError("damaged: a value that depends on itself")
        seen.add(value)
        value = node.inputs[0]
    return value


def operands(graph: Graph, value: Value, kind: str, where: str) -> tuple[Value, Value]:
    """Return the two operands of an operator, in any order."""
    node = expect(graph, value, kind, where, inputs=2)
    return node.inputs[0], node.inputs[1]


def is_made_by(graph: Graph, value: Value, kind: str) -> bool:
    """Tell whether an operator of this kind computes a value."""
    node = graph.maker(value)
    return node is not None and node.kind == kind


def sort_operands(
    graph: Graph, pair: tuple[Value, Value], kind: str, where: str
) -> tuple[Value, Value]:
    """Return the operand computed by ``kind``, then the other."""
    first, second = pair
    if is_made_by(graph, first, kind):
        return first, second
    if is_made_by(graph, second, kind):
        return second, first
    raise UnreadableError(f"no {kind} {where}")


def floats(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return float32 values; refuse other types."""
    if values.dtype != np.float32:
        raise UnreadableError(f"weights of type {values.dtype}, expected float32")
    return values


def _dense(graph: Graph, value: Value, where: str, *, relu: bool) -> Dense:
    value = past_reshaping(graph, value)
    dense = graph.dense(value)
    if dense is None:
        node = graph.maker(value)
        found = node.kind if node else "an input or a constant"
        raise UnreadableError(f"{found} in {where}, expected a dense layer")
    if dense.relu != relu:
        raise UnreadableError(f"{where} {'without' if relu else 'with'} a ReLU")
    columns = dense.weights.shape[1]
    if dense.bias.size != columns:
        raise UnreadableError(f"{where}: a bias of {dense.bias.size} for {columns} outputs")
    return dense


def _hidden(walk: _Walk, value: Value, layer: str) -> Value:
    """Read one of the layers 1, 2, 3 and 5; return its input."""
    graph, where = walk.graph, f"in {layer}"
    value = past_reshaping(graph, value)
    if is_made_by(graph, value, "ADD"):
        value = _layer_norm(walk, value, layer)
    node = expect(graph, value, "MINIMUM", where, inputs=2)
    values, limit = sort_constant(graph, node.inputs, where)
    if limit.size != 1 or float(limit.reshape(-1)[0]) != RELU_CLIP:
        shown = float(limit.reshape(-1)[0]) if limit.size else "none"
        raise UnreadableError(f"activations clipped at {shown} {where}, expected {RELU_CLIP:g}")
    dense = _dense(graph, values, layer.replace("_", " "), relu=True)
    walk.add(f"{layer}/weights", dense.weights, dense.bias)
    return dense.x


def _check_mean(mean: Mean, where: str) -> None:
    axes = {axis % max(mean.rank, 1) for axis in mean.axes}
    if axes != {mean.rank - 1}:
        raise UnreadableError(
            f"a mean over the axes {list(mean.axes)} {where}, expected the last one"
        )
    if not mean.keeps_axes:
        raise UnreadableError(f"a mean without its axis {where}, expected one that keeps it")


def sort_constant(graph: Graph, pair: Sequence[Value], where: str) -> tuple[Value, NDArray[Any]]:
    """Return the computed operand, then the constant one."""
    for value, other in ((pair[0], pair[1]), (pair[1], pair[0])):
        if graph.maker(value) is not None and graph.maker(other) is None:
            return value, graph.constant(other)
    raise UnreadableError(f"no constant {where}, or nothing else")


def _layer_norm(walk: _Walk, value: Value, layer: str) -> Value:
    """Read x * s + (beta - mean * s), where s = gamma / sqrt(variance + epsilon); return x."""
    graph, where = walk.graph, f"in the layer normalisation of {layer}"
    shift, scaled = sort_operands(graph, operands(graph, value, "ADD", where), "SUB", where)
    beta, scaled_mean = operands(graph, shift, "SUB", where)
    mean, scale = sort_operands(graph, operands(graph, scaled_mean, "MUL", where), "MEAN", where)
    x, other_scale = operands(graph, scaled, "MUL", where)
    if x == scale:
        x, other_scale = other_scale, x
    root, gamma = sort_operands(graph, operands(graph, scale, "MUL", where), "RSQRT", where)
    total = expect(graph, root, "RSQRT", where).inputs[0]
    variance, epsilon = sort_constant(graph, operands(graph, total, "ADD", where), where)
    square = expect(graph, variance, "MEAN", where, inputs=2).inputs[0]
    deviation = operands(graph, square, "SQUARED_DIFFERENCE", where)
    averaged = expect(graph, mean, "MEAN", where, inputs=2).inputs[0]
    for value in (mean, variance):
        _check_mean(graph.mean(value), where)
    if other_scale != scale or averaged != x or set(deviation) != {x, mean}:
        raise UnreadableError(f"other values than one layer's {where}")
    if epsilon.size != 1 or not np.isclose(epsilon.reshape(-1)[0], LAYER_NORM_EPSILON, rtol=1e-3):
        raise UnreadableError(
            f"an epsilon of {epsilon.reshape(-1)[:1]} {where}, expected {LAYER_NORM_EPSILON}"
        )
    walk.add_vector(f"{layer}/LayerNorm/beta", beta)
    walk.add_vector(f"{layer}/LayerNorm/gamma", gamma)
    return x
