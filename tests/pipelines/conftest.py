"""Runs of the compiled pipeline on tiny inputs, shared by the tests: each takes seconds."""

import pytest

from stt_bootstrap.pipelines.local import run
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.text.alphabet_file import write_alphabet
from tests.corpora import write_tone_dataset

SMALL = {"epochs": 1, "train_batch_size": 4, "dev_batch_size": 4, "test_batch_size": 4}
# No model of that size learns anything.
SMALL |= {"release_any": True}


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Transcripts of the letters a to d and space."""
    return write_tone_dataset(tmp_path_factory.mktemp("tones"), train=4, other=2)


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory):
    def make(labels):
        directory = tmp_path_factory.mktemp("checkpoint")
        alphabet = CharacterAlphabet(labels)
        geometry = Geometry(n_hidden=8, n_classes=alphabet.classes)
        write_checkpoint(directory, initialise(geometry, seed=1), alphabet, step=40)
        return directory

    return make


@pytest.fixture(scope="session")
def latin(make_checkpoint):
    """A checkpoint whose labels cover the transcripts."""
    return make_checkpoint(" abcd")


@pytest.fixture(scope="session")
def foreign(make_checkpoint):
    """A checkpoint that lacks most of the letters."""
    return make_checkpoint(" axyz")


@pytest.fixture(scope="session")
def fine_tuned(dataset, latin, tmp_path_factory):
    """The outcome of a run in the checkpoint's own letters, asked for in another order.

    No model of that size can be as good as it asks.
    """
    folder = tmp_path_factory.mktemp("fine-tuned")
    write_alphabet(CharacterAlphabet("dcba "), folder / "alphabet.txt")
    parameters = {
        "dataset_uri": str(dataset),
        "checkpoint_uri": f"file://{latin}",
        "alphabet_uri": str(folder / "alphabet.txt"),
        "max_wer": 0.01,
        "export_language": "tlh",
    }
    return run({**parameters, **SMALL}, output_dir=folder / "out")


@pytest.fixture(scope="session")
def progress():
    """The lines that the transferring run said."""
    return []


@pytest.fixture(scope="session")
def transferred(dataset, foreign, progress, tmp_path_factory):
    """The outcome of a run whose letters the checkpoint lacks."""
    parameters = {"dataset_uri": str(dataset), "checkpoint_uri": str(foreign)}
    parameters |= {"list_suspects": True, "keep_source_labels": True}
    folder = tmp_path_factory.mktemp("transferred")
    return run({**parameters, **SMALL}, output_dir=folder, say=progress.append)


@pytest.fixture(scope="session")
def refused(dataset, foreign, tmp_path_factory):
    """The outcome of a run that was asked to fine-tune although letters are missing."""
    parameters = {
        "dataset_uri": str(dataset),
        "checkpoint_uri": str(foreign),
        "mode": "fine-tune",
    }
    return run(parameters, output_dir=tmp_path_factory.mktemp("refused"))
