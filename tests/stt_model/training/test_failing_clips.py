"""A run whose clips are in a store, and one whose folder another process has."""

import subprocess
import sys

import pytest

from stt_model.base.errors import StoppedError, TrainingError
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.corpus import find_splits
from stt_model.corpus.clip_cache import ClipCache
from stt_model.jobs import training as jobs
from stt_model.storage import store_client, store_requests
from tests.stt_model.faulty_store import FaultyStore
from tests.stt_model.training_runs import content

SETTINGS = {
    "epochs": 2,
    "train_batch_size": 3,
    "dev_batch_size": 2,
    "learning_rate": 0.002,
    "dropout_rate": 0.0,
    "random_seed": 1,
}


@pytest.fixture
def server(dataset, tmp_path, monkeypatch):
    """A store that holds the corpus."""
    monkeypatch.setattr(store_client, "_BACKOFF", 0.0)
    monkeypatch.setattr(store_client, "_RETRIES", 1)
    monkeypatch.setattr(store_requests, "_WAIT", lambda state: 0)
    monkeypatch.setattr(store_requests, "_ATTEMPTS", 2)
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "cache"))
    with FaultyStore() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        for path in dataset.rglob("*"):
            if path.is_file():
                key = path.relative_to(dataset).as_posix()
                content = path.read_bytes().replace(f"{dataset}/".encode(), b"")
                running.objects[f"/speech/tones/{key}"] = content
        yield running


def train(source, target):
    splits = find_splits("s3://speech/tones")
    jobs.train(
        [splits["train"]],
        [splits["dev"]],
        load_checkpoint_dir=source,
        save_checkpoint_dir=target,
        **SETTINGS,
    )
    return target


@pytest.mark.parametrize(
    ("fault", "kind"), [("refused", StoppedError), ("503", StoppedError), ("403", TrainingError)]
)
def test_a_store_that_fails_in_an_epoch_leaves_a_run_that_goes_on(
    server, source, tmp_path, monkeypatch, fault, kind
):
    whole = train(source, tmp_path / "whole")
    # Each clip is asked for again, and fails from the fifth on, when training has begun.
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "another cache"))
    asked, read = [], ClipCache.read

    def fail_from_the_fifth(cache, place):
        asked.append(place)
        if len(asked) == 5:
            server.begin(fault, 1, lasting=True)
        return read(cache, place)

    with monkeypatch.context() as failing, pytest.raises(kind) as ended:
        failing.setattr(ClipCache, "read", fail_from_the_fifth)
        train(source, tmp_path / "out")
    assert str(ended.value).isprintable()
    assert f"the run is saved in {tmp_path / 'out'}" in str(ended.value)
    assert "row " in str(ended.value) and "s3://speech/tones/" in str(ended.value)
    assert open_checkpoint(tmp_path / "out", "last")
    server.begin()
    ended = train(source, tmp_path / "out")
    for which in ("best", "last"):
        assert content(ended, which) == content(whole, which)


OWNER = """
import sys
from pathlib import Path
from stt_model.base import leased
with leased(Path(sys.argv[1]), RuntimeError):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_of_two_trainings_in_one_folder_the_second_is_refused(dataset, source, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, target / ".training.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout.readline() == "mine\n"
    before = sorted(target.iterdir())
    splits = find_splits(dataset)
    files = {"load_checkpoint_dir": source, "save_checkpoint_dir": target}
    with pytest.raises(TrainingError, match=f"{target}: another process is training there .* wait"):
        jobs.train([splits["train"]], [splits["dev"]], **files, **SETTINGS)
    assert sorted(target.iterdir()) == before
    # It dies without giving the folder back, and is not waited for.
    owner.kill()
    owner.communicate()
    jobs.train([splits["train"]], [splits["dev"]], **files, **SETTINGS)
    assert open_checkpoint(target, "last")
    assert not (target / ".training.lock").exists()
