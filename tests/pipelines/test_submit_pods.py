"""What `submit` says of pods that wait, fail or vanish, against answers of a real cluster."""

import base64
import copy
import gzip
import json
import os
import re

import pytest
import urllib3

from stt_bootstrap.pipelines import run_watch
from stt_bootstrap.pipelines.run_pods import RunPods, task_of, title_of
from tests.command_line import call
from tests.pipelines.kubeflow_server import KubeflowServer, pod, recorded, task

ATTACH = ("submit", "--attach", "run-1")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    monkeypatch.setattr(run_watch, "POLL_SECONDS", 0.01)
    for name in [name for name in os.environ if name.startswith(("KFP_", "KF_", "KUBE"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def server(tmp_path, monkeypatch):
    with KubeflowServer() as server:
        cluster = {"name": "c", "cluster": {"server": server.endpoint}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "x"}
        config |= {"clusters": [cluster], "contexts": [context], "users": [{"name": "u"}]}
        config["users"] = [{"name": "u", "user": {}}]
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        server.states = [("SUCCEEDED", [])]
        yield server


@pytest.fixture
def attach(server):
    def call_attach(*flags):
        return call(*ATTACH, "--endpoint", server.endpoint, *flags)

    return call_attach


def run_pod(recording, task_name="training"):
    """Return a recorded pod as one of a task of the run."""
    made = copy.deepcopy(recorded(recording))
    made["metadata"]["annotations"] = pod("", task_name, "")["metadata"]["annotations"]
    return made


def objects(outcome):
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_a_pod_without_room_is_said_to_wait_at_once(server, attach):
    server.pods = [run_pod("pod-unschedulable.json")]
    server.events = recorded("events-unschedulable.json")["items"]
    server.states = [("RUNNING", [task("training", "RUNNING")])] * 3 + [("SUCCEEDED", [])]
    outcome = attach()
    assert outcome.code == 0
    said = "Train: waiting (Unschedulable): 0/1 nodes are available: 1 Insufficient cpu"
    assert outcome.err.splitlines()[:2] == [said, "Train: starting"]
    assert outcome.err.count("waiting") == 1


def test_a_program_is_told_what_a_pod_waits_for(server, attach):
    server.pods = [run_pod("pod-unschedulable.json")]
    outcome = attach("--output", "json")
    waiting, end = objects(outcome)
    assert waiting == {
        "event": "waiting",
        "task": "Train",
        "pod": "rec-unschedulable",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu",
    }
    assert (end["event"], end["state"], end["succeeded"]) == ("end", "SUCCEEDED", True)


def test_an_image_that_cannot_be_pulled(server, attach):
    server.pods = [run_pod("pod-image-pull.json", "source-analysis")]
    server.events = recorded("events-image-pull.json")["items"]
    outcome = attach()
    (said,) = [line for line in outcome.err.splitlines() if "ImagePullBackOff" in line]
    assert said.startswith(
        "Fine-tune or transfer: waiting (ImagePullBackOff): Back-off pulling image "
    )
    assert "connection refused" in said


def test_an_image_that_is_being_pulled(server, attach):
    server.pods = [run_pod("pod-image-pull.json")]
    server.pods[0]["status"]["containerStatuses"][0]["state"] = {
        "waiting": {"reason": "ContainerCreating"}
    }
    events = recorded("events-image-pull.json")["items"]
    server.events = [each for each in events if each["reason"] in ("Scheduled", "Pulling")]
    assert 'Train: waiting (Pulling): Pulling image "localhost/none:1"' in attach().err


def test_a_sandbox_that_cannot_be_made_is_known_from_events(server, attach):
    server.pods = [run_pod("pod-image-pull.json")]
    server.pods[0]["status"].pop("containerStatuses")
    (event,) = recorded("events-sandbox.json")["items"]
    event["involvedObject"]["name"] = "rec-badimage"
    server.events = [event]
    said = "Train: waiting (FailedCreatePodSandBox): Failed to create pod sandbox: rpc error"
    assert said in attach().err


def test_a_volume_that_is_not_there(server, attach):
    server.pods = [run_pod("pod-image-pull.json")]
    server.pods[0]["status"].pop("containerStatuses")
    (event,) = recorded("events-sandbox.json")["items"]
    event["involvedObject"]["name"] = "rec-badimage"
    # Two attempts are one wait.
    server.events = [
        event | {"reason": "FailedMount", "message": f"attempt {n}: no disk"} for n in (1, 2)
    ]
    err = attach().err
    assert err.count("Train: waiting (FailedMount): attempt") == 1


def test_a_quota_that_lets_no_pod_be_made(server, attach):
    workflow = recorded("workflow-retried.json")
    nodes = workflow["items"][0]["status"]["nodes"]
    node = next(each for each in nodes.values() if each["type"] == "Pod")
    node |= {"phase": "Pending", "message": recorded("quota-refusal-403.json")["message"]}
    server.workflows = [workflow]
    outcome = attach()
    (said,) = [line for line in outcome.err.splitlines() if "waiting" in line]
    assert said.startswith("Train: waiting (ExceededQuota): pods ")
    assert "requested: requests.cpu=64, used: requests.cpu=920m, limited: requests.cpu=8" in said


def test_events_that_may_not_be_listed_hide_nothing_else(server, attach):
    server.pods = [run_pod("pod-unschedulable.json")]
    server.refuse("GET", "/api/v1/namespaces/kubeflow/events", 403, "events is forbidden")
    server.states = [("RUNNING", [task("training", "RUNNING")]), ("SUCCEEDED", [])]
    err = attach().err
    assert "Train: waiting (Unschedulable)" in err
    assert err.count("cannot be read (Forbidden)") == 1
    assert "Train: starting" in err


def test_a_cluster_that_does_not_answer_does_not_hold_up_the_watch(
    server, attach, monkeypatch, tmp_path
):
    asked = []

    def no_answer(*_, **__):
        asked.append(1)
        raise urllib3.exceptions.HTTPError("no route to host")

    monkeypatch.setattr(RunPods, "pods", no_answer)
    server.states = [("RUNNING", [task("training", "RUNNING")])] * 5 + [("SUCCEEDED", [])]
    err = attach().err
    assert err.count("the pods cannot be read (no route to host)") == 1
    assert "Train: running" in err
    assert len(asked) == 1


def test_a_running_pod_ends_the_starting(server, attach):
    server.pods = [run_pod("pod-training-running.json")]
    server.states = [("RUNNING", [task("training", "RUNNING")])] * 2 + [("SUCCEEDED", [])]
    assert attach().err.splitlines() == ["Train: running"]


def test_a_driver_that_failed_is_named_with_its_fatal_line(server, attach):
    server.states = [recorded("run-failed-driver.json")]
    server.pods = recorded("pods-failed-driver.json")["items"]
    server.workflows = [recorded("workflow-failed-driver.json")]
    failed = next(each for each in server.pods if each["status"]["phase"] == "Failed")
    server.logs = {failed["metadata"]["name"]: recorded("log-driver-failed-main.txt")}
    outcome = attach("--follow")
    assert outcome.code == 1
    *_, error = outcome.err.splitlines()
    reason = (
        "rpc error: code = AlreadyExists desc = Given event already exists: artifact_id: 2 "
        "execution_id: 135"
    )
    assert error.startswith(f"error: the run ended as failed: adapt (its driver): {reason}")
    assert "UNIQUE constraint failed" in error
    first = outcome.err.index(f"adapt (its driver): a pod failed: {reason}")
    assert first < outcome.err.index("adapt (its driver) | ")
    assert server.retries == 0


def test_a_driver_that_failed_is_named_without_a_way_to_the_pods(server, attach):
    server.states = [recorded("run-failed-driver.json")]
    server.refuse("GET", "/api/v1/namespaces/kubeflow/pods", 403, "pods is forbidden")
    outcome = attach()
    assert outcome.err.endswith("error: the run ended as failed: adapt (its driver)\n")


def test_a_refusal_says_our_own_reason(server, attach):
    server.states = [recorded("run-refused.json")]
    server.pods = recorded("pods-refused.json")["items"]
    server.workflows = [recorded("workflow-refused.json")]
    (name,) = [each["metadata"]["name"] for each in server.pods]
    server.logs = {name: recorded("log-executor-failed-main.txt")}
    outcome = attach("--output", "json")
    reason = "fine-tune was asked for, but the checkpoint has no label for '\u0430' U+0430"
    assert f"error: the run ended as failed: Refuse: {reason}" in outcome.err
    *_, end = objects(outcome)
    assert end["reasons"]["Refuse"].startswith(reason)
    assert end["failed"] == ["Refuse"]


def test_task_states_that_lag_behind_the_run_are_waited_for(server, attach):
    server.states = [
        ("RUNNING", [task("model-export", "RUNNING")]),
        ("SUCCEEDED", [task("model-export", "RUNNING")]),
        ("SUCCEEDED", [task("model-export", "RUNNING")]),
        ("SUCCEEDED", [task("model-export", "SUCCEEDED", 21)]),
    ]
    assert "Export: done in 21 s" in attach().err


def test_a_run_that_lost_a_pod_is_tried_again_by_itself(server, attach):
    server.states = [recorded("run-pod-deleted.json")]
    server.workflows = [recorded("workflow-pod-deleted.json")]
    server.after_retry = lambda: server.states.__setitem__(0, ("SUCCEEDED", []))
    outcome = attach("--output", "json")
    assert (outcome.code, server.retries) == (0, 1)
    lost = "Train: the pod was lost or evicted; the run continues from its finished tasks"
    said = f"{lost} (retry 1 of 2)"
    assert said in outcome.err
    events = objects(outcome)
    assert {"event": "retry", "tasks": ["Train"], "attempt": 1, "of": 2} in events
    assert events[-1]["succeeded"] is True


def test_a_pod_that_is_lost_again_and_again_ends_the_run(server, attach):
    server.states = [recorded("run-pod-deleted.json")]
    server.workflows = [recorded("workflow-pod-deleted.json")]
    outcome = attach("--retries", 3)
    assert (outcome.code, server.retries) == (1, 3)
    assert outcome.err.endswith("error: the run ended as failed: Train: its pod was lost\n")


def test_no_retries_on_request(server, attach):
    server.states = [recorded("run-pod-deleted.json")]
    server.workflows = [recorded("workflow-pod-deleted.json")]
    assert attach("--retries", 0).code == 1
    assert server.retries == 0


def test_a_step_that_failed_by_itself_is_never_tried_again(server, attach):
    server.states = [recorded("run-refused.json")]
    server.workflows = [recorded("workflow-refused.json")]
    assert attach().code == 1
    assert server.retries == 0


def test_a_lost_pod_beside_a_failed_one_is_not_tried_again(server, attach):
    lost, refused = recorded("workflow-pod-deleted.json"), recorded("workflow-refused.json")
    nodes = lost["items"][0]["status"]["nodes"]
    nodes |= refused["items"][0]["status"]["nodes"]
    server.states = [recorded("run-pod-deleted.json")]
    server.workflows = [lost]
    assert attach().code == 1
    assert server.retries == 0


def test_an_evicted_pod_is_tried_again(server, attach):
    workflow = recorded("workflow-refused.json")
    server.states = [recorded("run-refused.json")]
    server.workflows = [workflow]
    (evicted,) = recorded("pods-refused.json")["items"]
    evicted["status"] = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "The node was low on resource: memory.",
    }
    server.pods = [evicted]
    server.logs = {evicted["metadata"]["name"]: ""}
    server.after_retry = lambda: server.states.__setitem__(0, ("SUCCEEDED", []))
    outcome = attach()
    assert (outcome.code, server.retries) == (0, 1)
    assert "Refuse: a pod failed: Evicted: The node was low on resource: memory." in outcome.err


def test_a_pod_that_argo_tried_again_itself_is_left_alone(server, attach):
    # The training that was lost has a second attempt, which succeeded.
    workflow = recorded("workflow-retried.json")
    nodes = workflow["items"][0]["status"]["nodes"]
    assert "pod deleted" in str(nodes)
    server.workflows = [workflow]
    server.states = [("FAILED", [task("evaluation", "FAILED", 5)])]
    assert attach().code == 1
    assert server.retries == 0


def test_a_kubeflow_that_refuses_to_try_again(server, attach):
    server.states = [recorded("run-pod-deleted.json")]
    server.workflows = [recorded("workflow-pod-deleted.json")]
    server.refuse("POST", "/apis/v2beta1/runs/run-1:retry", 403, "no way")
    outcome = attach()
    assert outcome.code == 1
    assert "error: retrying run run-1: 403 Forbidden: no way" in outcome.err


def test_killed_for_memory(server, attach):
    killed = run_pod("pod-training-running.json")
    killed["status"]["phase"] = "Failed"
    killed["status"]["containerStatuses"] = [
        {
            "name": "main",
            "image": "",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        }
    ]
    server.pods = [killed]
    server.logs = {killed["metadata"]["name"]: "epoch 1\n"}
    server.states = [("FAILED", [task("training", "FAILED", 5)])]
    said = "Train: killed: out of memory (its limit is 3Gi)"
    assert attach().err.endswith(f"error: the run ended as failed: {said}\n")


def test_a_workflow_that_argo_packed_is_unpacked(server):
    workflow = recorded("workflow-retried.json")
    status = workflow["items"][0]["status"]
    nodes = status.pop("nodes")
    status["compressedNodes"] = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    server.workflows = [workflow]
    assert RunPods("kubeflow").workflow_nodes("run-1") == nodes


@pytest.mark.parametrize(
    ("node", "task_name", "title"),
    [
        ("r(0).root(0).training(0).executor(1)", "training", "Train"),
        ("r(0).root(0).training-2-driver(0)", "training-2-driver", "Train (its driver)"),
        ("r.root.fine-tune-driver", "fine-tune-driver", "fine-tune (its driver)"),
        ("r(0).root-driver(0)", "root-driver", "root (its driver)"),
    ],
)
def test_names_of_nodes(node, task_name, title):
    assert task_of(node) == task_name
    assert title_of(task_name, {"training": "Train", "training-2": "Train"}) == title


def test_retries_are_counted_in_whole_numbers():
    outcome = call(*ATTACH, "--retries", "-1")
    assert outcome.code == 2
    assert re.search("expected 0, 1, 2", outcome.err)
