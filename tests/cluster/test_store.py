"""What the tests on a cluster put into its store, against a real S3 server on this machine."""

import dataclasses
import socket
import sys
import time

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


# Forwards one connection, and gives up then, as kubectl does where one breaks.
KUBECTL = """#!{python}
import socket, sys
assert sys.argv[1:5] == ["-n", "kubeflow", "port-forward", "service/stt-bootstrap-s3"], sys.argv
port, behind = sys.argv[5].split(":")
assert behind == "9000"
with socket.create_server(("127.0.0.1", int(port))) as server:
    connection, _ = server.accept()
    connection.sendall(b"from the store")
"""


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    monkeypatch.delenv(store.ENDPOINT_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(store, "AGAIN", 0.05)
    path = tmp_path / "kubectl"
    path.write_text(KUBECTL.format(python=sys.executable))
    return path


def test_the_store_is_reached_through_kubectl_that_is_started_again(kubectl):
    kubectl.chmod(0o755)
    with store.reachable("kubeflow") as address:
        port = int(address.rpartition(":")[2])
        for _ in range(2):
            assert read(port) == b"from the store"
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), 1):
        pass


def read(port):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                return connection.recv(100)
        except OSError:
            time.sleep(0.02)
    return b""


def test_no_kubectl_is_told(kubectl):
    with pytest.raises(FileNotFoundError, match="STT_BOOTSTRAP_STORE"), store.reachable("x"):
        pass


def test_a_store_that_never_answers_is_told(kubectl, monkeypatch):
    kubectl.write_text("#!/bin/sh\nexit 1\n")
    kubectl.chmod(0o755)
    monkeypatch.setattr(store, "PATIENCE", 0.5)
    with pytest.raises(TimeoutError, match="port-forward"), store.reachable("kubeflow"):
        pass
