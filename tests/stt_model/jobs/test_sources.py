"""In one pod the same comes out as in four."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_model.base.errors import BootstrapError
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.jobs.checkpoints import analyse_alphabet, fetch, read_model_alphabet, replace_layers
from stt_model.jobs.data import validate
from stt_model.jobs.sources import NOT_MADE, analyse_sources
from stt_model.text.alphabet import CharacterAlphabet
from tests.command_line import tree
from tests.corpora import write_tone_dataset
from tests.stt_model.faulty_store import FaultyStore

PLACES = ("clean_dataset", "checkpoint", "model_alphabet", "grafted_checkpoint", "report")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_tone_dataset(tmp_path_factory.mktemp("tones"), train=4, other=2)


@pytest.fixture
def make_source(tmp_path):
    def make(labels):
        alphabet = CharacterAlphabet(labels)
        weights = initialise(Geometry(n_hidden=8, n_classes=alphabet.classes), seed=1)
        write_checkpoint(tmp_path / "source", weights, alphabet, step=7)
        return str(tmp_path / "source")

    return make


@pytest.fixture
def places(tmp_path):
    return {name: tmp_path / "together" / name for name in PLACES}


def weights_of(folder):
    """Lineage has the time in it."""
    return {name: data for name, data in tree(folder).items() if name != "lineage.json"}


def test_a_transfer_is_what_the_single_steps_make(dataset, make_source, places, tmp_path):
    source = make_source(" axyz")
    places["report"].parent.mkdir()
    found = analyse_sources(str(dataset), source, drop_source_layers=2, **places)
    assert found.decision.mode == "transfer"

    alone = {name: tmp_path / "alone" / name for name in PLACES}
    alone["report"].parent.mkdir()
    validate(str(dataset), alone["clean_dataset"])
    fetch(source, alone["checkpoint"])
    analyse_alphabet(
        alone["clean_dataset"], alone["checkpoint"], alone["model_alphabet"], alone["report"]
    )
    replace_layers(
        alone["checkpoint"],
        alone["grafted_checkpoint"],
        alphabet=read_model_alphabet(alone["model_alphabet"]),
        drop_source_layers=2,
    )
    for name in ("clean_dataset", "checkpoint"):
        assert tree(places[name]) == tree(alone[name])
    assert weights_of(places["grafted_checkpoint"]) == weights_of(alone["grafted_checkpoint"])
    assert places["model_alphabet"].read_bytes() == alone["model_alphabet"].read_bytes()
    assert places["report"].read_text().startswith(alone["report"].read_text())
    assert "Layer surgery" in places["report"].read_text()


def test_fine_tuning_leaves_a_note_in_place_of_new_layers(dataset, make_source, places):
    places["report"].parent.mkdir()
    found = analyse_sources(str(dataset), make_source(" abcd"), **places)
    assert found.decision.mode == "fine-tune"
    assert [path.name for path in places["grafted_checkpoint"].iterdir()] == [NOT_MADE]
    assert open_checkpoint(places["checkpoint"]).step == 7


def test_findings_before_a_failure_are_in_the_report(make_source, places, tmp_path):
    places["report"].parent.mkdir()
    with pytest.raises(BootstrapError, match="nowhere"):
        analyse_sources(str(tmp_path / "nowhere"), make_source(" abcd"), **places)
    assert "# Checkpoint" in places["report"].read_text()


@pytest.mark.parametrize(("check_audio", "rejected"), [("header", 0), ("whole", 1)])
def test_clips_of_a_store_are_read_whole_only_if_asked(
    check_audio, rejected, make_source, places, tmp_path, monkeypatch
):
    dataset = write_tone_dataset(tmp_path / "tones", train=4, other=2)
    damaged = dataset / "train-clips" / "1.flac"
    soundfile.write(damaged, np.random.default_rng(1).uniform(-0.5, 0.5, 16000 * 3), 16000)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:40_000] + bytes(len(content) - 40_000))
    for manifest in dataset.glob("*.csv"):
        text = manifest.read_text().replace(f"{dataset}/", "")
        manifest.write_text(text.replace("train-clips/1.wav", "train-clips/1.flac"))
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "cache"))
    with FaultyStore() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        for path in filter(Path.is_file, dataset.rglob("*")):
            server.objects[f"/speech/{path.relative_to(dataset)}"] = path.read_bytes()
        found = analyse_sources(
            "s3://speech", make_source("abcd "), check_audio=check_audio, **places
        )
    assert len(found.validation.accepted["train"]) == 4 - rejected
