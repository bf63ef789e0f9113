"""The graph in a ``.tflite`` file: tensors, operators, and which operator computes which tensor.

Field and operator numbers are those of TensorFlow Lite's ``schema.fbs``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.checkpoint.formats.flatbuffer import Bytes, Table, root_table
from stt_model.checkpoint.formats.model import StoredMatrix, UnreadableError

IDENTIFIER = b"TFL3"

FLOAT, INT32, STRING, INT8 = 0, 2, 5, 9
_DTYPES = {FLOAT: "<f4", INT32: "<i4", INT8: "i1"}
_TYPE_NAMES = {
    FLOAT: "float32",
    1: "float16",
    INT32: "int32",
    3: "uint8",
    4: "int64",
    STRING: "string",
    6: "bool",
    7: "int16",
    INT8: "int8",
}
_OPERATORS = {
    0: "ADD",
    2: "CONCATENATION",
    6: "DEQUANTIZE",
    9: "FULLY_CONNECTED",
    14: "LOGISTIC",
    18: "MUL",
    19: "RELU",
    22: "RESHAPE",
    25: "SOFTMAX",
    28: "TANH",
    32: "CUSTOM",
    36: "GATHER",
    39: "TRANSPOSE",
    40: "MEAN",
    41: "SUB",
    43: "SQUEEZE",
    45: "STRIDED_SLICE",
    49: "SPLIT",
    57: "MINIMUM",
    65: "SLICE",
    70: "EXPAND_DIMS",
    75: "SQRT",
    76: "RSQRT",
    88: "UNPACK",
    92: "SQUARE",
    99: "SQUARED_DIFFERENCE",
    102: "SPLIT_V",
}

# Many times the numbers of Coqui STT's largest network.
_MOST_OPERATORS = 20_000
_MOST_TENSORS = 40_000
_MOST_ARGUMENTS = 1024
_MOST_BYTES = 1 << 31
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Tensor:
    """One tensor; ``constant`` holds its bytes if the file has them."""

    index: int
    name: str
    shape: tuple[int, ...]
    kind: int
    constant: Bytes | None
    table: Table

    @property
    def type_name(self) -> str:
        """For messages."""
        return _TYPE_NAMES.get(self.kind, f"type {self.kind}")


@dataclass(frozen=True)
class Operator:
    """One operator; ``options`` is its table of options."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None

    def option(self, field: int, kind: str, default: int | float = 0) -> Any:
        """Return an option, or the schema's default if it is absent."""
        return self.options.number(field, kind, default) if self.options else default


class Graph:
    """The only graph of a file.

    Raises:
        UnreadableError: damaged, or several graphs.
    """

    def __init__(self, data: Bytes) -> None:
        model = root_table(data, IDENTIFIER)
        graphs = model.tables(2, _MOST_ARGUMENTS)
        if len(graphs) != 1:
            raise UnreadableError(f"{len(graphs)} graphs, expected one")
        (graph,) = graphs
        self._buffers = model.tables(4, _MOST_TENSORS)
        self._tensors = graph.tables(0, _MOST_TENSORS)
        codes = [_operator_kind(code) for code in model.tables(1, _MOST_ARGUMENTS)]
        self.operators = [_operator(table, codes) for table in graph.tables(3, _MOST_OPERATORS)]
        self._makers: dict[int, Operator] = {}
        for operator in self.operators:
            for output in operator.outputs:
                if output in self._makers:
                    raise UnreadableError(f"damaged: two operators make tensor {output}")
                self._makers[output] = operator
        self.inputs = self._named(graph.numbers(1, "<i4", _MOST_ARGUMENTS))
        self.outputs = self._named(graph.numbers(2, "<i4", _MOST_ARGUMENTS))

    def tensor(self, index: int) -> Tensor:
        """Return the tensor with this index."""
        if not 0 <= index < len(self._tensors):
            raise UnreadableError(f"damaged: no tensor {index}")
        table = self._tensors[index]
        shape = tuple(map(int, table.numbers(0, "<i4", _MOST_DIMENSIONS)))
        if any(length < 0 for length in shape):
            raise UnreadableError(f"damaged: a tensor of shape {list(shape)}")
        kind = table.number(1, "b")
        return Tensor(index, table.text(3), shape, kind, self._constant(table), table)

    def maker(self, index: int) -> Operator | None:
        """Return the operator that computes a tensor; None for inputs and constants."""
        return self._makers.get(index)

    def array(self, index: int) -> NDArray[Any]:
        """Return a constant's numbers as stored, as a view of the file."""
        tensor = self.tensor(index)
        if tensor.constant is None or index in self._makers:
            raise UnreadableError(f"tensor {tensor.name} that is computed, expected a constant")
        if tensor.kind not in _DTYPES:
            raise UnreadableError(f"constant {tensor.name} of {tensor.type_name}")
        if tensor.table.table(6) is not None:
            raise UnreadableError(f"sparse weights {tensor.name}")
        dtype = np.dtype(_DTYPES[tensor.kind])
        if len(tensor.constant) != math.prod(tensor.shape) * dtype.itemsize:
            raise UnreadableError(
                f"damaged or truncated: {len(tensor.constant)} bytes for {tensor.name} of shape"
                f" {list(tensor.shape)}"
            )
        return tensor.constant.view(dtype).reshape(tensor.shape)

    def matrix(self, index: int) -> StoredMatrix:
        """Return a constant of float32, or of 8 bits with one scale and the zero point 0."""
        tensor = self.tensor(index)
        values = self.array(index)
        if tensor.kind == FLOAT:
            return StoredMatrix(values)
        if tensor.kind != INT8:
            raise UnreadableError(f"weights {tensor.name} of {tensor.type_name}")
        quantisation = tensor.table.table(4)
        scales = quantisation.numbers(2, "<f4", _MOST_TENSORS) if quantisation else np.zeros(0)
        points = quantisation.numbers(3, "<i8", _MOST_TENSORS) if quantisation else np.zeros(0)
        if len(scales) != 1 or not (np.isfinite(scales[0]) and scales[0] > 0):
            raise UnreadableError(
                f"8-bit weights {tensor.name} with {len(scales)} scales, expected one above 0"
            )
        if np.any(points != 0):
            raise UnreadableError(f"8-bit weights {tensor.name} with a zero point other than 0")
        return StoredMatrix(values, float(scales[0]))

    def _constant(self, table: Table) -> Bytes | None:
        number = table.number(2, "I")
        if number >= len(self._buffers):
            raise UnreadableError(f"damaged: no buffer {number}")
        data = self._buffers[number].numbers(0, "u1", _MOST_BYTES)
        return data if len(data) else None

    def _named(self, indices: NDArray[Any]) -> dict[str, int]:
        named: dict[str, int] = {}
        for index in map(int, indices):
            # TensorFlow appends the output's number: input_node:0
            name = self.tensor(index).name.partition(":")[0]
            named[name] = index
        return named


def _operator_kind(code: Table) -> str:
    """Return an operator's name; codes above 127 are in the newer of two fields."""
    number = max(code.number(0, "b"), code.number(3, "i"))
    if number == 32:
        return f"CUSTOM {code.text(1)}"
    return _OPERATORS.get(number, f"operator {number}")


def _operator(table: Table, codes: list[str]) -> Operator:
    number = table.number(0, "I")
    if number >= len(codes):
        raise UnreadableError(f"damaged: no operator code {number}")
    return Operator(
        codes[number],
        tuple(map(int, table.numbers(1, "<i4", _MOST_ARGUMENTS))),
        tuple(map(int, table.numbers(2, "<i4", _MOST_ARGUMENTS))),
        table.table(4),
    )
