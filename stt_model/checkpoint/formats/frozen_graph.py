"""Frozen graphs (``.pb``) of DeepSpeech and Coqui STT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.checkpoint.formats.flatbuffer import Bytes
from stt_model.checkpoint.formats.graph_def import (
    GraphNode,
    Region,
    constant,
    constant_string,
    read_nodes,
)
from stt_model.checkpoint.formats.metadata import NAMES, check_window, read_metadata
from stt_model.checkpoint.formats.model import (
    DeployedModel,
    StoredMatrix,
    StoredVariable,
    UnreadableError,
    as_rows,
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
)

NAME = "pb"

_FIRST_NODE = 0x0A
"""How a GraphDef begins: its first node."""

# TensorFlow's names and the corresponding names of TensorFlow Lite.
_KINDS = {
    "Add": "ADD",
    "AddV2": "ADD",
    "BlockLSTM": "BLOCK_LSTM",
    "ExpandDims": "EXPAND_DIMS",
    "MatMul": "MATMUL",
    "BiasAdd": "BIAS_ADD",
    "Mean": "MEAN",
    "Minimum": "MINIMUM",
    "Mul": "MUL",
    "Relu": "RELU",
    "Reshape": "RESHAPE",
    "Rsqrt": "RSQRT",
    "Softmax": "SOFTMAX",
    "SquaredDifference": "SQUARED_DIFFERENCE",
    "Squeeze": "SQUEEZE",
    "Sub": "SUB",
    "Tile": "TILE",
    "Transpose": "TRANSPOSE",
}
_AS_IT_IS = ("Identity", "StopGradient", "Snapshot")
_CONSTANTS = ("Const", "ImmutableConst", "Placeholder")
_HIDDEN_STATE = 6
"""The output of BlockLSTM that feeds layer 5."""


def recognises(data: Bytes) -> bool:
    """Tell whether a file is of this format."""
    return len(data) > 2 and int(data[0]) == _FIRST_NODE


def read(path: Path, data: Bytes) -> DeployedModel:
    """Read a frozen graph; its weights stay views of ``data``.

    Raises:
        UnreadableError: damaged, or not the network of a checkpoint.
    """
    return read_graph(path, NAME, data, _no_region)


def read_graph(path: Path, name: str, graph_def: Bytes, region: Region) -> DeployedModel:
    """Read a GraphDef whose large constants may be in regions of the file."""
    graph = _Graph(read_nodes(graph_def), region)
    variables = read_layers(graph, graph.find("logits"))
    alphabet, settings = read_metadata(graph.metadata())
    graph.check_samples(settings)
    return DeployedModel(path, name, variables, alphabet, settings)


def _no_region(name: str) -> Bytes:
    raise UnreadableError(f"a constant in the region {name!r}, which only .pbmm files have")


class _Graph:
    """A GraphDef as ``read_layers`` takes it; values are pairs of node and output number."""

    def __init__(self, nodes: dict[str, GraphNode], region: Region) -> None:
        self._nodes = nodes
        self._region = region

    def find(self, name: str) -> Value:
        """Return the value that the runtime fetches by this name."""
        if name not in self._nodes:
            found = ", ".join(map(repr, list(self._nodes)[-4:])) or "none"
            raise UnreadableError(f"no node {name}; its last nodes are {found}")
        return self._resolve(name)

    def _resolve(self, text: str) -> tuple[str, int]:
        """Return the node and output of an input's text, skipping identities."""
        for _ in range(len(self._nodes) + 1):
            name, _, output = text.partition(":")
            node = self._nodes.get(name)
            if node is None or not (output.isdecimal() or not output) or len(output) > 4:
                raise UnreadableError(f"damaged: no node {name!r}")
            if node.kind not in _AS_IT_IS or not node.inputs:
                return name, int(output or 0)
            text = node.inputs[0]
        raise UnreadableError("damaged: a node that depends on itself")

    def node(self, value: Any) -> GraphNode:
        return self._nodes[value[0]]

    def maker(self, value: Any) -> Node | None:
        node = self.node(value)
        if node.kind in _CONSTANTS:
            return None
        kind = _KINDS.get(node.kind, node.kind)
        inputs = [self._resolve(each) for each in node.inputs if not each.startswith("^")]
        return Node(kind, inputs)

    def constant(self, value: Any) -> NDArray[Any]:
        return constant(self.node(value), self._region)

    def dense(self, value: Any) -> Dense | None:
        relu = is_made_by(self, value, "RELU")
        if relu:
            value = expect(self, value, "RELU", "in a dense layer").inputs[0]
        if not is_made_by(self, value, "BIAS_ADD"):
            return None
        product, bias = operands(self, value, "BIAS_ADD", "in a dense layer")
        x, weights = operands(self, product, "MATMUL", "in a dense layer")
        node = self.node(product)
        if node.flag("transpose_a") or node.flag("transpose_b"):
            raise UnreadableError(f"a transposed product {node.name}")
        matrix = floats(self.constant(weights))
        if matrix.ndim != 2:
            raise UnreadableError(f"weights of shape {list(matrix.shape)}, expected two")
        return Dense(x, as_rows(matrix), floats(self.constant(bias)), relu)

    def softmax_beta(self, value: Any) -> float:
        """Return 1: TensorFlow's has none."""
        return 1.0

    def mean(self, value: Any) -> Mean:
        node = expect(self, value, "MEAN", "in a layer normalisation", inputs=2)
        axes = tuple(int(axis) for axis in self.constant(node.inputs[1]).reshape(-1))
        # Frames and units: shapes are not written down, but layers are products of matrices.
        return Mean(axes, 2, self.node(value).flag("keep_dims"))

    def recurrent(self, value: Value) -> Recurrent:
        where = "in the recurrent layer"
        if is_made_by(self, value, "MUL"):
            # The product with a mask that zeroes frames after the end of an utterance.
            pair = operands(self, value, "MUL", where)
            masks = [each for each in pair if is_made_by(self, each, "TILE")]
            if len(masks) != 1:
                raise UnreadableError(f"a product {where} that is not with a mask of the lengths")
            value = pair[0] if pair[1] == masks[0] else pair[1]
        block = expect(self, value, "BLOCK_LSTM", where, inputs=9)
        if value[1] != _HIDDEN_STATE:  # type: ignore[index]
            raise UnreadableError(f"output {value[1]} of BlockLSTM, expected {_HIDDEN_STATE}")  # type: ignore[index]
        self._check_block(value)
        _, x, cell, state, kernel, _, _, _, bias = block.inputs
        for given, name in ((cell, "previous_state_c"), (state, "previous_state_h")):
            if given != self.find(name):
                raise UnreadableError(f"a recurrent layer that does not see {name}")
        matrix = floats(self.constant(kernel))
        if matrix.ndim != 2:
            raise UnreadableError(f"a kernel of shape {list(matrix.shape)}")
        variable = StoredVariable((StoredMatrix(matrix),))
        return Recurrent(x, variable, floats(self.constant(bias)))

    def _check_block(self, value: Any) -> None:
        node = self.node(value)
        if node.real("forget_bias") != 0:
            raise UnreadableError(f"a forget bias of {node.real('forget_bias'):g}, expected 0")
        if node.flag("use_peephole"):
            raise UnreadableError("peepholes in the recurrent layer")
        if node.real("cell_clip") > 0:
            raise UnreadableError(f"cells clipped at {node.real('cell_clip'):g}, expected no clip")

    def check_features(self, value: Value) -> None:
        where = "before layer 1"
        if is_made_by(self, value, "TRANSPOSE"):
            value, order = operands(self, value, "TRANSPOSE", where)
            if self.constant(order).reshape(-1).tolist() != [1, 0, 2, 3]:
                raise UnreadableError("features in another order")
            value = past_reshaping(self, value)
        if value != self.find("input_node"):
            raise UnreadableError("layer 1 that does not see input_node")
        shape = self.node(value).shape("shape")
        if len(shape) != 4 or shape[2:] != FEATURES_SHAPE:
            raise UnreadableError(f"features of shape {list(shape)}, expected [1, frames, 19, 26]")

    def metadata(self) -> dict[str, int | bytes]:
        """Return the graph's metadata; old graphs have none."""
        found: dict[str, int | bytes] = {}
        for name in NAMES:
            node = self._nodes.get(name)
            if node is None:
                continue
            if name in ("metadata_alphabet", "metadata_language"):
                found[name] = constant_string(node)
                continue
            values = constant(node, self._region).reshape(-1)
            if values.size != 1 or values.dtype != np.int32:
                raise UnreadableError(f"{values.size} values of {values.dtype} as {name}")
            found[name] = int(values[0])
        return found

    def check_samples(self, settings: dict[str, Any]) -> None:
        node = self._nodes.get("input_samples")
        if node is not None:
            check_window(int(np.prod(node.shape("shape"), dtype=object)), settings)
