import inspect

import pytest

import stt_model
from stt_model import jobs
from stt_model.base.errors import (
    AlphabetError,
    BootstrapError,
    DataError,
    RefusedError,
    ValidationError,
)
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.corpus.manifests import find_splits
from stt_model.text.alphabet import BytesAlphabet, CharacterAlphabet
from stt_model.text.alphabet_file import read_alphabet, write_alphabet
from tests.command_line import tree
from tests.corpora import write_tone_dataset

TRAINING = {
    "epochs": 1,
    "train_batch_size": 4,
    "dev_batch_size": 4,
    "learning_rate": 0.001,
    "dropout_rate": 0.0,
    "random_seed": 1,
}


def write_source(directory, alphabet):
    geometry = Geometry(n_hidden=8, n_classes=alphabet.classes)
    write_checkpoint(directory, initialise(geometry, seed=1), alphabet, step=7)
    return directory


@pytest.fixture
def dataset(tmp_path):
    return write_tone_dataset(tmp_path / "tones", train=4, other=2)


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "source", CharacterAlphabet(" abcd"))


@pytest.fixture
def given(tmp_path):
    """Write an alphabet file of these labels."""

    def write(labels):
        write_alphabet(CharacterAlphabet(labels), tmp_path / "given.txt")
        return tmp_path / "given.txt"

    return write


@pytest.fixture
def decide(dataset, tmp_path):
    """Analyse a checkpoint; the files are ``alphabet.txt`` and ``decision.md``."""

    def decide(checkpoint, **options):
        files = (tmp_path / "alphabet.txt", tmp_path / "decision.md")
        return jobs.analyse_alphabet(dataset, checkpoint, *files, **options)

    return decide


@pytest.fixture
def train(dataset):
    """Train as the component does: labels in the order of an alphabet file."""

    def train(source, alphabet, out, **options):
        splits = find_splits(dataset)
        return jobs.train(
            [splits["train"]],
            [splits["dev"]],
            load_checkpoint_dir=source,
            save_checkpoint_dir=out,
            alphabet=jobs.read_model_alphabet(alphabet),
            **{**TRAINING, **options},
        )

    return train


def test_validation_leaves_clean_manifests_a_report_and_counts(dataset, tmp_path):
    result = jobs.validate(dataset, tmp_path / "clean", report=tmp_path / "report.md")
    counts = result.metrics()
    assert counts["train_utterances"] == 4
    assert counts["test_rejected"] == 0
    assert (tmp_path / "clean" / "train.csv").is_file()
    assert (tmp_path / "report.md").read_text() == (tmp_path / "clean" / "report.md").read_text()


def test_strict_validation_fails_and_leaves_its_report(dataset, tmp_path):
    (dataset / "train-clips" / "1.wav").unlink()
    report = tmp_path / "report.md"
    with pytest.raises(ValidationError, match=r"train\.csv, row 1"):
        jobs.validate(dataset, tmp_path / "clean", report=report, strict=True)
    assert "1.wav" in report.read_text()


def test_validation_does_not_replace_a_corpus(tmp_path):
    dataset = write_tone_dataset(tmp_path / "tones", train=4, other=2)
    before = tree(dataset)
    with pytest.raises(DataError, match=r"tones: expected a folder without a corpus.*train.csv"):
        jobs.validate(dataset, dataset)
    assert tree(dataset) == before
    for _ in range(2):
        jobs.validate(dataset, tmp_path / "clean")
    imported = tmp_path / "imported"
    jobs.import_dataset(str(dataset), str(imported))
    with pytest.raises(DataError, match=r"imported: expected a folder without a corpus"):
        jobs.validate(dataset, imported)


def test_fetched_checkpoint_is_described(source, tmp_path):
    fetched = jobs.fetch(source, tmp_path / "fetched", report=tmp_path / "report.md")
    assert open_checkpoint(tmp_path / "fetched").step == 7
    assert fetched.metadata["sha256"] == fetched.sha256
    assert fetched.metadata["n_hidden"] == 8
    assert fetched.metadata["labels"] == 5
    assert fetched.sha256 in (tmp_path / "report.md").read_text()


def test_fetching_something_else_than_a_checkpoint_fails(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BootstrapError):
        jobs.fetch(tmp_path / "empty", tmp_path / "out")


def test_a_refusal_keeps_its_evidence(tmp_path, decide):
    decision = decide(write_source(tmp_path / "other", CharacterAlphabet("xyz")), mode="fine-tune")
    assert decision.mode == "refuse"
    assert "was asked for, but" in (tmp_path / "decision.md").read_text()


def test_an_unknown_mode_is_refused_with_what_is_allowed(source, decide):
    decision = decide(source, mode="finetune")
    assert decision.mode == "refuse"
    assert "auto, fine-tune, transfer" in decision.reason


def test_given_alphabet_may_be_a_file_uri(source, given, decide, tmp_path):
    decision = decide(source, alphabet_uri=given("dcba ").as_uri())
    assert decision.mode == "fine-tune"
    assert read_alphabet(tmp_path / "alphabet.txt").labels == tuple("dcba ")


def test_missing_alphabet_file_is_an_error(source, decide):
    with pytest.raises(AlphabetError, match="nowhere"):
        decide(source, alphabet_uri="/nowhere/alphabet.txt")


def test_bytes_mode_passes_from_the_decision_to_training(train, decide, tmp_path):
    source = write_source(tmp_path / "bytes", BytesAlphabet())
    assert decide(source).mode == "fine-tune"
    out = tmp_path / "out"
    train(source, tmp_path / "alphabet.txt", out)
    assert open_checkpoint(out).alphabet == BytesAlphabet()


def test_training_follows_the_order_of_the_labels(train, source, given, tmp_path):
    out, report = tmp_path / "out", tmp_path / "training.md"
    figures = train(source, given("dcba "), out, report=report).metrics()
    assert open_checkpoint(out).alphabet.labels == tuple("dcba ")
    assert figures["epochs"] == 1
    assert report.read_text().startswith("# Training")


def test_training_refuses_other_labels(train, source, given, tmp_path):
    with pytest.raises(BootstrapError):
        train(source, given("abcx "), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_test_split_the_report_says_what_was_measured(dataset, source, tmp_path):
    (dataset / "test.csv").unlink()
    test_files, note = jobs.test_split(find_splits(dataset))
    result = jobs.evaluate(
        test_files,
        source,
        test_batch_size=4,
        note=note,
        test_output_file=tmp_path / "samples.json",
        report=tmp_path / "report.md",
        html_report=tmp_path / "report.html",
    )
    for report in (tmp_path / "report.md", tmp_path / "report.html"):
        assert "no test split" in report.read_text(encoding="utf-8")
    assert {sample.wav_filename.split("/")[-2] for sample in result.samples} == {"dev-clips"}
    assert (tmp_path / "samples.json").is_file()


def test_refusal():
    with pytest.raises(RefusedError, match=r"^not allowed$"):
        jobs.refuse("not allowed")


def test_the_public_functions_take_paths_as_text():
    functions = [getattr(stt_model, name) for name in stt_model.__all__]
    public = [each for each in functions if inspect.isfunction(each)]
    assert jobs.evaluate in public
    for function in public:
        if function.__module__.startswith("stt_model.jobs"):
            for name, parameter in inspect.signature(function).parameters.items():
                kind = str(parameter.annotation)
                assert "Path" not in kind or "str" in kind, (function.__name__, name, kind)
