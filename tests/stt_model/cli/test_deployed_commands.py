"""The commands on a deployed model, where they take a checkpoint."""

import json

import pytest

from stt_model.checkpoint.directory import open_checkpoint
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.lineage import imports_in, was_quantised
from stt_model.text.alphabet_file import write_alphabet
from tests.command_line import call
from tests.stt_model.checkpoint.formats.deployed_models import TocoModel, frozen_graph
from tests.stt_model.checkpoints import random_weights
from tests.stt_model.training_runs import ALPHABET

TRAINING = ("--epochs", 1, "--train_batch_size", 4, "--learning_rate", 0.001)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """An 8-bit file, and a frozen graph of the same that does not say its alphabet."""
    folder = tmp_path_factory.mktemp("deployed")
    weights = random_weights(Geometry(32, ALPHABET.classes))
    (folder / "model.tflite").write_bytes(TocoModel(weights, ALPHABET, quantize=True).to_bytes())
    (folder / "model.pb").write_bytes(frozen_graph(weights).SerializeToString())
    write_alphabet(ALPHABET, folder / "labels.txt")
    return folder


def test_fetch_and_inspect(deployed, tmp_path):
    done = call("fetch", deployed / "model.tflite", tmp_path / "out")
    assert done.code == 0, done.err
    fetched = json.loads(done.out)
    assert fetched["format"] == "checkpoint"
    assert fetched["lineage"]["quantised"] is True
    seen = json.loads(call("inspect", deployed / "model.tflite").out)
    assert (seen["format"], seen["quantised"]) == ("tflite", True)
    assert seen["lineage"]["sha256"] == fetched["sha256"]


def test_fetch_takes_the_alphabet_of_a_graph_that_has_none(deployed, tmp_path):
    graph, labels = deployed / "model.pb", deployed / "labels.txt"
    refused = call("fetch", graph, tmp_path / "out")
    assert refused.code == 1
    assert "--alphabet_config_path" in refused.err
    done = call("fetch", graph, tmp_path / "out", "--alphabet_config_path", labels)
    assert done.code == 0, done.err
    assert open_checkpoint(tmp_path / "out").alphabet == ALPHABET


def test_train_evaluate_and_train_on(deployed, dataset, tmp_path):
    files = ("--train_files", dataset / "train.csv", "--dev_files", dataset / "dev.csv")
    trained = tmp_path / "trained"
    source = ("--load_checkpoint_dir", deployed / "model.tflite", "--drop_source_layers", 1)
    done = call("train", *files, *TRAINING, *source, "--save_checkpoint_dir", trained)
    assert done.code == 0, done.err
    lineage = open_checkpoint(trained).lineage
    assert was_quantised(lineage)
    assert [each["file"] for each in imports_in(lineage)] == ["model.tflite"]
    for place in (trained, deployed / "model.tflite"):
        tested = call("evaluate", "--test_files", dataset / "test.csv", "--checkpoint_dir", place)
        assert tested.code == 0, tested.err


def test_a_folder_with_a_model_is_trained_in(deployed, dataset, tmp_path):
    (tmp_path / "model.tflite").write_bytes((deployed / "model.tflite").read_bytes())
    files = ("--train_files", dataset / "train.csv", "--dev_files", dataset / "dev.csv")
    done = call("train", *files, *TRAINING, "--checkpoint_dir", tmp_path)
    assert done.code == 0, done.err
    assert open_checkpoint(tmp_path).model is None
    assert was_quantised(open_checkpoint(tmp_path).lineage)


def test_a_frozen_graph_is_fine_tuned_with_the_alphabet_given(deployed, dataset, tmp_path):
    files = ("--train_files", dataset / "train.csv", "--dev_files", dataset / "dev.csv")
    flags = ("--load_checkpoint_dir", deployed / "model.pb", "--save_checkpoint_dir", tmp_path)
    labels = ("--alphabet_config_path", deployed / "labels.txt")
    done = call("train", *files, *TRAINING, *flags, *labels)
    assert done.code == 0, done.err
    assert not was_quantised(open_checkpoint(tmp_path).lineage)
