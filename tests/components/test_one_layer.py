"""Each job through the command line and through its component: the same files come out of both."""

import importlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stt_bootstrap.components import COMPONENTS
from stt_bootstrap.demo.corpora import SOURCE_CHECKPOINT
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.cli import node
from stt_model.corpus.source_digest import digest_source
from stt_model.jobs import second_training
from stt_model.jobs.listening import Listener
from stt_model.jobs.pseudo_labels import Threshold
from stt_model.jobs.second_training import MODEL
from stt_model.jobs.trials import Counts
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.text.alphabet_file import write_alphabet
from tests import command_line
from tests.command_line import tree
from tests.corpora import write_tone_dataset
from tests.recordings import SENTENCES, write_recording
from tests.registry_server import RegistryServer, write_export
from tests.stt_model.node_machines import name_clips_from_here
from tests.stt_model.s3_server import S3Server
from tests.stt_model.scorers import needs_flashlight, write_arpa

LETTER_WORDS = {"<unk>": (-9, 0), "<s>": (-9, 0), "</s>": (-1, 0), "ab": (-1, 0), "cd": (-1, 0)}
SETTINGS = {"epochs": 1, "train_batch_size": 4, "dev_batch_size": 4, "learning_rate": 0.001}

WITHOUT_COMMAND = {
    "source_digests": "tells Kubeflow's cache what changed, and no command has such a cache",
    "run_settings": "reads the settings that a command has as flags",
    "refusal": "fails a run whose sources do not fit; commands fail by themselves",
}
"""Components that no command does the job of, and why."""

COMPARED = set()
"""Components that a test below compares with commands."""


def both_doors(**commands):
    """Mark a test that compares each component with the commands, in one text, that do its job.

    The fixtures ``component`` and ``command`` fail a test that does not call what it names.
    """

    def mark(test):
        COMPARED.update(commands)
        test.compares = commands
        return test

    return mark


@dataclass
class Artifact:
    """Stands in for every kind of artifact."""

    path: str
    metadata: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)

    @property
    def uri(self):
        return f"s3://artifacts{self.path}"

    def log_metric(self, name, value):
        self.figures[name] = value

    def log_confusion_matrix(self, categories, matrix):
        self.figures["confusions"] = (categories, matrix)

    def read(self):
        return Path(self.path).read_text(encoding="utf-8")


@pytest.fixture
def component(tmp_path, request):
    """Call a component as Kubeflow's executor does; return its artifacts by name.

    What it returns is there as ``returned``.
    """
    called = set()

    def call_component(name, inputs=None, **parameters):
        module = importlib.import_module(f"stt_bootstrap.components.{name}.component")
        function = getattr(module, name).python_func
        folder = tmp_path / "component" / name
        folder.mkdir(parents=True, exist_ok=True)
        artifacts = defaultdict(dict)
        for each in re.findall(r"(\w+): .*dsl\.Output\[", Path(module.__file__).read_text()):
            artifacts[each] = Artifact(str(folder / each))
        given = {key: Artifact(str(path)) for key, path in (inputs or {}).items()}
        returned = function(**artifacts, **given, **parameters)
        called.add(name)
        return {**artifacts, "returned": returned}

    yield call_component
    assert called == set(getattr(request.function, "compares", called))


@pytest.fixture
def command(request):
    """Run a command, which must succeed; return what it printed."""
    called = set()

    def run(name, *arguments):
        outcome = command_line.call(name, *arguments)
        assert outcome.code == 0, outcome.err
        called.add(name)
        return outcome.out

    yield run
    declared = getattr(request.function, "compares", {})
    assert {name for names in declared.values() for name in names.split()} <= called


def test_every_component_is_compared_with_its_command():
    assert sorted([*COMPARED, *WITHOUT_COMMAND]) == sorted(COMPONENTS)


def test_components_without_a_command_have_a_reason():
    assert not COMPARED & set(WITHOUT_COMMAND)


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


def comparable(folder):
    """Return everything below a folder, without times and places."""
    volatile = (
        "seconds",
        "date",
        "time",
        "command",
        "created",
        "history",
        "train_files",
        "dev_files",
    )
    files = {}
    for name, data in tree(Path(folder)).items():
        if name.endswith(".eaf"):
            # ELAN's files name the time at which they were made, and the folder.
            data = ""
        if name.endswith(".json") and data:
            loaded = json.loads(data)
            if isinstance(loaded, dict):
                loaded = {key: value for key, value in loaded.items() if key not in volatile}
            data = json.dumps(loaded, sort_keys=True)
        files[name] = data
    return files


def split_flags(folder):
    """Return the flags for the three splits of a dataset."""
    return [
        each
        for name in ("train", "dev", "test")
        for each in (f"--{name}_files", f"{folder}/{name}.csv")
    ]


def setting_flags(settings=SETTINGS):
    return [each for name, value in settings.items() for each in (f"--{name}", value)]


def names(folder):
    """Return what lies below a folder, but for TensorBoard's files, whose names hold the time."""
    return sorted(name for name in tree(Path(folder)) if "tfevents" not in name)


@both_doors(dataset_import="import")
def test_import(command, component, dataset, tmp_path):
    out, theirs = tmp_path / "corpus", tmp_path / "theirs"
    flags = ("--speaker_pattern", r"(\d)\.wav$", "--split_by", "text", "--copy_audio")
    printed = command(
        "import", dataset, out, *flags, "--normalise", "en", "--dev_share", 0.2, "--splits", "new"
    )
    artifacts = component(
        "dataset_import",
        source_uri=str(dataset),
        corpus_uri=str(theirs),
        speaker_pattern=r"(\d)\.wav$",
        split_by="text",
        copy_audio=True,
        normalise="en",
        dev_share=0.2,
        splits="new",
    )
    assert comparable(out) == comparable(theirs)
    assert artifacts["import_report"].read() == (out / "report.md").read_text()
    assert artifacts["returned"][0] == str(theirs)
    figures = artifacts["import_metrics"].figures
    assert f"{figures['new']} clips new" in printed
    assert sum(figures[f"{split}_utterances"] for split in ("train", "dev", "test")) == 8


@both_doors(forced_alignment="align")
def test_alignment(command, component, tmp_path):
    (tmp_path / "recordings").mkdir()
    recordings = write_recording(tmp_path / "recordings", SENTENCES[:2], "en-us+m3")
    out, theirs = tmp_path / "clips", tmp_path / "theirs"
    flags = ("--checkpoint_dir", SOURCE_CHECKPOINT, "--normalise", "en", "--longest_clip", 8)
    command("align", recordings, out, *flags)
    artifacts = component(
        "forced_alignment",
        source_uri=str(recordings),
        checkpoint_uri=str(SOURCE_CHECKPOINT),
        clips_uri=str(theirs),
        normalise="en",
        longest_clip=8.0,
    )
    assert artifacts["returned"] == (str(theirs / "clips.csv"),)
    assert comparable(out) == comparable(theirs)
    assert artifacts["alignment_report"].read() == (out / "report.md").read_text()
    rows = (out / "clips.csv").read_text().splitlines()
    assert artifacts["alignment_metrics"].figures["clips"] == len(rows) - 1


@both_doors(dataset_validation="validate")
def test_validation(command, component, dataset, tmp_path):
    command("validate", dataset, "--output", tmp_path / "clean")
    artifacts = component("dataset_validation", dataset_uri=str(dataset))
    assert tree(tmp_path / "clean") == tree(Path(artifacts["clean_dataset"].path))
    assert artifacts["validation_report"].read() == (tmp_path / "clean" / "report.md").read_text()


@both_doors(dataset_packing="pack")
def test_packing(command, component, dataset, tmp_path):
    out, theirs = tmp_path / "packed", tmp_path / "theirs"
    printed = command("pack", dataset, out, "--shard_size", 1)
    inputs = {"dataset": dataset}
    artifacts = component("dataset_packing", inputs, packed_uri=str(theirs), shard_size=1)
    assert artifacts["returned"] == str(theirs)
    assert tree(out) == tree(theirs)
    assert any(name.endswith(".tar") for name in tree(out))
    assert printed.startswith("8 clips packed")


@both_doors(checkpoint_fetch="fetch")
def test_fetch(command, component, source, tmp_path):
    printed = json.loads(command("fetch", source, tmp_path / "fetched"))
    artifacts = component("checkpoint_fetch", checkpoint_uri=str(source))
    assert tree(tmp_path / "fetched") == tree(Path(artifacts["checkpoint"].path))
    assert artifacts["checkpoint"].metadata["sha256"] == printed["sha256"]


@both_doors(alphabet_analysis="alphabet")
def test_decision(command, component, dataset, source, tmp_path):
    flags = ("--checkpoint_dir", source, "--output", tmp_path / "a.txt")
    printed = command("alphabet", *split_flags(dataset), *flags)
    inputs = {"dataset": dataset, "checkpoint": source}
    artifacts = component("alphabet_analysis", inputs)
    assert Path(artifacts["model_alphabet"].path).read_bytes() == (tmp_path / "a.txt").read_bytes()
    assert artifacts["decision_report"].read() in printed


@both_doors(layer_surgery="surgery")
def test_surgery(command, component, source, alphabet, tmp_path):
    flags = ("--load_checkpoint_dir", source, "--save_checkpoint_dir", tmp_path / "grafted")
    command("surgery", *flags, "--alphabet_config_path", alphabet, "--drop_source_layers", 2)
    inputs = {"checkpoint": source, "model_alphabet": alphabet}
    artifacts = component("layer_surgery", inputs, drop_source_layers=2)
    grafted = artifacts["grafted_checkpoint"].path
    assert comparable(tmp_path / "grafted") == comparable(grafted)


@both_doors(source_analysis="validate fetch alphabet surgery")
def test_analysis_of_the_sources(command, component, source, tmp_path):
    """One component does what four commands do, one after the other."""
    dataset = write_tone_dataset(tmp_path / "tones", letters="abcde", train=4, other=2)
    clean, fetched, grafted = (tmp_path / name for name in ("clean", "fetched", "grafted"))
    labels = tmp_path / "alphabet.txt"
    command("validate", dataset, "--output", clean)
    command("fetch", source, fetched)
    decided = command(
        "alphabet", *split_flags(clean), "--checkpoint_dir", fetched, "--output", labels
    )
    flags = ("--load_checkpoint_dir", fetched, "--save_checkpoint_dir", grafted)
    command("surgery", *flags, "--alphabet_config_path", labels, "--drop_source_layers", 2)

    artifacts = component(
        "source_analysis",
        dataset_uri=str(dataset),
        checkpoint_uri=str(source),
        drop_source_layers=2,
    )
    mode, reason = artifacts["returned"]
    assert mode == "transfer"
    assert reason.lower() in decided.lower()
    for name, folder in (("clean_dataset", clean), ("source_checkpoint", fetched)):
        assert tree(Path(artifacts[name].path)) == tree(folder)
    assert comparable(artifacts["grafted_checkpoint"].path) == comparable(grafted)
    assert Path(artifacts["model_alphabet"].path).read_bytes() == labels.read_bytes()
    assert (clean / "report.md").read_text() in artifacts["source_report"].read()


@both_doors(training="train", evaluation="evaluate", model_export="export")
def test_training_evaluation_and_export(command, component, dataset, source, tmp_path):
    """One test, since each takes what the one before made."""
    trained = tmp_path / "trained"
    data = ("--train_files", dataset / "train.csv", "--dev_files", dataset / "dev.csv")
    where = ("--load_checkpoint_dir", source, "--save_checkpoint_dir", trained)
    command("train", *data, *where, *setting_flags())
    inputs = {"dataset": dataset, "checkpoint": source}
    inputs["model_alphabet"] = source / "alphabet.txt"
    artifacts = component("training", inputs, **SETTINGS)
    theirs = Path(artifacts["trained_checkpoint"].path)
    assert open_checkpoint(trained).digest() == open_checkpoint(theirs).digest()
    assert names(trained) == names(theirs)

    samples = tmp_path / "samples.json"
    tested = ("--checkpoint_dir", trained, "--test_files", dataset / "test.csv")
    command("evaluate", *tested, "--test_output_file", samples, "--source_checkpoint_dir", source)
    inputs = {"dataset": dataset, "checkpoint": trained, "source_checkpoint": source}
    artifacts = component("evaluation", inputs)
    assert json.loads(samples.read_text()) == json.loads(artifacts["transcribed_samples"].read())

    exported = tmp_path / "exported"
    card = ("--export_author_id", "us", "--export_language", "sw")
    command("export", *tested, "--export_dir", exported, *card)
    inputs = {"dataset": dataset, "checkpoint": trained}
    artifacts = component("model_export", inputs, export_author_id="us", export_language="sw")
    theirs = Path(artifacts["exported_model"].path)
    assert sorted(tree(exported)) == sorted(tree(theirs))
    models = [folder / "output_graph.tflite" for folder in (exported, theirs)]
    assert models[0].read_bytes() == models[1].read_bytes()


@both_doors(distributed_training="train")
def test_training_on_nodes(command, component, source, tmp_path, monkeypatch):
    """The cluster is played by this process, which runs the command of a node."""
    dataset = write_tone_dataset(tmp_path / "tones", train=4, other=2)
    trained = tmp_path / "trained"
    data = ("--train_files", dataset / "train.csv", "--dev_files", dataset / "dev.csv")
    where = ("--load_checkpoint_dir", source, "--save_checkpoint_dir", trained)
    command("train", *data, *where, *setting_flags())

    made = []

    class Cluster:
        def queue_of(self, owner):
            return ""

    def train_on_nodes(cluster, body):
        made.append(body)
        assert node.main(body["spec"]["trainer"]["args"]) == 0

    task = importlib.import_module("stt_bootstrap.components.distributed_training.task")
    monkeypatch.setattr(task.TrainJobs, "around_this_pod", Cluster)
    monkeypatch.setattr(task.Owner, "from_environment", lambda environ: task.Owner("step", "uid"))
    monkeypatch.setattr(task, "train_on_nodes", train_on_nodes)
    server = S3Server(tmp_path / "s3")
    server.remembers_folders_for = "1m"
    (server.folder / "speech").mkdir(parents=True)
    for name, value in {**server.environment, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    inputs = {"dataset": name_clips_from_here(dataset), "checkpoint": source}
    inputs["model_alphabet"] = source / "alphabet.txt"
    with server:
        artifacts = component(
            "distributed_training", inputs, run_state_uri="s3://speech/runs", nodes=2, **SETTINGS
        )
    assert len(made) == 1
    theirs = Path(artifacts["trained_checkpoint"].path)
    assert open_checkpoint(trained).digest() == open_checkpoint(theirs).digest()
    assert names(trained) == names(theirs)


@needs_flashlight
@both_doors(training="train")
def test_training_with_recordings_and_a_scorer(command, component, source, tmp_path, monkeypatch):
    """The model knows next to nothing: it is made sure, and the second model better."""
    used, learnt = [], tmp_path / "learnt"
    dataset = write_tone_dataset(tmp_path / "tones", train=4, other=30)
    recordings = write_tone_dataset(tmp_path / "more", letters="dcba", train=12, other=1)

    class Sure(Listener):
        def __init__(self, model, scorer=None, **decoding):
            used.append(scorer)
            super().__init__(model, scorer, **decoding)

        def hear(self, clips):
            return [each._replace(text="ab cd") for each in super().hear(clips)]

    def count(model, _):
        errors = [int(Path(model).name != MODEL)] * 30
        return Counts(errors, [2] * 30, errors, [5] * 30)

    monkeypatch.setattr(second_training, "Listener", Sure)
    monkeypatch.setattr(second_training, "measure_threshold", lambda *_: Threshold(1e9, 30, 0.01))
    monkeypatch.setattr(second_training, "test_model", count)
    scorer = write_arpa(tmp_path / "words.arpa", LETTER_WORDS, {("<s>", "ab"): -1})
    clips = recordings / "train-clips"
    data = split_flags(dataset)[:4]
    where = ("--load_checkpoint_dir", source, "--save_checkpoint_dir", learnt)
    more = ("--unlabelled_uri", clips, "--scorer_path", scorer)
    printed = command("train", *data, *where, *more, *setting_flags())
    assert "Second model kept" in printed
    inputs = {"dataset": dataset, "checkpoint": source}
    inputs["model_alphabet"] = source / "alphabet.txt"
    digests = {"unlabelled_digest": digest_source(str(clips))}
    digests["scorer_digest"] = digest_source(str(scorer))
    further = {"unlabelled_uri": str(clips), "scorer_uri": str(scorer)}
    artifacts = component("training", inputs, **further, **digests, **SETTINGS)
    theirs = Path(artifacts["trained_checkpoint"].path)
    assert used == [scorer, scorer]
    assert open_checkpoint(learnt).digest() == open_checkpoint(theirs).digest()
    lineages = [json.loads((each / "lineage.json").read_text()) for each in (learnt, theirs)]
    assert lineages[0]["pseudo_labels"] == lineages[1]["pseudo_labels"]
    assert lineages[1]["pseudo_labels"]["scorer_digest"] == digests["scorer_digest"]


def test_a_scorer_without_recordings_is_not_opened(component, dataset, source):
    """Training alone uses none; the pipeline hands it on in any case."""
    inputs = {"dataset": dataset, "checkpoint": source}
    inputs["model_alphabet"] = source / "alphabet.txt"
    component("training", inputs, scorer_uri="/nowhere/words.scorer", **SETTINGS)


@both_doors(training="forecast")
def test_forecast(command, component, dataset, source, tmp_path):
    inputs = {"dataset": dataset, "checkpoint": source}
    inputs["model_alphabet"] = source / "alphabet.txt"
    artifacts = component("training", inputs, forecast=True, **SETTINGS)
    theirs = Path(artifacts["trained_checkpoint"].path)
    output = tmp_path / "forecast"
    where = ("--load_checkpoint_dir", source, "--model", theirs, "--output", output)
    printed = command("forecast", *split_flags(dataset), *where, *setting_flags())
    assert "too little to see what more would change" in printed
    assert comparable(output)["forecast.json"] == comparable(theirs)["forecast/forecast.json"]
    report = artifacts["training_report"].read()
    assert report.startswith("# Training")
    assert (output / "forecast.md").read_text() in report


@both_doors(
    sweep_preparation="sweep", sweep_member="sweep", sweep_choice="sweep", sweep_winner="sweep"
)
def test_sweep(command, component, dataset, source, tmp_path):
    """Four components do, in the order of the pipeline, what one command does."""
    out, kept = tmp_path / "out", str(tmp_path / "kept")
    same = {"epochs": 2, "train_batch_size": 4, "augment": "none"}
    tried = ("--drop_source_layers", "1..2", "--learning_rate", 0.01, "--rungs", 1)
    printed = command(
        "sweep", dataset, "--sources", source, "--output", out, *tried, *setting_flags(same)
    )
    artifacts = component(
        "sweep_preparation",
        dataset_uri=str(dataset),
        checkpoint_uris=[str(source)],
        drop_depths="1..2",
        learning_rates="0.01",
        **{name: str(value) for name, value in same.items()},
    )
    prepared = {"prepared": artifacts["prepared"].path}
    (members,) = artifacts["returned"]
    assert len(members) == 2
    for member in members:
        component("sweep_member", prepared, member=member, sweep_uri=kept, rung=1)
    (left,) = component("sweep_choice", prepared, members=members, rung=1, sweep_uri=kept)[
        "returned"
    ]
    assert len(left) == 1
    component("sweep_member", prepared, member=left[0], sweep_uri=kept)
    # No training was stopped at the second rung: it comes after their end.
    artifacts = component(
        "sweep_winner", prepared, finished=left, sweep_uri=kept, first_rung=1, second_rung=9
    )
    model, export = (
        Path(re.search(rf"^{each}: (.+)$", printed, re.MULTILINE)[1])
        for each in ("model", "export")
    )
    theirs = Path(artifacts["trained_checkpoint"].path)
    assert open_checkpoint(model).digest() == open_checkpoint(theirs).digest()
    (page,) = out.glob("leaderboard-*.html")
    assert page.read_text() == artifacts["leaderboard"].read()
    exports = [
        folder / "output_graph.tflite" for folder in (export, theirs.parent / "exported_model")
    ]
    assert exports[0].read_bytes() == exports[1].read_bytes()


@both_doors(model_registration="register")
def test_registration(command, component, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    export = write_export(tmp_path / "export")
    uri = "s3://speech/models/swahili"
    registered = []
    with RegistryServer() as server:
        printed = command(
            "register", export, server.address, "--model_uri", uri, "--wer", 0.25, "--cer", 0.1
        )
        registered.append((server.models, server.versions, server.places))
    with RegistryServer() as server:
        model, version = component(
            "model_registration",
            {"exported_model": export},
            registry_url=server.address,
            model_uri=uri,
            wer=0.25,
            cer=0.1,
        )["returned"]
        registered.append((server.models, server.versions, server.places))
    assert registered[0] == registered[1]
    assert printed == f"registered: {model} {version} at {uri}\n"


def test_a_model_that_is_not_released_is_not_registered_through_either_door(
    command, component, tmp_path
):
    export = write_export(tmp_path / "export")
    nowhere = "http://127.0.0.1:9"
    flags = ("--model_uri", "s3://speech/models/swahili", "--released", "false")
    assert command("register", export, nowhere, *flags).startswith("not registered")
    inputs = {"exported_model": export}
    artifacts = component("model_registration", inputs, registry_url=nowhere, released=False)
    assert artifacts["returned"] == ("", "")


@pytest.mark.parametrize("released", [True, False])
def test_only_released_models_are_copied_through_either_door(
    released, command, component, dataset, source, tmp_path, monkeypatch
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
    command("export", *flags, "--released", released, "--export_uri", uri)
    inputs = {"dataset": dataset, "checkpoint": source}
    theirs = tmp_path / "copied-by-component"
    component("model_export", inputs, released=released, export_uri=str(theirs))
    assert uri.exists() is theirs.exists() is released


def test_a_weight_of_zero_is_zero_through_either_door(
    command, component, dataset, source, monkeypatch
):
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
        command("evaluate", *flags, "--lm_alpha", 0)
    with pytest.raises(StopHere):
        component("evaluation", inputs, lm_alpha="0")
    assert weights == [(0.0, None), (0.0, None)]
