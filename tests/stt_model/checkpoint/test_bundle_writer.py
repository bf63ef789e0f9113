"""What the writer writes, TensorFlow reads; and it is what TensorFlow would have written."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.checkpoint.bundle import BLOCK_BYTES, Bundle
from stt_model.checkpoint.bundle_writer import blocks_of, write_bundle
from tests.stt_model.checkpoint.test_bundle import DTYPES, data_of, names, random_values, shapes
from tests.stt_model.checkpoints import save_variables


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("bundles")


class Rows:
    """An array of which the writer is given a row at a time."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.dtype, self.shape = values, values.dtype, values.shape

    def blocks(self):
        yield from self.values


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, st.tuples(shapes, st.sampled_from(DTYPES)), min_size=1, max_size=8))
def test_tensorflow_reads_what_is_written(scratch, variables):
    values = {name: random_values(*kind) for name, kind in variables.items()}
    write_bundle(scratch / "any", values)
    reader = tf.train.load_checkpoint(str(scratch / "any"))
    assert set(reader.get_variable_to_shape_map()) == set(values)
    for name, expected in values.items():
        found = reader.get_tensor(name)
        assert (found.dtype, np.shape(found)) == (expected.dtype, expected.shape)
        assert np.asarray(found).tobytes() == expected.tobytes()


def test_it_is_what_tensorflow_writes(scratch):
    values = {f"layer_{n}/weights": random_values((n, 5), np.float32) for n in range(1, 40)}
    values["global_step"] = np.asarray(300, np.int64)
    save_variables(scratch / "theirs", dict(sorted(values.items())))
    write_bundle(scratch / "ours", values)
    assert data_of(scratch / "ours").read_bytes() == data_of(scratch / "theirs").read_bytes()
    assert Bundle(scratch / "ours").entries == Bundle(scratch / "theirs").entries


def test_an_array_that_is_made_as_it_is_written(scratch):
    values = random_values((7, 3), np.float32)
    write_bundle(scratch / "rows", {"w": Rows(values)})
    np.testing.assert_array_equal(Bundle(scratch / "rows").read("w"), values)


@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_are_small_and_in_order(order):
    values = np.arange(3 * BLOCK_BYTES // 4, dtype=np.float32).reshape(-1, 4).copy(order)
    blocks = list(blocks_of(values))
    assert len(blocks) == 3
    assert all(block.nbytes <= BLOCK_BYTES for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), values.reshape(-1))


def test_needs_no_tensorflow(tmp_path):
    code = (
        "import sys, pathlib, numpy as np;"
        "from stt_model.checkpoint.bundle_writer import write_bundle;"
        "write_bundle(pathlib.Path(sys.argv[1]), {'w': np.ones(3, np.float32)});"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "w"], check=True)
    np.testing.assert_array_equal(Bundle(tmp_path / "w").read("w"), np.ones(3, np.float32))
