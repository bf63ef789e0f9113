"""Damaged and hostile files: the project's own error, in bounded time and memory."""

import struct
import time
import tracemalloc

import numpy as np
import pytest

from stt_model.base.errors import CheckpointError
from stt_model.checkpoint.formats import frozen_graph as frozen_graphs
from stt_model.checkpoint.formats import memmapped_graph, tflite
from stt_model.checkpoint.formats.model import UnreadableError
from stt_model.checkpoint.formats.registry import open_model
from stt_model.checkpoint.geometry import Geometry
from tests.stt_model.checkpoint.formats.deployed_models import (
    TocoModel,
    frozen_graph,
    memory_mapped,
)
from tests.stt_model.checkpoints import ENGLISH, random_weights

SECONDS = 5
"""Most that one file may take, on a busy machine."""
BYTES = 64 << 20
"""Most memory that all files of a test may take at once."""

READERS = {"tflite": tflite, "pb": frozen_graphs, "pbmm": memmapped_graph}
WORDS = (0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x10000, 0x01000000, 4)


@pytest.fixture(scope="module")
def files():
    """A small model of each format, with layer normalisation, so that every part counts."""
    weights = random_weights(Geometry(4, ENGLISH.classes, layer_norm=True))
    graph = frozen_graph(weights, ENGLISH)
    return {
        "tflite": TocoModel(weights, ENGLISH, quantize=True, steps=3).to_bytes(),
        "pb": graph.SerializeToString(),
        "pbmm": memory_mapped(graph, with_lengths=True),
    }


def damaged(data, case):
    """Return the file with one thing wrong: cut short, a bit, a byte, or a word changed."""
    random = np.random.default_rng(case)
    changed = bytearray(data)
    kind = case % 4
    if kind == 0:
        return bytes(changed[: random.integers(len(data))])
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(len(data) - 4))
        if kind == 1:
            changed[place] ^= 1 << int(random.integers(8))
        elif kind == 2:
            changed[place] = int(random.integers(256))
        else:
            word = int(random.choice([*WORDS, len(data), len(data) - place]))
            place -= place % 4
            changed[place : place + 4] = struct.pack("<I", word)
    return bytes(changed)


def read_all(reader, data):
    """Read as a file would be read, weights included."""
    array = np.frombuffer(data, np.uint8)
    try:
        if reader.recognises(array):
            dict(reader.read("model", array).weights())
    except (UnreadableError, CheckpointError):
        return


def check_cases(name, data, cases):
    for case in cases:
        started = time.monotonic()
        try:
            read_all(READERS[name], damaged(data, case))
        except Exception as error:
            raise AssertionError(f"{name}, case {case}") from error
        assert time.monotonic() - started < SECONDS, case


def check_memory(name, data, cases):
    # Apart, because looking at every allocation takes many times as long.
    tracemalloc.start()
    try:
        check_cases(name, data, cases)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused_or_read(name, files):
    check_cases(name, files[name], range(200))
    check_memory(name, files[name], range(12))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_damaged_files_are_refused_or_read(name, files):
    check_cases(name, files[name], range(200, 5000))
    check_memory(name, files[name], range(200, 400))


@pytest.mark.parametrize("name", READERS)
def test_a_file_cut_short_anywhere_is_no_model(name, files, tmp_path):
    data = files[name]
    path = tmp_path / f"model.{name}"
    for length in range(0, len(data) - 1, max(1, len(data) // 60)):
        path.write_bytes(data[:length])
        try:
            # A TensorFlow Lite file that lacks only what fills it up is whole.
            dict(open_model(path).weights())
        except CheckpointError:
            continue
        assert name == "tflite"
        assert length > 0.9 * len(data)


def test_a_table_that_points_at_itself_is_refused():
    # Root at 8, its fields all at offset 4 from it, which refers to the table itself.
    vtable = struct.pack("<HH8H", 20, 8, *[4] * 8)
    table = struct.pack("<iI", len(vtable), 0xFFFFFFFC)
    data = struct.pack("<I4s", 8 + len(vtable), b"TFL3") + vtable + table
    with pytest.raises(UnreadableError):
        tflite.read("model", np.frombuffer(data, np.uint8))


def test_a_huge_count_is_refused(files):
    data = np.frombuffer(files["tflite"], np.uint8).copy()
    words = data[: len(data) // 4 * 4].view("<u4")
    for place in range(0, 64):
        kept = words[place]
        words[place] = 0xFFFFFFF0
        read_all(tflite, data.tobytes())
        words[place] = kept


def test_an_operator_that_makes_its_own_input_is_refused():
    weights = random_weights(Geometry(4, ENGLISH.classes))
    made = TocoModel(weights, ENGLISH, steps=1)
    (reshape,) = made.operators("RESHAPE")[:1]
    reshape.inputs[0] = reshape.outputs[0]
    with pytest.raises(UnreadableError):
        tflite.read("model", np.frombuffer(made.to_bytes(), np.uint8))


@pytest.mark.parametrize("kind", ["Identity", "Reshape"])
def test_a_node_that_is_made_of_itself_is_refused(kind):
    graph = frozen_graph(random_weights(Geometry(4, ENGLISH.classes)))
    node = next(node for node in graph.node if node.name == "raw_logits")
    node.op, node.input[0] = kind, "raw_logits"
    with pytest.raises(UnreadableError, match="depends on itself"):
        frozen_graphs.read("model", np.frombuffer(graph.SerializeToString(), np.uint8))


def test_a_shape_that_no_memory_holds_is_refused():
    graph = frozen_graph(random_weights(Geometry(4, ENGLISH.classes)))
    node = next(node for node in graph.node if node.name == "layer_2/bias")
    tensor = node.attr["value"].tensor
    tensor.tensor_content = b""
    tensor.float_val[:] = [1]
    tensor.tensor_shape.dim[0].size = 1 << 40
    with pytest.raises(UnreadableError, match="shape"):
        frozen_graphs.read("model", np.frombuffer(graph.SerializeToString(), np.uint8))
