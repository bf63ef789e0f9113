"""TensorFlow's ``GraphDef``: nodes, their attributes and constants, as views of the file.

Field numbers are those of ``graph.proto``, ``node_def.proto``, ``attr_value.proto`` and
``tensor.proto``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.checkpoint.formats import wire
from stt_model.checkpoint.formats.flatbuffer import Bytes
from stt_model.checkpoint.formats.model import UnreadableError

STRING = 7
_DTYPES = {1: "<f4", 3: "<i4", 9: "<i8"}
_TYPED_VALUES = {1: 5, 3: 7, 9: 10}
"""By type, the field of a TensorProto that holds a few values of it."""

_MOST_NODES = 50_000
_MOST_INPUTS = 1024
_MOST_DIMENSIONS = 8
_MOST_VALUES = 1 << 28

Region = Callable[[str], Bytes]
"""Returns the bytes of a region of the file, by its name."""


@dataclass(frozen=True)
class GraphNode:
    """One node; ``attributes`` are still packed."""

    name: str
    kind: str
    inputs: Sequence[str]
    attributes: dict[str, Bytes]

    def flag(self, name: str) -> bool:
        """Return a boolean attribute."""
        return bool(wire.number_of(self._packed(name), 5))

    def real(self, name: str) -> float:
        """Return a float attribute."""
        value = wire.bytes_of(self._packed(name), 4)
        if value is None or len(value) != 4:
            return 0.0
        number: float = struct.unpack("<f", value.tobytes())[0]
        return number

    def whole(self, name: str) -> int:
        """Return an integer attribute."""
        return wire.signed(wire.number_of(self._packed(name), 3))

    def word(self, name: str) -> str:
        """Return a string attribute."""
        return wire.text(wire.bytes_of(self._packed(name), 2))

    def kind_of_number(self, name: str) -> int:
        """Return a type attribute, as its number."""
        return wire.number_of(self._packed(name), 6)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a shape attribute; -1 for an unknown length."""
        packed = wire.bytes_of(self._packed(name), 7)
        return () if packed is None else _shape(packed)

    def tensor(self, name: str) -> Bytes:
        """Return a tensor attribute, packed."""
        packed = wire.bytes_of(self._packed(name), 8)
        if packed is None:
            raise UnreadableError(f"damaged: {self.kind} {self.name} without a value")
        return packed

    def _packed(self, name: str) -> Bytes:
        return self.attributes.get(name, np.zeros(0, np.uint8))


def read_nodes(graph: Bytes) -> dict[str, GraphNode]:
    """Return a GraphDef's nodes by name.

    Raises:
        UnreadableError: damaged, with functions, or with far more nodes than the network has.
    """
    nodes: dict[str, GraphNode] = {}
    for number, wire_type, value in wire.fields(graph):
        if number != 1 or wire_type != wire.BYTES or isinstance(value, int):
            continue
        node = _node(value)
        if node.name in nodes or len(nodes) >= _MOST_NODES:
            raise UnreadableError(f"damaged: {len(nodes)} nodes, or two named {node.name!r}")
        nodes[node.name] = node
    return nodes


def constant(node: GraphNode, region: Region) -> NDArray[Any]:
    """Return the values of a constant, a view of the file.

    Raises:
        UnreadableError: the node is not a constant, or its bytes do not fill its shape.
    """
    if node.kind == "ImmutableConst":
        return _array(
            region(node.word("memory_region_name")),
            node.kind_of_number("dtype"),
            node.shape("shape"),
            node.name,
            longer=True,
        )
    if node.kind != "Const":
        raise UnreadableError(f"{node.kind} {node.name}, expected a constant")
    tensor = node.tensor("value")
    packed = wire.bytes_of(tensor, 2)
    shape = () if packed is None else _shape(packed)
    kind, content = wire.number_of(tensor, 1), wire.bytes_of(tensor, 4)
    if content is not None and len(content):
        return _array(content, kind, shape, node.name)
    return _few_values(tensor, kind, shape, node.name)


def constant_string(node: GraphNode) -> bytes:
    """Return the one string that a constant holds."""
    tensor = node.tensor("value")
    found = wire.bytes_of(tensor, 8)
    if wire.number_of(tensor, 1) != STRING or found is None:
        raise UnreadableError(f"no string in {node.name}")
    return found.tobytes()


def _array(
    content: Bytes, kind: int, shape: tuple[int, ...], name: str, *, longer: bool = False
) -> NDArray[Any]:
    dtype = np.dtype(_dtype(kind, name))
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > len(content) or (size != len(content) and not longer):
        raise UnreadableError(
            f"damaged or truncated: {len(content)} bytes for {name} of shape {list(shape)}"
        )
    return content[:size].view(dtype).reshape(shape)


def _few_values(tensor: Bytes, kind: int, shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Values in a typed field; the last one is repeated to fill the shape."""
    dtype, field = _dtype(kind, name), _TYPED_VALUES[kind]
    values: list[NDArray[Any]] = []
    for number, wire_type, value in wire.fields(tensor):
        if number == field and isinstance(value, int):
            values.append(np.array([wire.signed(value)]).astype(dtype))
        elif number == field and wire_type == wire.BYTES and dtype != "<f4":
            values.append(np.array(wire.varints(value), np.int64).astype(dtype))  # type: ignore[arg-type]
        elif number == field and not isinstance(value, int) and len(value) % 4 == 0:
            values.append(value.view(dtype))
    joined = np.concatenate(values) if values else np.zeros(1, dtype)
    size = math.prod(shape)
    if min(shape, default=0) < 0 or not joined.size >= 1 or size > _MOST_VALUES:
        raise UnreadableError(f"damaged: {joined.size} values for {name} of shape {list(shape)}")
    if joined.size == size:
        return joined.reshape(shape)
    if joined.size != 1:
        raise UnreadableError(f"damaged: {joined.size} values for {name} of shape {list(shape)}")
    return np.broadcast_to(joined.reshape(()), shape)


def _dtype(kind: int, name: str) -> str:
    if kind not in _DTYPES:
        raise UnreadableError(f"constant {name} of type number {kind}")
    return _DTYPES[kind]


def _shape(packed: Bytes) -> tuple[int, ...]:
    """Return the lengths of a TensorShapeProto."""
    lengths = []
    for number, _, value in wire.fields(packed):
        if number == 2 and not isinstance(value, int):
            lengths.append(wire.signed(wire.number_of(value, 1)))
    if len(lengths) > _MOST_DIMENSIONS:
        raise UnreadableError(f"damaged: a shape of {len(lengths)} dimensions")
    return tuple(lengths)


def _node(packed: Bytes) -> GraphNode:
    name, kind = "", ""
    inputs: list[str] = []
    attributes: dict[str, Bytes] = {}
    for number, _, value in wire.fields(packed):
        if isinstance(value, int):
            continue
        if number == 1:
            name = wire.text(value)
        elif number == 2:
            kind = wire.text(value)
        elif number == 3:
            inputs.append(wire.text(value))
        elif number == 5:
            content = wire.bytes_of(value, 2)
            attributes[wire.text(wire.bytes_of(value, 1))] = (
                value[:0] if content is None else content
            )
        if len(inputs) + len(attributes) > _MOST_INPUTS:
            raise UnreadableError(f"damaged: a node of {len(inputs)} inputs")
    return GraphNode(name, kind, inputs, attributes)
