"""A training that several machines take up from an object store."""

import json
import logging
import subprocess
import sys

import numpy as np
import pytest

from stt_model import jobs
from stt_model.base.errors import TrainingError
from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.corpus.manifests import find_splits
from stt_model.storage import StoreError, store_of
from stt_model.text.alphabet_file import write_alphabet
from tests.stt_model.node_machines import SETTINGS, name_clips_from_here
from tests.stt_model.s3_server import S3Server
from tests.stt_model.training_runs import ALPHABET, write_dataset, write_source

RUN = "s3://speech/runs/1"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.remembers_folders_for = "1m"
    (server.folder / "speech").mkdir()
    with server as running:
        yield running


@pytest.fixture
def offer(server, tmp_path, monkeypatch):
    """Return what offers a training, with settings that are other."""
    for name, value in {**server.environment, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    write_alphabet(ALPHABET, tmp_path / "alphabet.txt")
    dataset = name_clips_from_here(write_dataset(tmp_path / "corpus"))
    source = write_source(tmp_path / "source")

    def make(run_uri=RUN, **settings):
        return jobs.offer_training(
            run_uri,
            dataset=dataset,
            checkpoint=source,
            model_alphabet=tmp_path / "alphabet.txt",
            save_checkpoint_dir=tmp_path / "trained",
            settings={**SETTINGS, **settings},
        )

    yield make
    store = store_of(RUN)
    for stored in list(store.list(RUN)):
        store.remove(stored.uri)


def test_one_machine_takes_it_up_and_whoever_offered_it_collects(offer, tmp_path):
    made = offer(epochs=1)
    assert made.uri == f"{RUN}/offers/{made.digest}"
    jobs.train_offered(made.uri, {})
    figures = jobs.collect_training(made, tmp_path / "trained", tmp_path / "report.md")
    assert figures["epochs"] == 1
    assert (tmp_path / "trained" / "best_dev_checkpoint").is_file()
    assert (tmp_path / "report.md").read_text().startswith("# Training")
    jobs.withdraw_offer(made)
    kept = [stored.uri for stored in store_of(RUN).list(RUN)]
    assert kept
    assert not [uri for uri in kept if "/offers/" in uri]


def test_the_same_offer_has_the_same_address_and_another_one_another(offer):
    assert offer().uri == offer().uri
    assert offer().uri != offer(random_seed=7).uri


def test_an_unfinished_training_cannot_be_collected(offer, tmp_path):
    with pytest.raises(TrainingError, match=r"expected a finished training.*nothing"):
        jobs.collect_training(offer(), tmp_path / "trained")


def test_a_place_that_other_machines_do_not_reach_is_refused(offer, tmp_path):
    with pytest.raises(TrainingError, match="give its s3:// URI"):
        offer(run_uri=str(tmp_path / "runs"))


def test_settings_are_checked_before_anything_is_put_there(offer):
    with pytest.raises(TrainingError, match="learning_rate"):
        offer(learning_rate=-1)
    assert list(store_of(RUN).list(RUN)) == []


def test_a_node_of_another_version_refuses(offer, monkeypatch):
    made = offer()
    monkeypatch.setattr("stt_model.jobs.nodes.__version__", "9.9.9")
    with pytest.raises(TrainingError, match=r"this node runs 9\.9\.9; give the training runtime"):
        jobs.train_offered(made.uri, {})


@pytest.mark.parametrize("uri", ["s3://speech/runs/1", "/tmp/offers/1", "https://a/offers/1"])
def test_addresses_of_no_offer_are_refused(offer, uri):
    with pytest.raises(TrainingError, match="expected the address of an offer"):
        jobs.train_offered(uri, {})


def test_an_offer_that_is_gone(offer):
    made = offer()
    jobs.withdraw_offer(made)
    with pytest.raises((StoreError, TrainingError)):
        jobs.train_offered(made.uri, {})


def test_clips_that_are_files_of_this_machine_are_warned_of(offer, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        offer()
    assert caplog.text == ""
    for path in (tmp_path / "corpus").glob("*.csv"):
        path.write_text(path.read_text().replace(f"{path.stem}-clips/", f"{tmp_path}/clips/"))
    with caplog.at_level(logging.WARNING):
        offer()
    assert "every node must have them at this path" in caplog.text


def _has_namespaces():
    done = subprocess.run(["unshare", "-Urnm", "ip", "link"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.slow
def test_two_machines_of_which_one_is_killed_come_to_what_one_comes_to(tmp_path):
    """With the command and the variables that the training runtime gives to its nodes."""
    if not _has_namespaces():
        pytest.skip("no `ip` and `unshare` that may make networks here")
    command = [sys.executable, "-m", "tests.stt_model.node_machines", str(tmp_path)]
    apart = ["unshare", "-Urnm", "--pid", "--fork", "--kill-child"]
    done = subprocess.run(
        [*apart, *command], capture_output=True, text=True, timeout=280, check=True
    )
    told = json.loads(done.stdout)
    assert told["codes"] == [[1, -9], [0, 0]]
    assert "another one of the 2 workers is gone" in told["lost"]
    for log in told["logs"]:
        assert "of each of 2 workers" in log
        assert "resuming the run there, in epoch " in log
    assert told["figures"]["epochs"] == SETTINGS["epochs"]
    splits = find_splits(tmp_path / "corpus")
    jobs.train(
        [splits["train"]],
        [splits["dev"]],
        load_checkpoint_dir=tmp_path / "source",
        save_checkpoint_dir=tmp_path / "alone",
        **SETTINGS,
    )
    for which in ("best", "last"):
        expected = read_weights(open_checkpoint(tmp_path / "alone", which))
        found = read_weights(open_checkpoint(tmp_path / "trained", which))
        for name, weights in expected.items():
            np.testing.assert_allclose(found[name], weights, atol=1e-5, err_msg=name)
