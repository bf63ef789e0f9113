"""Rounding to 8 bits after training that began on an 8-bit grid."""

import json

import numpy as np
import pytest

from stt_model.checkpoint.formats.tflite import read_stored_variables
from stt_model.checkpoint.geometry import LSTM_KERNEL, Geometry
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.export.config import ExportConfig
from stt_model.export.exporter import export
from stt_model.export.tflite_conversion import RuntimeMetadata, convert
from tests.stt_model.checkpoints import ENGLISH, random_weights

GEOMETRY = Geometry(64, ENGLISH.classes)
QUANTISED = {
    "step": "training",
    "source": {"lineage": {"step": "import", "file": "m.tflite", "quantised": True}},
}


def stored(model):
    return read_stored_variables(np.frombuffer(bytearray(model), np.uint8))


def converted(weights, *, stochastic):
    metadata = RuntimeMetadata(ENGLISH, 500, "en")
    return convert(weights, GEOMETRY, metadata, quantize=True, stochastic=stochastic)


@pytest.fixture(scope="module")
def imported():
    """Weights that lie on the grid of an 8-bit model."""
    model = converted(random_weights(GEOMETRY), stochastic=False)
    return {name: variable.array() for name, variable in stored(model).items()}


@pytest.fixture(scope="module")
def trained(imported):
    """The same after training that moved every matrix by less than half a step."""
    steps = {"layer_2/weights": 0.3, LSTM_KERNEL: 0.3}
    changed = dict(imported)
    for name, share in steps.items():
        values = imported[name]
        largest = np.abs(values) == np.abs(values).max()
        moved = values + np.where(largest, 0, share * np.abs(values).max() / 127)
        changed[name] = moved.astype(np.float32)
    return changed


def test_rounding_to_the_nearest_throws_such_training_away(imported, trained):
    found = stored(converted(trained, stochastic=False))["layer_2/weights"].array()
    np.testing.assert_allclose(found, imported["layer_2/weights"], atol=1e-6)


@pytest.mark.parametrize("name", ["layer_2/weights", LSTM_KERNEL])
def test_rounding_at_random_keeps_it_on_average(name, imported, trained):
    variable = stored(converted(trained, stochastic=True))[name]
    found, step = variable.array(), max(variable.steps)
    assert np.abs(found - trained[name]).max() < step
    expected = (trained[name] - imported[name]).mean()
    assert (found - imported[name]).mean() == pytest.approx(expected, rel=0.1)


def test_only_the_8_bit_matrices_differ_and_the_size_does_not(trained):
    nearest, random = (converted(trained, stochastic=each) for each in (False, True))
    assert len(nearest) == len(random)
    for name, variable in stored(random).items():
        same = np.array_equal(variable.array(), stored(nearest)[name].array())
        assert same or variable.steps


def test_the_same_weights_give_the_same_file(trained):
    assert converted(trained, stochastic=True) == converted(trained, stochastic=True)


def test_the_largest_weight_stays_at_the_end_of_the_grid(trained):
    for variable in stored(converted(trained, stochastic=True)).values():
        for part in variable.parts:
            if part.scale is not None:
                assert np.abs(part.values.astype(int)).max() == 127


def test_weights_on_the_grid_stay_where_they_are(imported):
    found = stored(converted(imported, stochastic=True))
    for name, values in imported.items():
        np.testing.assert_allclose(found[name].array(), values, atol=1e-6)


@pytest.mark.parametrize("lineage", [QUANTISED, {"step": "training"}])
def test_an_export_says_how_it_rounded(lineage, trained, tmp_path):
    write_checkpoint(tmp_path / "trained", trained, ENGLISH, lineage=lineage)
    result = export(ExportConfig(tmp_path / "trained", tmp_path / "export"))
    description = json.loads((result.directory / "export.json").read_text())
    card = next(result.directory.glob("*.md")).read_text()
    random = lineage is QUANTISED
    assert description["rounding"] == ("stochastic" if random else "nearest")
    assert ("rounded at random" in card) == random
    assert ("Bootstrapped from**: m.tflite (" in card) == random
    model = (result.directory / "output_graph.tflite").read_bytes()
    assert model == converted_like(trained, stochastic=random)


def converted_like(weights, *, stochastic):
    metadata = RuntimeMetadata(ENGLISH, 500, "und")
    return convert(weights, GEOMETRY, metadata, quantize=True, stochastic=stochastic)
