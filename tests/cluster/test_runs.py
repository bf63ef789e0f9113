"""Whole runs on a real cluster: `make test-cluster`, with KUBECONFIG and KFP_ENDPOINT set.

| variable | |
| --- | --- |
| KUBECONFIG, KFP_ENDPOINT | needed |
| KFP_NAMESPACE | where runs belong, by default kubeflow |
| STT_BOOTSTRAP_PACKAGE | bootstrap.yaml with images that the nodes can pull, and others beside it |
| STT_BOOTSTRAP_STORE | the store's address from here, by default a forwarded port |
| STT_BOOTSTRAP_BUCKET | by default stt-bootstrap-test; made where it is not there |

The store's keys are read from the cluster's secret. The tests build on each other, in this order.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import kfp_server_api
import pytest
import yaml
from kubernetes import client

from stt_bootstrap.pipelines.kubeconfig import cluster_configuration
from stt_bootstrap.pipelines.kubeflow import connect
from stt_bootstrap.pipelines.package import PACKAGE, package_parameters
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_model.storage import ENDPOINT_VARIABLES
from tests.cluster.store import change_a_byte, empty, fill, make_bucket, reachable, remove_version

PATIENCE = 3600  # seconds for one run
# Those of the other tests are over after minutes.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(PATIENCE)]

PROGRAM = [sys.executable, "-m", "stt_bootstrap.pipelines.cli"]
NAMESPACE = os.environ.get("KFP_NAMESPACE", "kubeflow")
RUN_PACKAGE = os.environ.get("STT_BOOTSTRAP_PACKAGE", str(PACKAGE))
CONFIG = SECRET = "stt-bootstrap-store"
QUOTA = "stt-bootstrap"
SIZES = Path(__file__).parents[2] / "manifests/overlays/dev/parameters.yaml"
# One task for each branch.
FINE_TUNING, TRANSFERRING = "training", "training-2"
EXPERIMENT = "stt-bootstrap-test"
SMALL = {"epochs": 3, "train_batch_size": 8, "dev_batch_size": 4, "test_batch_size": 4}


@pytest.fixture(scope="module")
def cluster():
    missing = [name for name in ("KUBECONFIG", "KFP_ENDPOINT") if not os.environ.get(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not set: where a cluster and its Kubeflow are")
    return Cluster.connect(NAMESPACE)


@pytest.fixture(scope="module")
def store(cluster):
    """Yield a root with corpora and checkpoint, and the variables that lead there from here."""
    bucket = os.environ.get("STT_BOOTSTRAP_BUCKET", "stt-bootstrap-test")
    root = f"s3://{bucket}/{uuid.uuid4().hex[:8]}"
    with reachable(NAMESPACE) as endpoint:
        environ = cluster.config_values(CONFIG) | cluster.secret_values(SECRET)
        environ |= {ENDPOINT_VARIABLES[0]: endpoint}
        is_new = make_bucket(environ, root)
        try:
            fill(environ, root)
            yield root, environ, endpoint
        finally:
            empty(environ, root, bucket_too=is_new)


@pytest.fixture(scope="module")
def runs(cluster):
    """Keep what the tests tell of, and take it away: runs, their experiment, uploaded versions."""
    events = []
    yield events
    kubeflow = connect("", NAMESPACE).client
    for event in events:
        if event["event"] == "run":
            kfp_server_api.RunServiceApi(kubeflow).run_service_delete_run(event["run_id"])
    for event in events:
        if event["event"] == "version" and event["uploaded"]:
            remove_version(kubeflow, event["pipeline_id"], event["version_id"])
    experiments = kfp_server_api.ExperimentServiceApi(kubeflow)
    listed = experiments.experiment_service_list_experiments(page_size=100, namespace=NAMESPACE)
    for each in listed.experiments or []:
        if each.display_name == EXPERIMENT:
            experiments.experiment_service_delete_experiment(each.experiment_id)


def small_sizes(package=RUN_PACKAGE):
    """Return the sizes that a node of 2 processors and 6 GiB has beside Kubeflow itself."""
    sizes = yaml.safe_load(SIZES.read_text(encoding="utf-8"))
    # The form has one size for all steps but training and evaluation.
    sizes |= {"step_cpu": sizes["export_cpu"], "step_memory": sizes["export_memory"]}
    return {name: sizes[name] for name in package_parameters(Path(package)) if name in sizes}


def begin(root, corpus, **changes):
    parameters = {
        "dataset_uri": f"{root}/{corpus}",
        "checkpoint_uri": f"{root}/checkpoint",
        "run_state_uri": f"{root}/runs",
        **SMALL,
        **changes,
    }
    return begin_package(RUN_PACKAGE, parameters)


def begin_package(package, parameters):
    given = {**small_sizes(package), **parameters}
    flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    command = [*PROGRAM, "submit", "--package", str(package)]
    command += ["--namespace", NAMESPACE, "--experiment", EXPERIMENT, *flags]
    # What is said on stderr goes to a file: nobody reads it before the end.
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by Watched)
    process = subprocess.Popen(
        [*command, "--output", "json"], stdout=subprocess.PIPE, stderr=said, text=True
    )
    return process, said


class Watched:
    """A run that has ended, and what was told of it."""

    def __init__(self, begun, runs, on_event=lambda event: None):
        process, said = begun
        self.events = []
        with said, process:
            try:
                for line in process.stdout:
                    event = json.loads(line)
                    self.events.append(event)
                    runs.append(event)
                    on_event(event)
                self.code = process.wait()
            finally:
                process.kill()
            said.seek(0)
            self.err = said.read()

    @property
    def run_id(self):
        return next(event["run_id"] for event in self.events if event["event"] == "run")

    @property
    def seconds(self):
        """How long each task took, by title; one from the cache took none."""
        return {event["task"]: event["seconds"] for event in self._succeeded}

    @property
    def names(self):
        """Which tasks came to their end, by their names in the package."""
        return {event["name"] for event in self._succeeded}

    @property
    def _succeeded(self):
        return [e for e in self.events if e["event"] == "task" and e["state"] == "SUCCEEDED"]


def check(store, *flags):
    root, _, endpoint = store
    sizes = [part for name, value in small_sizes().items() for part in (f"--{name}", value)]
    command = [*PROGRAM, "preflight", "--namespace", NAMESPACE]
    command += ["--package", RUN_PACKAGE, "--output", "json", "--store_endpoint", endpoint, *sizes]
    command += ["--dataset_uri", f"{root}/swahili", "--checkpoint_uri", f"{root}/checkpoint"]
    return subprocess.run([*command, *flags], capture_output=True, text=True, check=False)


def test_preflight_finds_nothing_to_mend(store):
    done = check(store)
    told = json.loads(done.stdout)
    assert told["passed"], [each for each in told["findings"] if each["status"] == "failed"]


def test_preflight_finds_what_was_broken(cluster, store):
    core = client.CoreV1Api(client.ApiClient(cluster_configuration()))
    before = core.read_namespaced_resource_quota(QUOTA, NAMESPACE).spec.hard

    def limit(hard):
        core.patch_namespaced_resource_quota(QUOTA, NAMESPACE, {"spec": {"hard": hard}})
        # What holds is its status, which a controller writes a moment later.
        until = time.monotonic() + 60
        while core.read_namespaced_resource_quota(QUOTA, NAMESPACE).status.hard != hard:
            assert time.monotonic() < until, "the quota is not taken over into its status"
            time.sleep(1)

    limit({**before, "requests.memory": "1Mi"})
    try:
        done = check(store)
    finally:
        limit(before)
    assert done.returncode == 1
    failed = [e for e in json.loads(done.stdout)["findings"] if e["status"] == "failed"]
    assert "requests.memory" in str(failed)
    assert check(store).returncode == 0


def test_labels_that_fit_are_fine_tuned(store, runs):
    watched = Watched(begin(store[0], "swahili"), runs)
    assert watched.code == 0, watched.err
    assert FINE_TUNING in watched.names
    assert TRANSFERRING not in watched.names


def test_the_same_again_comes_from_the_cache(store, runs):
    watched = Watched(begin(store[0], "swahili"), runs)
    assert watched.code == 0, watched.err
    done_anew = {title for title, seconds in watched.seconds.items() if seconds}
    assert done_anew <= {"Look for changes"}


def test_one_changed_byte_has_the_rest_done_again(store, runs):
    root, environ, _ = store
    change_a_byte(environ, root)
    watched = Watched(begin(root, "swahili"), runs)
    assert watched.code == 0, watched.err
    done_anew = {title for title, seconds in watched.seconds.items() if seconds}
    assert {"Fine-tune or transfer", "Train"} <= done_anew


def test_other_letters_are_transferred_to(store, runs):
    watched = Watched(begin(store[0], "macedonian"), runs)
    assert watched.code == 0, watched.err
    assert TRANSFERRING in watched.names
    assert FINE_TUNING not in watched.names


def test_an_impossible_run_is_refused_with_the_reason(store, runs):
    watched = Watched(begin(store[0], "macedonian", mode="fine-tune"), runs)
    assert watched.code == 1
    assert "the checkpoint has no label for" in watched.err.splitlines()[-1]


def test_a_training_pod_that_is_killed_goes_on_in_another(cluster, store, runs):
    core = client.CoreV1Api(client.ApiClient(cluster_configuration()))
    killed = []

    def kill_the_first(event):
        if event["event"] == "running" and event["task"] == "Train" and not killed:
            pod = event["pod"]
            # Not at once: of a pod that the workflow's controller has not seen running, it makes
            # the same again, and nothing was lost. An epoch later there is something to go on from.
            wait_for_words(core, pod, "epoch 2:")
            killed.append(core.read_namespaced_pod(pod, NAMESPACE).metadata.uid)
            core.delete_namespaced_pod(pod, NAMESPACE, grace_period_seconds=0)

    # Other numbers, so that training is not taken from the cache.
    process = begin(store[0], "swahili", epochs=40, random_seed=7)
    watched = Watched(process, runs, kill_the_first)
    assert killed, "training was over before its pod was seen running"
    assert watched.code == 0, watched.err
    selector = f"pipeline/runid={watched.run_id},app.kubernetes.io/component=training"
    pods = core.list_namespaced_pod(NAMESPACE, label_selector=selector).items
    others = [pod.metadata.name for pod in pods if pod.metadata.uid not in killed]
    logs = [core.read_namespaced_pod_log(name, NAMESPACE, container="main") for name in others]
    assert any("resuming the run there" in log for log in logs)


def test_the_form_takes_its_settings(store, runs):
    root, _, _ = store
    parameters = {
        "dataset_uri": f"{root}/swahili",
        "checkpoint_uri": f"{root}/checkpoint",
        "epochs": SMALL["epochs"],
        "settings": json.dumps({name: SMALL[name] for name in SMALL if name != "epochs"}),
    }
    watched = Watched(begin_package(beside("form.yaml"), parameters), runs)
    assert watched.code == 0, watched.err
    assert FINE_TUNING in watched.names


def test_a_corpus_is_prepared(store, runs):
    root, _, _ = store
    parameters = {"source_uri": f"{root}/swahili", "corpus_uri": f"{root}/prepared"}
    watched = Watched(begin_package(beside("prepare.yaml"), parameters), runs)
    assert watched.code == 0, watched.err
    assert {"dataset-import", "dataset-validation"} <= watched.names
    assert not any("align" in name or "pack" in name for name in watched.names)


def test_a_sweep_comes_to_a_winner(store, runs):
    root, _, _ = store
    parameters = {
        "dataset_uri": f"{root}/swahili",
        "checkpoint_uris": json.dumps([f"{root}/checkpoint"]),
        "sweep_uri": f"{root}/sweep",
        "drop_depths": "0",
        "first_rung": 1,
        "second_rung": 2,
        "epochs": SMALL["epochs"],
        "train_batch_size": SMALL["train_batch_size"],
    }
    watched = Watched(begin_package(beside("sweep.yaml"), parameters), runs)
    assert watched.code == 0, watched.err
    assert {"sweep-preparation", "sweep-member", "sweep-winner"} <= watched.names
    ended = [e for e in watched.events if e["event"] == "task" and e["name"] == "sweep-member"]
    # One training in three rungs.
    assert [e["state"] for e in ended if e["state"] != "RUNNING"] == ["SUCCEEDED"] * 3


def beside(name):
    """Return another package, of the same images as that of the other runs."""
    return Path(RUN_PACKAGE).with_name(name)


def wait_for_words(core, pod, words):
    """Wait until a pod has printed something."""
    until = time.monotonic() + 600
    while words not in _log(core, pod):
        assert time.monotonic() < until, f"{pod} has not printed {words!r}"
        time.sleep(1)


def _log(core, pod):
    try:
        return core.read_namespaced_pod_log(pod, NAMESPACE, container="main")
    except client.ApiException as error:
        # A pod is said to run as soon as the container beside the task's does.
        if error.status != 400:
            raise
        return ""
