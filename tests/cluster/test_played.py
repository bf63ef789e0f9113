"""The tests on a cluster, run against one that is played: every request is right, none is missing.

They are run as ``make test-cluster`` does, in a process of their own; only the waiting is shorter,
and the corpora smaller.
"""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.played import PlayedCluster
from tests.stt_model.s3_server import S3Server

ROOT = Path(__file__).parents[2]
FURTHER = ("tests/pipelines/test_submit.py", "tests/pipelines/preflight/test_command.py")


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Return the cluster after the tests have run on it, and what pytest said."""
    with play(tmp_path_factory.mktemp("played"), "tests/cluster/test_runs.py", *FURTHER) as found:
        yield found


@contextlib.contextmanager
def play(folder, *tests, **options):
    """Have tests run on a cluster that is played."""
    objects = folder / "objects"
    objects.mkdir()
    store = S3Server(objects)
    store.remembers_folders_for = "1m"
    with store, PlayedCluster(objects, keys(store), **options) as cluster:
        settings = {
            "KUBECONFIG": str(cluster.write_kubeconfig(folder / "kubeconfig")),
            "KFP_ENDPOINT": cluster.address,
            "STT_BOOTSTRAP_STORE": store.endpoint,
            "NO_PROXY": "127.0.0.1",
        }
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KFP_", "KF_", "KUBE", "STT_BOOTSTRAP", "AWS_", "PYTEST_"))
        }
        command = [sys.executable, "-m", "pytest", "-p", "tests.cluster.hurried", "-m", "cluster"]
        done = subprocess.run(
            [*command, "-q", "-rA", "-p", "no:cacheprovider", *tests],
            cwd=ROOT,
            env={**own, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        yield cluster, done.stdout + done.stderr


def keys(store):
    return {k: v for k, v in store.environment.items() if k != "AWS_ENDPOINT_URL_S3"}


def test_every_test_on_a_cluster_passes_on_it(played):
    _, said = played
    # One needs a file of parameters from whoever runs it.
    assert re.search(r"^13 passed, 1 skipped", said.splitlines()[-1]), said


def test_every_test_on_a_cluster_is_among_them():
    marked = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("tests/**/*.py")
        if re.search(r"^(pytestmark.*|@)pytest\.mark\.cluster", path.read_text(), re.MULTILINE)
    }
    assert marked == {"tests/cluster/test_runs.py", *FURTHER}
    assert all(each.startswith(("tests/cluster/", "tests/pipelines/")) for each in marked)


def test_no_request_was_one_that_no_cluster_knows(played):
    cluster, _ = played
    assert cluster.unknown == []


def test_a_training_pod_was_killed(played):
    cluster, _ = played
    assert len(cluster.deleted) == 1


def test_nothing_is_left_behind(played):
    cluster, _ = played
    assert (cluster.runs, cluster.versions, cluster.experiments) == ({}, {}, {})
    assert cluster.pipelines == {}
    assert [path for path in cluster.folder.rglob("*") if path.is_file()] == []


def test_a_killed_pod_is_gone_on_with_where_argo_does_not_try_again(tmp_path):
    """As with Kubeflow up to 2.16: then submit has the run go on."""
    test = "test_a_training_pod_that_is_killed_goes_on_in_another"
    options = {"argo_tries_again": False}
    with play(tmp_path, f"tests/cluster/test_runs.py::{test}", **options) as (cluster, said):
        assert said.splitlines()[-1].startswith("1 passed"), said
        assert (cluster.retries, cluster.unknown) == (1, [])
