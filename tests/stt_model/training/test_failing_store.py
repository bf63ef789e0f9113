"""A store that fails at every single request of a run whose state it keeps, one at a time."""

from __future__ import annotations

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


@pytest.mark.parametrize("fault", FAULTS)
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


@pytest.mark.parametrize("fault", ["refused", "cut", "503"])
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


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_training_run_ends_in_the_same_bits_or_in_one_line(server, dataset, source, tmp_path):
    """Every request of a run in turn, and the faults in turn with them; each run is then ended."""

    def train(name):
        splits = find_splits(dataset)
        target = tmp_path / name
        jobs.train(
            [splits["train"]],
            [splits["dev"]],
            load_checkpoint_dir=source,
            save_checkpoint_dir=target,
            run_state_uri=URI,
            **SETTINGS,
        )
        return target

    server.begin()
    whole = train("whole")
    requests = server.requests
    for at in range(1, requests + 1):
        server.objects = {}
        server.begin(FAULTS[at % len(FAULTS)], at, lasting=at % 2 == 0)
        try:
            ended = train(f"pod {at}")
        except BootstrapError as error:
            assert str(error).isprintable()
            server.begin()
            ended = train(f"again {at}")
        for which in ("best", "last"):
            assert content(ended, which) == content(whole, which)


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
