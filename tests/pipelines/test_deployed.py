"""The compiled pipeline with a deployed model in the place of a checkpoint."""

import json
import tarfile

import numpy as np
import pytest

from stt_bootstrap.pipelines.local import run
from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.checkpoint.geometry import LSTM_KERNEL, Geometry
from stt_model.checkpoint.lineage import imports_in, was_quantised
from stt_model.checkpoint.surgery import initialise
from stt_model.export.tflite_conversion import RuntimeMetadata, convert
from stt_model.storage import sha256_file
from stt_model.text.alphabet import CharacterAlphabet
from tests.pipelines.conftest import SMALL


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An 8-bit model in whose alphabet most of the letters are missing."""
    alphabet = CharacterAlphabet(" axyz")
    geometry = Geometry(n_hidden=40, n_classes=alphabet.classes)
    path = tmp_path_factory.mktemp("model") / "published.tflite"
    metadata = RuntimeMetadata(alphabet, 500, "xx")
    path.write_bytes(convert(initialise(geometry, seed=1), geometry, metadata, quantize=True))
    return path


@pytest.fixture(scope="module")
def outcome(dataset, model, tmp_path_factory):
    """What comes of it, published as an archive with a folder in it."""
    folder = tmp_path_factory.mktemp("deployed")
    archive = folder / "package-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as package:
        package.add(model, "package-1.0/model/published.tflite")
    parameters = {"dataset_uri": str(dataset), "checkpoint_uri": str(archive)}
    return run({**parameters, **SMALL, "learning_rate": 1e-5}, output_dir=folder / "out")


def test_it_is_fetched_transferred_trained_tested_and_exported(outcome):
    assert outcome.errors == ()
    assert outcome.mode == "transfer"
    assert outcome.wer is not None
    assert (outcome.export / "output_graph.tflite").is_file()


def test_kept_layers_are_those_of_the_file(model, outcome):
    source, trained = (read_weights(open_checkpoint(place)) for place in (model, outcome.model))
    for name in ("layer_1/weights", "layer_5/weights", LSTM_KERNEL):
        # One epoch of one step at that rate.
        np.testing.assert_allclose(trained[name], source[name], atol=5e-5)
        assert (trained[name] != source[name]).any()


def test_lineage_names_the_file_to_the_end(model, outcome):
    lineage = open_checkpoint(outcome.model).lineage
    assert was_quantised(lineage)
    (found,) = imports_in(lineage)
    assert found["file"] == model.name
    assert found["sha256"] == sha256_file(model)
    exported = json.loads((outcome.export / "export.json").read_text())
    assert exported["rounding"] == "stochastic"
    assert exported["lineage"] == lineage
    card = next(outcome.export.glob("*.md")).read_text()
    assert (
        f"Bootstrapped from**: published.tflite (tflite, 8-bit, sha256 {found['sha256']})" in card
    )


def test_the_export_is_the_source_of_the_next_bootstrap(outcome):
    exported = open_checkpoint(outcome.export)
    assert exported.alphabet == open_checkpoint(outcome.model).alphabet
    assert exported.geometry == open_checkpoint(outcome.model).geometry
