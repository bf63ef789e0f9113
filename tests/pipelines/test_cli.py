"""The whole program as it is installed, and the commands that need Kubeflow."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stt_bootstrap.pipelines import local
from stt_model.corpus import find_splits, read_manifest
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.text.alphabet_file import write_alphabet
from tests.command_line import call, tree
from tests.corpora import write_tone_dataset

ROOT = Path(__file__).parents[2]
COQUI = ROOT / "tests" / "golden" / "checkpoints" / "alphabet"
PROGRAM = Path(sys.executable).with_name("stt-bootstrap")
HEAVY = {"tensorflow", "keras", "kfp", "numpy", "matplotlib", "soundfile", "requests"}


def start(*arguments, **settings):
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=60, **settings
    )


def test_help_is_there_in_under_half_a_second():
    seconds = []
    for _ in range(5):
        started = time.monotonic()
        done = start("--help")
        seconds.append(time.monotonic() - started)
        assert done.returncode == 0
        assert done.stdout.startswith("usage: stt-bootstrap ")
        assert not done.stderr
    assert min(seconds) < 0.5


@pytest.mark.parametrize("command", [(), ("train",), ("run",)])
def test_help_imports_nothing_heavy(command):
    script = "import sys; from pipelines.cli import main\n"
    script += "try: main(sys.argv[1:])\n"
    script += "finally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script, *command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    modules = set(done.stderr.split())
    assert "stt_model.cli.parser" in modules
    assert not modules & HEAVY


def test_errors_of_the_installed_program(tmp_path):
    done = start("inspect", "gone", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: gone: no such checkpoint directory\n"
    assert start("inspect").returncode == 2
    debugged = start("inspect", "gone", "--debug", cwd=tmp_path)
    assert debugged.returncode == 1
    assert debugged.stderr.startswith("Traceback")


def test_notices_come_before_the_error(tmp_path):
    flags = ("--train_cudnn", "--checkpoint_dir", "gone", "--train_files", "gone.csv")
    done = start("train", *flags, cwd=tmp_path)
    notice, error = done.stderr.splitlines()
    assert "--train_cudnn has no effect" in notice
    assert error.startswith(f"error: {tmp_path}/gone.csv: expected a readable file")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_tone_dataset(tmp_path_factory.mktemp("dataset"), train=2, other=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset_uri": "{here}/gone"}, "{here}/gone: expected a folder with train.csv and dev."),
        ({"dataset_uri": "s3://bucket/corpus"}, "AWS_ACCESS_KEY_ID is not set; s3:// needs it in"),
        ({"dataset_uri": "{here}"}, "{here}: expected train.csv and dev.csv, found no CSV file"),
        ({"checkpoint_uri": "{here}/gone"}, "--checkpoint_uri: {here}/gone: no such file or fold"),
        ({"checkpoint_uri": "s3://bucket/c.zip"}, "--checkpoint_uri: AWS_ACCESS_KEY_ID is not"),
        ({"checkpoint_uri": "ftp://host/c.zip"}, "ftp://host/c.zip: unknown scheme ftp://"),
        ({"alphabet_uri": "{here}/gone.txt"}, "{here}/gone.txt: cannot be read"),
        ({"output": "{here}/file"}, "{here}/file: expected a folder, found a file"),
    ],
)
def test_a_run_that_cannot_work_leaves_no_trace(dataset, tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(local, "run", lambda *_, **__: pytest.fail("a run was begun"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    (tmp_path / "file").touch()
    flags = {"dataset_uri": dataset, "checkpoint_uri": COQUI, "output": tmp_path / "out"}
    flags |= {name: value.format(here=tmp_path) for name, value in changes.items()}
    before = tree(tmp_path)
    outcome = call("run", *(word for name, value in flags.items() for word in (f"--{name}", value)))
    assert outcome.code == 1
    assert message.format(here=tmp_path) in outcome.error
    assert tree(tmp_path) == before


@pytest.fixture
def run(monkeypatch, dataset, tmp_path):
    """Call ``run`` with an outcome in place of the pipeline; return that of the command too."""

    def call_run(outcome, *flags):
        asked = []

        def pretend(parameters, **settings):
            asked.append((parameters, settings))
            return outcome

        monkeypatch.setattr(local, "run", pretend)
        folder = ("--output", tmp_path / "out")
        needed = ("--dataset_uri", dataset, "--checkpoint_uri", COQUI, *folder)
        called = call("run", *needed, *flags)
        return called, *(asked[0] if asked else (None, None))

    return call_run


def outcome_of_run(folder, **changes):
    values = {
        "errors": (),
        "tasks": ("training",),
        "mode": "fine-tune",
        "reason": "every character is a label",
        "wer": 0.25,
        "cer": 0.125,
        "passed": True,
        "gate": "no gate was set",
        "verdict": "good: WER 25.0%",
        "export": folder / "export",
        "package": folder / "export.zip",
        "model": folder / "model",
        "samples": folder / "samples.json",
        "reports": {"training": folder / "reports" / "training.md"},
        "page": folder / "report.html",
        "suspects": None,
        "run_dir": folder / "runs" / "1",
    }
    return local.RunOutcome(**{**values, **changes})


def test_run_hands_on_its_flags_and_shows_the_outcome(run, dataset, tmp_path):
    write_alphabet(CharacterAlphabet("ab"), tmp_path / "alphabet.txt")
    flags = ("--epochs", 3, "--warm_start", "no", "--learning_rate", "1e-3", "--verbose")
    flags += ("--alphabet_uri", tmp_path / "alphabet.txt", "--mode", "transfer")
    outcome, parameters, settings = run(outcome_of_run(tmp_path), *flags)
    assert outcome.code == 0
    assert not outcome.err
    assert outcome.out.splitlines() == [
        "mode: fine-tune (every character is a label)",
        f"report of training: {tmp_path}/reports/training.md",
        f"page on the evaluation: {tmp_path}/report.html",
        f"model: {tmp_path}/model",
        f"export: {tmp_path}/export, the same in a zip: {tmp_path}/export.zip",
        f"WER 0.2500, CER 0.1250; samples: {tmp_path}/samples.json",
        "released: yes",
        "verdict: good: WER 25.0%",
    ]
    assert parameters["dataset_uri"] == str(dataset)
    assert (parameters["epochs"], parameters["learning_rate"]) == ("3", "1e-3")
    assert (parameters["warm_start"], parameters["strict_validation"]) == (False, False)
    assert parameters["mode"] == "transfer"
    assert settings == {"output_dir": tmp_path / "out", "runner": "subprocess", "verbose": True}


def test_one_manifest_is_divided_where_shares_are_given(run, tmp_path):
    single = write_tone_dataset(tmp_path / "single", train=20, other=1)
    for name in ("dev.csv", "test.csv"):
        (single / name).unlink()
    flags = ("--dataset_uri", single, "--dev_share", 0.2, "--test_share", 0.2)
    for _ in range(2):
        outcome, parameters, _ = run(outcome_of_run(tmp_path), *flags)
        assert outcome.code == 0, outcome.err
        divided = find_splits(parameters["dataset_uri"])
        counts = {split: len(read_manifest(path)) for split, path in divided.items()}
        assert sum(counts.values()) == 20
        assert counts["train"] > counts["dev"] > 1
        assert counts["test"] > 1


def put(folder, *names):
    """Write files, and folders where a name ends in a slash."""
    for name in names:
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text("mine", encoding="utf-8")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["notes.txt"], "found notes.txt;"),
        (["src/code.py", "runs/events.out"], "found runs and 1 more;"),
        (["runs/today/logs/"], "found runs;"),
        (["corpus/train.csv", "corpus/clips/a.wav"], "found corpus;"),
        (["model/"], "found model;"),
    ],
)
def test_a_run_refuses_a_folder_of_something_else(run, tmp_path, names, found):
    put(tmp_path / "out", *names)
    before = tree(tmp_path)
    outcome, begun, _ = run(outcome_of_run(tmp_path))
    assert (outcome.code, begun) == (1, None)
    assert "or that of earlier runs" in outcome.error and found in outcome.error
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "names",
    [
        [],
        [".DS_Store", "lost+found/"],
        ["runs/20260101-000000-ab/tasks/", "runs/20260101-000000-ab/logs/", "my notes.txt"],
        ["corpus/train.csv", "corpus/dev.csv"],
    ],
)
def test_a_run_goes_on_in_a_folder_of_runs_or_an_empty_one(run, tmp_path, names):
    put(tmp_path / "out", *names)
    assert run(outcome_of_run(tmp_path))[0].code == 0


@pytest.mark.parametrize(
    ("what", "flags", "message"),
    [
        ("single", (), "found only train.csv; to divide it, with no text and no speaker in"),
        ("single/train.csv", (), "found only train.csv"),
        ("whole", ("--dev_share", 0.2), "--dev_share: expected one CSV file to divide"),
        (
            "corpus.zip",
            (),
            "corpus.zip: expected a folder with train.csv, dev.csv and test.csv, or",
        ),
        ("corpus.zip", ("--dev_share", 0.2), "stt-bootstrap import "),
    ],
)
def test_a_dataset_that_cannot_be_divided_so_says_what_to_do(
    dataset, tmp_path, monkeypatch, what, flags, message
):
    monkeypatch.setattr(local, "run", lambda *_, **__: pytest.fail("a run was begun"))
    write_tone_dataset(tmp_path / "whole", train=2, other=1)
    (tmp_path / "single").mkdir()
    (tmp_path / "corpus.zip").write_bytes(b"PK")
    shutil.copy(tmp_path / "whole" / "train.csv", tmp_path / "single")
    needed = ("--checkpoint_uri", COQUI, "--output", tmp_path / "out")
    outcome = call("run", "--dataset_uri", tmp_path / what, *needed, *flags)
    assert (outcome.code, message in outcome.error) == (1, True), outcome.err
    assert not (tmp_path / "out").exists()


def test_splits_of_other_clips_are_not_taken(run, tmp_path):
    flags = ("--dev_share", 0.2, "--test_share", 0.2)
    for number, letters in enumerate(("abcd", "efgh")):
        single = write_tone_dataset(tmp_path / letters, letters, train=20, other=1)
        called = run(outcome_of_run(tmp_path), "--dataset_uri", single / "train.csv", *flags)[0]
        assert called.code == number
    assert "expected the splits of" in called.error


def test_a_failed_run_says_why_and_where_its_logs_are(run, tmp_path):
    nothing = dict.fromkeys(("wer", "cer", "model", "samples", "page"))
    failed = outcome_of_run(tmp_path, errors=("training: no data",), **nothing)
    outcome, _, _ = run(failed)
    assert outcome.code == 1
    assert outcome.error == f"training: no data (logs: {tmp_path}/runs/1/logs)"


def test_compile_writes_what_is_committed(tmp_path):
    outcome = call("compile", "--output", tmp_path)
    assert outcome.code == 0
    written = {Path(line).relative_to(tmp_path) for line in outcome.out.splitlines()}
    assert Path("pipelines/bootstrap.yaml") in written
    assert written == {path.relative_to(tmp_path) for path in tmp_path.rglob("*.yaml")}
    for path in written:
        assert (tmp_path / path).read_bytes() == (ROOT / path).read_bytes()


def test_compile_for_another_registry(tmp_path):
    call("compile", "--output", tmp_path, "--registry", "registry.example.org/a", "--tag", "7")
    package = (tmp_path / "pipelines" / "bootstrap.yaml").read_text(encoding="utf-8")
    assert "registry.example.org/a/light:7" in package


def test_an_interrupted_run_ends_at_once(dataset, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "run", interrupt)
    folder = ("--output", tmp_path / "out")
    outcome = call("run", "--dataset_uri", dataset, "--checkpoint_uri", COQUI, *folder)
    assert (outcome.code, outcome.error) == (130, "interrupted")
