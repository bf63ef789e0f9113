"""Training whose keys to the object store expire again and again while it runs."""

import logging
import shutil

import pytest
import tenacity

from stt_model import jobs
from stt_model.corpus.manifests import find_splits
from stt_model.storage import credentials, store_requests
from stt_model.storage.cache_folder import CACHE_VARIABLE
from tests.stt_model.expiring_store import (
    CONTAINER_TOKEN,
    IDENTITY_TOKEN,
    INSTANCE_TOKEN,
    KEYS,
    ExpiringStore,
    container,
    instance,
    role,
    web_identity,
)

SETTINGS = {"train_batch_size": 3, "dev_batch_size": 2, "random_seed": 1}


@pytest.fixture(
    params=[
        web_identity,
        container,
        pytest.param(role, marks=pytest.mark.slow),
        pytest.param(instance, marks=pytest.mark.slow),
    ]
)
def store(request, dataset, tmp_path, monkeypatch):
    """A store with the dataset in it, to which one way to credentials opens the door."""
    shutil.copytree(dataset, tmp_path / "stored" / "speech" / "tones")
    credentials._source.cache_clear()
    with ExpiringStore(tmp_path / "stored") as running:
        for name, value in {
            **running.environment,
            # Other tests are kept from asking a machine.
            "AWS_EC2_METADATA_DISABLED": "false",
            **request.param(running, tmp_path),
            "NO_PROXY": "127.0.0.1",
            CACHE_VARIABLE: str(tmp_path / "cache"),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(store_requests, "_WAIT", tenacity.wait_fixed(0.01))
        yield running


def test_training_reads_and_keeps_its_run_with_keys_that_expire(
    store, source, tmp_path, caplog, capfd
):
    caplog.set_level(logging.DEBUG)
    store.requests_a_key = 7
    splits = find_splits("s3://speech/tones")
    jobs.train(
        [splits["train"]],
        [splits["dev"]],
        load_checkpoint_dir=source,
        save_checkpoint_dir=tmp_path / "trained",
        run_state_uri="s3://speech/runs/1",
        epochs=3,
        **SETTINGS,
    )
    assert (tmp_path / "trained" / "best_dev_checkpoint").is_file()
    assert list((store.folder / "speech" / "runs" / "1").rglob("*.json"))
    assert len(store.given) > 5
    shown = caplog.text + "".join(capfd.readouterr())
    tokens = [IDENTITY_TOKEN, CONTAINER_TOKEN, INSTANCE_TOKEN, KEYS["AWS_SECRET_ACCESS_KEY"]]
    hidden = [*tokens, *(part for keys in store.given for part in keys[1:])]
    assert [each for each in hidden if each in shown] == []
