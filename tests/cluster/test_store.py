"""What the tests on a cluster put into its store, against a real S3 server on this machine."""

import dataclasses

import pytest

from stt_bootstrap.pipelines.package import package_tasks
from stt_model.corpus.manifests import find_splits
from stt_model.storage import CACHE_VARIABLE
from stt_model.storage.object_store import ObjectStore
from tests.cluster import store
from tests.cluster.test_runs import FINE_TUNING, TRANSFERRING
from tests.stt_model.s3_server import S3Server

ROOT = "s3://stt-bootstrap-test/1"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.remembers_folders_for = "1m"
    with server as running:
        yield running


def test_the_runs_look_for_tasks_that_the_package_has():
    titles = package_tasks()
    assert titles[FINE_TUNING] == titles[TRANSFERRING] == "Train"
    assert {"Look for changes", "Fine-tune or transfer"} <= set(titles.values())


def test_the_corpora_are_put_there_changed_and_taken_away(server, tmp_path, monkeypatch):
    for name, value in {**server.environment, CACHE_VARIABLE: str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(store, "SIZES", {"train": 2, "dev": 1, "test": 1})
    small = dataclasses.replace(store.CORPORA["swahili"], variants=("m1",))
    monkeypatch.setattr(store, "CORPORA", {"swahili": small})
    assert store.make_bucket(server.environment, ROOT)
    assert not store.make_bucket(server.environment, ROOT)
    store.fill(server.environment, ROOT)
    assert set(find_splits(f"{ROOT}/swahili")) == {"train", "dev", "test"}
    objects = ObjectStore.from_environment(server.environment)
    before = {each.uri: each.etag for each in objects.list(ROOT)}
    assert f"{ROOT}/checkpoint/best_dev-9614.index" in before
    clip = store.change_a_byte(server.environment, ROOT)
    after = {each.uri: each.etag for each in objects.list(ROOT)}
    assert [uri for uri in before if before[uri] != after[uri]] == [clip]
    store.empty(server.environment, ROOT)
    assert list(objects.list(ROOT)) == []
    store.empty(server.environment, ROOT, bucket_too=True)
    assert store.make_bucket(server.environment, ROOT)
