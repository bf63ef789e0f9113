"""A TrainJob that is made, followed and deleted, against a server that plays Trainer's part."""

import os
import signal

import pytest

from stt_bootstrap.components.distributed_training import node_pods
from stt_bootstrap.components.distributed_training.following import TrainJobs, train_on_nodes
from stt_bootstrap.components.distributed_training.train_job import (
    NodeSize,
    Owner,
    TrainJobError,
    describe_train_job,
)
from stt_model.base import StoppedError
from tests.components.trainer_server import (
    COMPLETE,
    DONE,
    FAILED,
    JOBS,
    NAMESPACE,
    PODS,
    RUNNING,
    UNSCHEDULABLE,
    TrainerServer,
    ended,
    pod,
)
from tests.manifests.render import load

OWNER = Owner("step", "uid-of-step")
JOB = describe_train_job("s3://speech/runs/1/offers/0123", 2, NodeSize("8", "32Gi"), OWNER)
NAME = JOB["metadata"]["name"]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with TrainerServer() as running:
        yield running


def follow(server, body=JOB):
    """Return what is told while a job is done, or raise as it does."""
    told = []
    try:
        train_on_nodes(TrainJobs(server.api(), NAMESPACE), body, tell=told.append, tick=0.01)
    finally:
        follow.told = told
    return told


def both(*states):
    return [pod(NAME, index, state) for index, state in enumerate(states)]


def test_a_job_is_done_and_what_its_first_node_prints_is_passed_on(server):
    server.moments = [
        ([], []),
        ([], both(None, None)),
        ([], both(RUNNING, RUNNING)),
        (COMPLETE, both(DONE, DONE)),
    ]
    server.logs = {
        f"{NAME}-node-0-0-x": ["training 100 parameters", "epoch 1: loss 3.0"],
        f"{NAME}-node-0-1-x": ["the same of the other node"],
    }
    told = follow(server)
    assert [line for line in told if not line.startswith(("node", NAME))] == [
        "training 100 parameters",
        "epoch 1: loss 3.0",
    ]
    for line in (
        f"{NAME}: created, for 2 nodes",
        "node 0: starting",
        "node 1: running on machine-1",
        "node 1: done",
    ):
        assert line in told
    assert server.made == [JOB]
    assert server.jobs == {}, "it is deleted"


def test_it_belongs_to_the_pod_of_the_step_and_is_not_managed_by_it():
    assert JOB["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "step", "uid": "uid-of-step"}
    ]


def test_the_first_node_that_failed_says_why(server):
    gone = "error: worker 0: another one of the 2 workers is gone"
    server.moments = [
        ([], both(RUNNING, RUNNING)),
        (FAILED, both(ended(1, "2026-11-25T02:30:09Z"), ended(1, "2026-11-25T02:30:01Z"))),
    ]
    server.logs = {
        f"{NAME}-node-0-0-x": [gone],
        f"{NAME}-node-0-1-x": ["epoch 1", "error: s3://a/b.wav: expected a clip, found nothing"],
    }
    with pytest.raises(TrainJobError) as failure:
        follow(server)
    assert str(failure.value) == "node 1: s3://a/b.wav: expected a clip, found nothing"
    assert server.jobs == {}


def test_a_node_without_memory_says_how_much_it_had(server):
    killed = ended(137, reason="OOMKilled")
    server.moments = [([], both(RUNNING, RUNNING)), (FAILED, both(killed, RUNNING))]
    with pytest.raises(TrainJobError, match=r"node 0: killed: out of memory .*limit is 32Gi"):
        follow(server)


def test_without_a_pod_the_job_says_why(server):
    server.moments = [(FAILED, [])]
    with pytest.raises(TrainJobError, match=f"{NAME}: jobset failed"):
        follow(server)


def test_the_reason_for_a_waiting_node_is_printed_once(server):
    waiting = [pod(NAME, 0, **UNSCHEDULABLE)]
    image = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    pulling = [pod(NAME, 0, image)]
    server.moments = [([], waiting)] * 3 + [([], pulling), (COMPLETE, both(DONE))]
    told = follow(server)
    about = [line for line in told if line.startswith("node 0: waiting")]
    assert about == [
        "node 0: waiting (Unschedulable): 0/1 nodes are available: 1 Insufficient cpu.",
        "node 0: waiting (ImagePullBackOff): Back-off pulling image",
    ]


def test_a_log_that_breaks_off_goes_on_with_the_next_line(server, monkeypatch):
    monkeypatch.setattr(node_pods, "_PAUSE", 0.01)
    server.moments = [([], both(RUNNING))] * 10 + [(COMPLETE, both(DONE))]
    server.logs = {f"{NAME}-node-0-0-x": ["one", "two", None, "three"]}
    told = follow(server)
    assert [line for line in told if line in ("one", "two", "three")] == ["one", "two", "three"]


def test_sigterm_deletes_the_job_and_asks_to_be_started_again(server):
    server.moments = [([], both(RUNNING, RUNNING))]
    server.on_look = lambda number: os.kill(os.getpid(), signal.SIGTERM) if number == 3 else None
    with pytest.raises(StoppedError, match="start again with the same arguments") as stopped:
        follow(server)
    assert stopped.value.exit_code == 75
    assert server.jobs == {}


def test_a_pod_that_takes_the_place_of_another_goes_on_with_its_job(server):
    server.jobs[NAME] = {**JOB, "metadata": {**JOB["metadata"], "ownerReferences": [{"uid": "x"}]}}
    seen = []
    server.moments = [([], both(RUNNING))] * 2 + [(COMPLETE, both(DONE))]
    server.on_look = lambda number: seen.append(server.jobs[NAME]["metadata"]["ownerReferences"])
    told = follow(server)
    assert f"{NAME}: continuing the job that is running" in told
    assert server.made == []
    assert seen[-1] == JOB["metadata"]["ownerReferences"]


def test_a_job_of_the_same_name_that_failed_is_made_anew(server):
    server.jobs[NAME] = {**JOB, "status": {"conditions": FAILED}}
    server.moments = [(COMPLETE, both(DONE))]
    follow(server)
    assert server.made == [JOB]


def test_an_api_that_is_away_for_a_moment_is_asked_again(server):
    server.moments = [([], both(RUNNING)), (COMPLETE, both(DONE))]
    server.outages = 2
    told = follow(server)
    assert len([line for line in told if "does not answer" in line]) == 2


@pytest.mark.parametrize(
    ("refused", "status", "message"),
    [
        (("POST", JOBS), 404, "the cluster has no TrainJobs: install Kubeflow Trainer"),
        (("POST", JOBS), 403, "may not create .*apply manifests/overlays/nodes"),
        (("GET", PODS), 403, "may not read the pods .*apply manifests/overlays/nodes"),
        (("POST", JOBS), 422, "cannot create the TrainJob: .* is refused"),
    ],
)
def test_a_refusal_of_the_cluster_says_what_to_do(server, refused, status, message):
    server.moments = [([], [])]
    server.refusals[refused] = status
    with pytest.raises(TrainJobError, match=message):
        follow(server)
    assert server.jobs == {}


def test_a_job_that_somebody_deletes_is_missed(server):
    server.moments = [([], both(RUNNING))]
    server.on_look = lambda number: server.jobs.clear()
    with pytest.raises(TrainJobError, match="deleted by somebody else"):
        follow(server)


def test_the_role_allows_what_is_done_and_nothing_else(server):
    """Everything that the tests above have asked for, in one run."""
    server.jobs[NAME] = dict(JOB)
    server.moments = [([], both(RUNNING)), (COMPLETE, both(DONE))]
    jobs = TrainJobs(server.api(), NAMESPACE)
    jobs.queue_of(OWNER)
    train_on_nodes(jobs, JOB, tell=lambda line: None, tick=0.01)
    [role] = [
        each
        for each in load("overlays/nodes")
        if each["kind"] == "Role" and each["metadata"]["name"] == "stt-bootstrap-nodes"
    ]
    allowed = {
        (verb, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
    assert set(server.asked) == allowed


def test_the_queue_is_that_of_the_pod(server):
    server.own_pod["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "gpus"
    assert TrainJobs(server.api(), NAMESPACE).queue_of(OWNER) == "gpus"


def test_no_secret_is_handed_on():
    environ = {
        "MLFLOW_TRACKING_URI": "https://user:secret@mlflow",
        "MLFLOW_TRACKING_TOKEN": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "MLFLOW_RUN_ID": "7",
    }
    job = describe_train_job("s3://a/offers/1", 2, NodeSize("1", "1Gi"), OWNER, environ=environ)
    assert job["spec"]["trainer"]["env"] == [{"name": "MLFLOW_RUN_ID", "value": "7"}]


def test_outside_of_a_pod_it_says_so():
    with pytest.raises(TrainJobError, match="use the component training"):
        Owner.from_environment({})
