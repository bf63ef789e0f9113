"""Whatever the command line does, the component does: the same files come out of both doors."""

import importlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stt_model.checkpoint.directory import open_checkpoint
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.text.alphabet_file import write_alphabet
from tests.command_line import call, tree
from tests.corpora import write_tone_dataset

SETTINGS = {"epochs": 1, "train_batch_size": 4, "dev_batch_size": 4, "learning_rate": 0.001}


@dataclass
class Artifact:
    """Stands in for every kind of artifact."""

    path: str
    metadata: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)

    def log_metric(self, name, value):
        self.figures[name] = value

    def log_confusion_matrix(self, categories, matrix):
        self.figures["confusions"] = (categories, matrix)


@pytest.fixture
def component(tmp_path):
    """Call a component as Kubeflow's executor does; return its artifacts by name."""

    def call_component(name, inputs=None, **parameters):
        module = importlib.import_module(f"stt_bootstrap.components.{name}.component")
        function = getattr(module, name).python_func
        folder = tmp_path / "component" / name
        folder.mkdir(parents=True)
        artifacts = defaultdict(dict)
        for each in re.findall(r"(\w+): .*dsl\.Output\[", Path(module.__file__).read_text()):
            artifacts[each] = Artifact(str(folder / each))
        given = {key: Artifact(str(path)) for key, path in (inputs or {}).items()}
        function(**artifacts, **given, **parameters)
        return artifacts

    return call_component


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_tone_dataset(tmp_path_factory.mktemp("tones"), train=4, other=2)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    alphabet = CharacterAlphabet(" abcd")
    geometry = Geometry(n_hidden=8, n_classes=alphabet.classes)
    folder = tmp_path_factory.mktemp("source") / "checkpoint"
    write_checkpoint(folder, initialise(geometry, seed=1), alphabet, step=7)
    return folder


@pytest.fixture(scope="module")
def alphabet(tmp_path_factory):
    path = tmp_path_factory.mktemp("alphabet") / "alphabet.txt"
    write_alphabet(CharacterAlphabet(" abcde"), path)
    return path


def done(*arguments):
    outcome = call(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome


def comparable(folder):
    """Return everything below a folder, without times and places."""
    volatile = ("seconds", "date", "command", "created", "history", "train_files", "dev_files")
    files = {}
    for name, data in tree(Path(folder)).items():
        if name.endswith(".json") and data:
            loaded = json.loads(data)
            if isinstance(loaded, dict):
                loaded = {key: value for key, value in loaded.items() if key not in volatile}
            data = json.dumps(loaded, sort_keys=True)
        files[name] = data
    return files


def names(folder):
    """Return what lies below a folder, but for TensorBoard's files, whose names hold the time."""
    return sorted(name for name in tree(Path(folder)) if "tfevents" not in name)


def test_validation(component, dataset, tmp_path):
    done("validate", dataset, "--output", tmp_path / "clean")
    artifacts = component("dataset_validation", dataset_uri=str(dataset))
    assert tree(tmp_path / "clean") == tree(Path(artifacts["clean_dataset"].path))
    report = Path(artifacts["validation_report"].path).read_bytes()
    assert report == (tmp_path / "clean" / "report.md").read_bytes()


def test_fetch(component, source, tmp_path):
    said = json.loads(done("fetch", source, tmp_path / "fetched").out)
    artifacts = component("checkpoint_fetch", checkpoint_uri=str(source))
    assert tree(tmp_path / "fetched") == tree(Path(artifacts["checkpoint"].path))
    assert artifacts["checkpoint"].metadata["sha256"] == said["sha256"]


def test_decision(component, dataset, source, tmp_path):
    files = [dataset / f"{split}.csv" for split in ("train", "dev", "test")]
    flags = ("--train_files", *files, "--checkpoint_dir", source, "--output", tmp_path / "a.txt")
    said = done("alphabet", *flags).out
    inputs = {"dataset": dataset, "checkpoint": source}
    artifacts = component("alphabet_analysis", inputs)
    assert Path(artifacts["model_alphabet"].path).read_bytes() == (tmp_path / "a.txt").read_bytes()
    assert Path(artifacts["decision_report"].path).read_text() in said


def test_surgery(component, source, alphabet, tmp_path):
    flags = ("--load_checkpoint_dir", source, "--save_checkpoint_dir", tmp_path / "grafted")
    done("surgery", *flags, "--alphabet_config_path", alphabet, "--drop_source_layers", 2)
    inputs = {"checkpoint": source, "model_alphabet": alphabet}
    artifacts = component("layer_surgery", inputs, drop_source_layers=2)
    grafted = artifacts["grafted_checkpoint"].path
    assert comparable(tmp_path / "grafted") == comparable(grafted)


def test_training_evaluation_and_export(component, dataset, source, tmp_path):
    """One test, since each goes on with what the one before made."""
    flags = [each for name, value in SETTINGS.items() for each in (f"--{name}", value)]
    trained = tmp_path / "trained"
    data = ("--train_files", dataset / "train.csv", "--dev_files", dataset / "dev.csv")
    where = ("--load_checkpoint_dir", source, "--save_checkpoint_dir", trained)
    done("train", *data, *where, *flags)
    inputs = {"dataset": dataset, "checkpoint": source}
    inputs["model_alphabet"] = source / "alphabet.txt"
    artifacts = component("training", inputs, **SETTINGS)
    theirs = Path(artifacts["trained_checkpoint"].path)
    assert open_checkpoint(trained).digest() == open_checkpoint(theirs).digest()
    assert names(trained) == names(theirs)

    samples = tmp_path / "samples.json"
    tested = ("--checkpoint_dir", trained, "--test_files", dataset / "test.csv")
    done("evaluate", *tested, "--test_output_file", samples, "--source_checkpoint_dir", source)
    inputs = {"dataset": dataset, "checkpoint": trained, "source_checkpoint": source}
    artifacts = component("evaluation", inputs)
    assert json.loads(samples.read_text()) == json.loads(
        Path(artifacts["transcribed_samples"].path).read_text()
    )

    exported = tmp_path / "exported"
    card = ("--export_author_id", "us", "--export_language", "sw")
    done("export", *tested, "--export_dir", exported, *card)
    inputs = {"dataset": dataset, "checkpoint": trained}
    artifacts = component("model_export", inputs, export_author_id="us", export_language="sw")
    theirs = Path(artifacts["exported_model"].path)
    assert sorted(tree(exported)) == sorted(tree(theirs))
    models = [folder / "output_graph.tflite" for folder in (exported, theirs)]
    assert models[0].read_bytes() == models[1].read_bytes()


def test_forecast(component, dataset, source, tmp_path):
    flags = [each for name, value in SETTINGS.items() for each in (f"--{name}", value)]
    data = [
        each for s in ("train", "dev", "test") for each in (f"--{s}_files", dataset / f"{s}.csv")
    ]
    inputs = {"dataset": dataset, "checkpoint": source}
    inputs["model_alphabet"] = source / "alphabet.txt"
    artifacts = component("training", inputs, forecast=True, **SETTINGS)
    theirs = Path(artifacts["trained_checkpoint"].path)
    output = tmp_path / "forecast"
    where = ("--load_checkpoint_dir", source, "--model", theirs, "--output", output)
    said = done("forecast", *data, *where, *flags).out
    assert "too little to see what more would change" in said
    assert comparable(output)["forecast.json"] == comparable(theirs)["forecast/forecast.json"]
    report = Path(artifacts["training_report"].path).read_text()
    assert report.startswith("# Training")
    assert (output / "forecast.md").read_text() in report


@pytest.mark.parametrize("released", [True, False])
def test_only_released_models_are_copied_through_either_door(
    released, component, dataset, source, tmp_path, monkeypatch
):
    monkeypatch.setattr("stt_model.jobs.startup.start_tensorflow", lambda: None)

    class Result:
        comparisons = {}  # noqa: RUF012

        def __init__(self, config):
            self.directory = config.export_dir
            self.directory.mkdir(parents=True)
            (self.directory / "output_graph.tflite").write_text("model")

        def to_markdown(self):
            return "# Export"

        def metrics(self):
            return {}

    import stt_model.export

    monkeypatch.setitem(vars(stt_model.export), "export", Result)
    flags = ("--checkpoint_dir", source, "--export_dir", tmp_path / "out")
    uri = tmp_path / "copied-by-command"
    done("export", *flags, "--released", released, "--export_uri", uri)
    inputs = {"dataset": dataset, "checkpoint": source}
    theirs = tmp_path / "copied-by-component"
    component("model_export", inputs, released=released, export_uri=str(theirs))
    assert uri.exists() is theirs.exists() is released


def test_a_weight_of_zero_is_zero_through_either_door(component, dataset, source, monkeypatch):
    """Components once took 0 for the scorer's own weight."""
    import stt_model.evaluation

    weights = []

    class StopHere(Exception):
        pass

    def look(config):
        weights.append((config.lm_alpha, config.lm_beta))
        raise StopHere

    monkeypatch.setattr("stt_model.jobs.startup.start_tensorflow", lambda: None)
    monkeypatch.setitem(vars(stt_model.evaluation), "evaluate", look)
    flags = ("--checkpoint_dir", source, "--test_files", dataset / "test.csv")
    inputs = {"dataset": dataset, "checkpoint": source}
    with pytest.raises(StopHere):
        call("evaluate", *flags, "--lm_alpha", 0)
    with pytest.raises(StopHere):
        component("evaluation", inputs, lm_alpha="0")
    assert weights == [(0.0, None), (0.0, None)]
