"""A store that fails at every single request of a run whose state it keeps, one at a time."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from stt_model.base.errors import BootstrapError
from stt_model.corpus import find_splits
from stt_model.jobs import training as jobs
from stt_model.storage import store_client, store_requests
from stt_model.storage.object_store import ObjectStore
from stt_model.training.run_store import RunStore
from tests.stt_model.faulty_store import DELAY, FAULTS, FaultyStore
from tests.stt_model.training_runs import content

URI = "s3://speech/run"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(store_client, "_BACKOFF", 0.0)
    monkeypatch.setattr(store_client, "_RETRIES", 3)
    monkeypatch.setattr(store_client, "_TIMEOUT", urllib3.Timeout(connect=5, read=DELAY / 3))
    monkeypatch.setattr(store_requests, "_WAIT", lambda state: 0)
    monkeypatch.setattr(store_requests, "_ATTEMPTS", 2)
    with FaultyStore() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def texts(folder):
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else {}


def write(folder, version):
    folder.mkdir(exist_ok=True)
    for name in ("weights", "state"):
        (folder / name).write_text(f"{name} {version}")
    return texts(folder)


def pod(folder):
    """Restore what is there, and save the next version of it."""
    kept = RunStore(ObjectStore.from_environment(), URI, folder)
    kept.restore()
    found = texts(folder)
    version = int(found.get("state", "state 0").split()[1]) + 1
    saved = write(folder, version)
    kept.save()
    return saved


def begun(server, tmp_path):
    """Have a first pod save version 1."""
    server.objects = {}
    server.begin()
    pod(tmp_path / "first")
    return dict(server.objects)


def restored(server, folder):
    server.begin()
    RunStore(ObjectStore.from_environment(), URI, folder).restore()
    return texts(folder)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=() if fault in ("cut", "503") else pytest.mark.slow)
        for fault in FAULTS
    ],
)
def test_one_request_that_fails_changes_nothing(server, tmp_path, fault):
    before = begun(server, tmp_path)
    server.begin()
    expected = pod(tmp_path / "whole")
    requests = server.requests
    assert requests > 15
    # Each that waits takes a second.
    step = 3 if fault == "delayed" else 1
    for at in range(1, requests + 1, step):
        server.objects = before
        server.begin(fault, at)
        assert pod(tmp_path / f"pod {at}") == expected
        assert restored(server, tmp_path / f"next {at}") == expected


@pytest.mark.parametrize(
    "fault",
    [*(pytest.param(fault, marks=pytest.mark.slow) for fault in ("refused", "cut")), "503"],
)
def test_a_store_that_fails_from_some_request_on_leaves_a_whole_state(server, tmp_path, fault):
    before = begun(server, tmp_path)
    server.begin()
    after = pod(tmp_path / "whole")
    requests = server.requests
    first = texts(tmp_path / "first")
    for at in range(1, requests + 1):
        server.objects = before
        server.begin(fault, at, lasting=True)
        try:
            pod(tmp_path / f"pod {at}")
            # The rest was clearing away.
            allowed = [after]
        except BootstrapError as error:
            assert str(error).isprintable()
            allowed = [first, after]
        assert restored(server, tmp_path / f"next {at}") in allowed


SETTINGS = {
    "epochs": 1,
    "train_batch_size": 3,
    "dev_batch_size": 2,
    "learning_rate": 0.002,
    "dropout_rate": 0.0,
    "random_seed": 1,
}


@dataclass
class Runs:
    """Runs of one training whose state is kept in a store, and the one that nothing disturbed."""

    server: FaultyStore
    dataset: Path
    source: Path
    folder: Path

    def __post_init__(self):
        self.server.objects = {}
        self.server.begin()
        self.whole = self.train()
        self.requests = self.server.requests

    def train(self):
        splits = find_splits(self.dataset)
        target = self.folder / str(len(list(self.folder.iterdir())))
        jobs.train(
            [splits["train"]],
            [splits["dev"]],
            load_checkpoint_dir=self.source,
            save_checkpoint_dir=target,
            run_state_uri=URI,
            **SETTINGS,
        )
        return target

    def disturb(self, fault, at, *, lasting=False):
        """Train while a request fails; whether that was noticed or not, the run comes out whole."""
        self.server.objects = {}
        self.server.begin(fault, at, lasting=lasting)
        try:
            ended = self.train()
        except BootstrapError as error:
            assert str(error).isprintable()
            self.server.begin()
            ended = self.train()
        for which in ("best", "last"):
            assert content(ended, which) == content(self.whole, which), (fault, at)
        shutil.rmtree(ended)


@pytest.fixture
def runs(server, dataset, source, tmp_path):
    (tmp_path / "runs").mkdir()
    return Runs(server, dataset, source, tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_training_run_at_whose_every_request_the_store_fails_once(runs, fault):
    for at in range(1, runs.requests + 1):
        runs.disturb(fault, at)
    print(f"{fault}: {runs.requests} runs")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", ["refused", "cut", "503"])
def test_a_training_run_at_whose_every_request_the_store_begins_to_fail(runs, fault):
    for at in range(1, runs.requests + 1):
        runs.disturb(fault, at, lasting=True)
    print(f"{fault}: {runs.requests} runs")


def test_a_few_requests_of_a_training_run_that_fail(runs):
    middle = runs.requests // 2
    runs.disturb("cut", middle)
    runs.disturb("429", runs.requests - 1)
    runs.disturb("refused", middle, lasting=True)


def test_a_late_index_replaces_nothing_newer(server, tmp_path):
    """A request that was given up is acted on after the next save."""
    kept = RunStore(ObjectStore.from_environment(), URI, tmp_path / "here")
    kept.restore()
    write(tmp_path / "here", 1)
    kept.save()
    late = dict(server.objects)
    newest = write(tmp_path / "here", 2)
    kept.save()
    server.objects.update({key: each for key, each in late.items() if "/run-" in key})
    assert restored(server, tmp_path / "next") == newest
