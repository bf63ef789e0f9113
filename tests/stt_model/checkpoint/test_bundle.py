"""The checkpoint reader against TensorFlow's own writer and reader, and against damage."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_model.base.errors import CheckpointError
from stt_model.checkpoint.bundle import Bundle
from tests.stt_model.checkpoints import (
    geometry_for,
    random_weights,
    save_variables,
    training_variables,
)

DTYPES = [np.float32, np.float64, np.float16, np.int8, np.int16, np.int32, np.int64]
DTYPES += [np.uint8, np.uint16, np.uint32, np.uint64, np.bool_]

names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def small(scratch: Path) -> Path:
    """Prefix of a whole tiny checkpoint."""
    prefix = scratch / "small" / "best_dev-7"
    save_variables(prefix, training_variables(random_weights(geometry_for())))
    return prefix


def index_of(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.index")


def data_of(prefix: Path) -> Path:
    return prefix.with_name(f"{prefix.name}.data-00000-of-00001")


def read_all(prefix: Path) -> dict[str, np.ndarray]:
    bundle = Bundle(prefix)
    return {name: bundle.read(name) for name in bundle.entries}


def random_values(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    generator = np.random.default_rng(math.prod(shape))
    return (generator.normal(0, 50, shape)).astype(dtype)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, st.tuples(shapes, st.sampled_from(DTYPES)), min_size=1, max_size=8))
def test_reads_what_tensorflow_writes(scratch, variables):
    prefix = scratch / "any" / "any"
    values = {name: random_values(*kind) for name, kind in variables.items()}
    save_variables(prefix, values)

    bundle = Bundle(prefix)
    bundle.check_files()

    assert set(bundle.entries) == set(values)
    for name, expected in values.items():
        found = bundle.read(name)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()


def test_agrees_with_tensorflow_s_reader(small):
    reader = tf.train.load_checkpoint(str(small))
    bundle = Bundle(small)

    assert {name: list(entry.shape) for name, entry in bundle.entries.items()} == (
        reader.get_variable_to_shape_map()
    )
    for name in bundle.entries:
        np.testing.assert_array_equal(bundle.read(name), reader.get_tensor(name))


def test_an_index_of_several_blocks(scratch):
    variables = {f"{'long/' * 20}{number}": np.int32(number) for number in range(20_000)}
    save_variables(scratch / "blocks", variables)
    assert index_of(scratch / "blocks").stat().st_size > 1 << 18

    bundle = Bundle(scratch / "blocks")

    assert len(bundle.entries) == len(variables)
    for name in list(variables)[::997]:
        assert bundle.read(name) == variables[name]


def test_several_data_files(scratch):
    parts = [{"a": np.arange(3.0)}, {"b": np.arange(4), "c": np.float32(1)}]
    prefixes = [str(scratch / f"part{number}") for number in range(2)]
    for prefix, part in zip(prefixes, parts, strict=True):
        save_variables(Path(prefix), part)
    merged = scratch / "merged"
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(merged))

    bundle = Bundle(merged)
    bundle.check_files()

    assert {entry.shard for entry in bundle.entries.values()} == {0, 1}
    assert bundle.read("a").tolist() == [0, 1, 2]
    assert bundle.read("b").tolist() == [0, 1, 2, 3]


def test_strings_are_listed_and_not_read(scratch):
    save_variables(scratch / "strings", {"graph": np.array(b"text"), "w": np.float32(2)})

    bundle = Bundle(scratch / "strings")

    assert bundle.entries["graph"].dtype is None
    assert bundle.read("w") == 2
    with pytest.raises(CheckpointError, match="graph is stored of a type other than numbers"):
        bundle.read("graph")


def test_slices_are_refused(scratch):
    tf.raw_ops.SaveV2(
        prefix=str(scratch / "sliced"),
        tensor_names=["w"],
        shape_and_slices=["4 2 0,2:-"],
        tensors=[tf.ones([2, 2])],
    )
    with pytest.raises(CheckpointError, match="w is stored in slices"):
        Bundle(scratch / "sliced").read("w")


def test_an_unknown_name(small):
    with pytest.raises(CheckpointError, match="no variable 'nope'"):
        Bundle(small).read("nope")


def test_no_index(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.index: cannot read.*No such file"):
        Bundle(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"text\n" * 100, bytes(48)])
def test_not_a_bundle(tmp_path, content):
    (tmp_path / "other.index").write_bytes(content)
    with pytest.raises(CheckpointError, match="not the index of a TensorFlow checkpoint"):
        Bundle(tmp_path / "other")


def test_a_compressed_index_is_named_so(tmp_path):
    block = struct.pack("<II", 0, 1) + b"\x01"  # no entries, one restart; then: compressed
    crc = google_crc32c.value(block)
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    handles = bytes([0, 8, 0, 8]).ljust(40, b"\0")
    footer = handles + struct.pack("<Q", 0xDB4775248B80FB57)
    (tmp_path / "snappy.index").write_bytes(block + struct.pack("<I", masked) + footer)
    with pytest.raises(CheckpointError, match="a compressed index"):
        Bundle(tmp_path / "snappy")


def test_missing_and_short_data_files(small, tmp_path):
    copy = tmp_path / "copy"
    index_of(copy).write_bytes(index_of(small).read_bytes())
    with pytest.raises(CheckpointError, match=r"copy\.data-00000-of-00001: .* missing"):
        Bundle(copy).check_files()
    with pytest.raises(CheckpointError, match=r"copy\.data-00000-of-00001: cannot read"):
        Bundle(copy).read("global_step")

    data = data_of(small).read_bytes()
    data_of(copy).write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match=f"expected {len(data)} bytes or more, found"):
        Bundle(copy).check_files()


def test_a_flipped_bit_in_the_data(small, tmp_path):
    copy = tmp_path / "copy"
    index_of(copy).write_bytes(index_of(small).read_bytes())
    data = bytearray(data_of(small).read_bytes())
    data[Bundle(small).entries["layer_2/bias"].offset] ^= 1
    data_of(copy).write_bytes(data)

    with pytest.raises(CheckpointError, match=r"layer_2/bias are damaged \(checksum differs\)"):
        Bundle(copy).read("layer_2/bias")
    assert Bundle(copy).read("layer_3/bias").shape == (8,)


damages = st.one_of(
    st.tuples(st.just("truncate"), st.floats(0, 1, exclude_max=True)),
    st.tuples(st.just("drop the start"), st.floats(0, 1, exclude_min=True)),
    st.tuples(st.just("overwrite"), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("cut out"), st.floats(0, 1), st.integers(1, 64)),
)


def damaged(data: bytes, damage: tuple) -> bytes:
    kind, place, *rest = damage
    at = round(place * len(data))
    if kind == "truncate":
        return data[:at]
    if kind == "drop the start":
        return data[at:]
    if kind == "overwrite":
        return data[:at] + rest[0] + data[at + len(rest[0]) :]
    if kind == "insert":
        return data[:at] + rest[0] + data[at:]
    return data[:at] + data[at + rest[0] :]


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from([index_of, data_of]), damages)
def test_damage_is_an_error_or_changes_nothing(small, scratch, file_of, damage):
    copy = scratch / "damaged" / "copy"
    copy.parent.mkdir(exist_ok=True)
    for path in (index_of, data_of):
        content = path(small).read_bytes()
        path(copy).write_bytes(damaged(content, damage) if path is file_of else content)
    try:
        found = read_all(copy)
    except CheckpointError as error:
        assert "\n" not in str(error)
        return
    expected = read_all(small)
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in expected.items()
    }


def test_the_index_truncated_anywhere(small, tmp_path):
    content = index_of(small).read_bytes()
    for length in range(len(content)):
        index_of(tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            Bundle(tmp_path / "cut")


def test_needs_no_tensorflow(small):
    script = (
        "import sys; from stt_model.checkpoint.bundle import Bundle; "
        f"print(Bundle({str(small)!r}).read('global_step'), 'tensorflow' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert output.split() == ["7", "False"]
