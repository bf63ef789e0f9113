"""Runs that outlive the machine that they are on."""

import dataclasses
import hashlib
import json

import pytest

from stt_bootstrap.components.training.component import training
from stt_model import jobs
from stt_model.base.errors import StoppedError, StorageError, TrainingError
from stt_model.corpus.manifests import find_splits
from stt_model.storage.object_store import ObjectStore
from stt_model.training.learner import Learner
from stt_model.training.run_store import (
    RUN_ID_VARIABLE,
    RunStore,
    bring_run,
    of_this_run,
    run_folder,
)
from tests.corpora import write_tone_dataset
from tests.stt_model.s3_server import S3Server
from tests.stt_model.training_runs import content

URI = "s3://speech/runs/1"
SETTINGS = {
    "epochs": 2,
    "train_batch_size": 3,
    "dev_batch_size": 2,
    "learning_rate": 0.002,
    "dropout_rate": 0.2,
    "random_seed": 1,
}


@pytest.mark.parametrize(
    ("uri", "run_id", "expected"),
    [
        ("s3://speech/runs", "run-1", "s3://speech/runs/run-1"),
        ("s3://speech/runs/", "run-1", "s3://speech/runs/run-1"),
        ("s3://speech/runs", "", "s3://speech/runs"),
        ("", "run-1", ""),
    ],
)
def test_each_run_that_has_a_name_has_its_own_folder(uri, run_id, expected):
    assert of_this_run(uri, {RUN_ID_VARIABLE: run_id}) == expected


class PowerCutError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.remembers_folders_for = "1m"
    (server.folder / "speech").mkdir()
    with server as running:
        yield running


@pytest.fixture
def store(server, monkeypatch):
    """An empty store, which the environment leads to."""
    for name, value in {**server.environment, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    found = ObjectStore.from_environment()
    for each in list(found.list("s3://speech")):
        found.remove(each.uri)
    return found


def fill(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def texts(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def names(store):
    return [each.key for each in store.list(URI)]


def test_only_the_last_save_is_restored_and_kept(store, tmp_path):
    kept = RunStore(store, URI, tmp_path / "here")
    kept.restore()
    fill(tmp_path / "here", same="1", old="2", changed="3")
    kept.save()
    (tmp_path / "here" / "old").unlink()
    fill(tmp_path / "here", changed="4", **{".writing": "5"})
    kept.save()
    RunStore(store, URI, tmp_path / "there").restore()
    assert texts(tmp_path / "there") == {"same": "1", "changed": "4"}
    assert len(names(store)) == 1 + 4


def test_a_save_that_is_broken_off_leaves_the_one_before(store, tmp_path, monkeypatch):
    kept = RunStore(store, URI, tmp_path / "here")
    fill(tmp_path / "here", a="1", b="2")
    kept.save()
    fill(tmp_path / "here", a="3", b="4")
    upload = ObjectStore.upload

    def upload_until_the_index(store, path, uri):
        if "/run-" in uri:
            raise PowerCutError
        upload(store, path, uri)

    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr(ObjectStore, "upload", upload_until_the_index)
        kept.save()
    there = RunStore(store, URI, tmp_path / "there")
    there.restore()
    assert texts(tmp_path / "there") == {"a": "1", "b": "2"}
    there.save()
    assert len(names(store)) == 4


def test_of_two_processes_the_later_one_has_the_run(store, tmp_path):
    fill(tmp_path, a="1")
    first, second = RunStore(store, URI, tmp_path), RunStore(store, URI, tmp_path)
    first.save()
    second.restore()
    before = names(store)
    with pytest.raises(TrainingError, match=f"{URI}: another process has taken over this run"):
        first.save()
    assert names(store) == before
    second.save()
    assert len(names(store)) == 3


def test_a_save_of_a_version_without_claims_is_restored(store, tmp_path):
    digest = hashlib.sha256(b"1").hexdigest()
    fill(tmp_path / "old", a="1", index=json.dumps({"format": 1, "files": {"a": digest}}))
    store.upload(tmp_path / "old" / "a", f"{URI}/files/{digest}")
    store.upload(tmp_path / "old" / "index", f"{URI}/run.json")
    store.upload(tmp_path / "old" / "a", f"{URI}/another-run/files/{digest}")
    kept = RunStore(store, URI, tmp_path / "here")
    kept.restore()
    assert texts(tmp_path / "here") == {"a": "1"}
    kept.save()
    assert f"runs/1/files/{digest}" not in names(store)
    assert f"runs/1/another-run/files/{digest}" in names(store)


@pytest.mark.parametrize(
    "text", ["no JSON", '{"format": 2}', '{"format": 1, "files": {"../out": "x"}}']
)
def test_a_damaged_copy_is_one_line(store, tmp_path, text):
    fill(tmp_path, index=text)
    store.upload(tmp_path / "index", f"{URI}/run.json")
    with pytest.raises(TrainingError, match=r"run\.json: expected what training saved of a run"):
        RunStore(store, URI, tmp_path / "there").restore()
    assert not (tmp_path / "there").exists()


def test_a_place_that_cannot_be_written_to_is_one_line(tmp_path):
    with (
        pytest.raises(StorageError, match="expected a path or file://"),
        run_folder("https://example.org/run", tmp_path),
    ):
        pass


@pytest.fixture(scope="module")
def train(dataset, source, tmp_path_factory):
    """Train as a pod does, whose folder is new each time; return that folder."""

    def train(uri="", **changes):
        pod = tmp_path_factory.mktemp("pod")
        splits = find_splits(dataset)
        jobs.train(
            [splits["train"]],
            [splits["dev"]],
            load_checkpoint_dir=source,
            save_checkpoint_dir=pod / "trained",
            run_state_uri=uri,
            **{**SETTINGS, **changes},
        )
        return pod / "trained"

    return train


@pytest.fixture(scope="module")
def whole(train):
    return train()


@pytest.mark.parametrize("kept_in", ["object store", "volume"])
def test_a_run_goes_on_in_another_pod(store, train, whole, kept_in, tmp_path, monkeypatch):
    uri = URI if kept_in == "object store" else (tmp_path / "run").as_uri()
    step = Learner.train_step
    taken = []

    def cut_at_the_fifth(learner, batch):
        taken.append(batch)
        if len(taken) == 5:
            raise PowerCutError
        return step(learner, batch)

    monkeypatch.setattr(Learner, "train_step", cut_at_the_fifth)
    with pytest.raises(PowerCutError):
        train(uri)
    resumed = train(uri)
    assert len(taken) == 5 + 3
    for which in ("best", "last"):
        assert content(resumed, which) == content(whole, which)
    assert json.loads((resumed / "lineage.json").read_text())["history"][-1]["number"] == 2
    with pytest.raises(TrainingError, match=r"--learning_rate was 0\.002, is 0\.1"):
        train(uri, learning_rate=0.1)


def test_the_component_says_again_when_it_is_stopped(monkeypatch, tmp_path, capsys):
    @dataclasses.dataclass
    class Artifact:
        path: str

    def stopped(*_, **__):
        raise StoppedError("stopped by SIGTERM and saved")

    monkeypatch.setitem(vars(jobs), "train_and_forecast", stopped)
    monkeypatch.setattr("stt_model.jobs.read_model_alphabet", lambda path: None)
    write_tone_dataset(tmp_path / "dataset", train=1, other=1)
    places = ("dataset", "checkpoint", "model_alphabet", "trained_checkpoint")
    places += ("training_report", "training_metrics")
    with pytest.raises(SystemExit) as ended:
        training.python_func(**{name: Artifact(str(tmp_path / name)) for name in places})
    assert ended.value.code == 75
    assert capsys.readouterr().err == "stopped by SIGTERM and saved\n"


def test_a_worker_that_does_not_write_takes_no_run_over(store, tmp_path):
    """Of several workers the first keeps the run; the others begin where it stands."""
    first = RunStore(ObjectStore.from_environment(), URI, tmp_path / "first")
    first.restore()
    (tmp_path / "first").mkdir(exist_ok=True)
    (tmp_path / "first" / "weights").write_bytes(b"1")
    first.save()
    with run_folder(URI, tmp_path / "second", writes=False) as (folder, after_save):
        assert (folder / "weights").read_bytes() == b"1"
        after_save()
        (tmp_path / "first" / "weights").write_bytes(b"2")
        first.save()
    bring_run(URI, tmp_path / "third")
    assert (tmp_path / "third" / "weights").read_bytes() == b"2"
