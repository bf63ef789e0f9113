"""The training runtime and the TrainJobs that name it are what Kubeflow Trainer takes."""

import os
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubeflow_trainer_api import models

from stt_bootstrap.components import images
from stt_bootstrap.components.distributed_training.train_job import (
    RUNTIME,
    NodeSize,
    Owner,
    describe_train_job,
)
from stt_bootstrap.pipelines import cluster
from tests.manifests.network import Peer, lets_through
from tests.manifests.render import load

[RUNTIME_OBJECT] = load("training-runtime")
PLAIN = describe_train_job("s3://a/offers/1", 2, NodeSize("8", "32Gi"), Owner("pod", "uid"))
FULL = describe_train_job(
    "s3://a/offers/1",
    16,
    NodeSize(
        "7500m",
        "64Gi",
        "nvidia.com/gpu",
        "8",
        {"disk": "ssd"},
        [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    ),
    Owner("pod", "uid"),
    queue="gpus",
    environ={"MLFLOW_TRACKING_URI": "https://mlflow"},
)
OBJECTS = {
    "runtime": (models.TrainerV1alpha1ClusterTrainingRuntime, RUNTIME_OBJECT),
    "plain": (models.TrainerV1alpha1TrainJob, PLAIN),
    "full": (models.TrainerV1alpha1TrainJob, FULL),
}


def pod_template():
    [job] = RUNTIME_OBJECT["spec"]["template"]["spec"]["replicatedJobs"]
    return job["template"]["spec"]["template"]


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_are_those_of_trainers_api(name):
    """By the models that the project publishes: nothing is of another type, nothing is unknown."""
    model, content = OBJECTS[name]
    assert model.from_dict(content).to_dict() == content


def test_a_misspelt_field_is_found():
    wrong = {**PLAIN, "spec": {**PLAIN["spec"], "trainer": {"numNode": 2}}}
    assert models.TrainerV1alpha1TrainJob.from_dict(wrong).to_dict() != wrong


def test_pods_of_the_runtime_follow_the_schema_of_kubernetes():
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "node"},
        "spec": {"backoffLimit": 0, "template": pod_template()},
    }
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.skipif(not os.environ.get("TRAINER_CRDS"), reason="TRAINER_CRDS: folder of the CRDs")
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_follow_the_schemas_of_the_crds(name):
    """`make test-crds` brings them: what the API server of a cluster would check."""
    content = OBJECTS[name][1]
    kind = content["kind"].lower() + "s"
    path = Path(os.environ["TRAINER_CRDS"], f"trainer.kubeflow.org_{kind}.yaml")
    crd = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert crd["spec"]["names"]["kind"] == content["kind"]
    [version] = [each for each in crd["spec"]["versions"] if each["name"] == "v1alpha1"]
    schema = _closed(version["schema"]["openAPIV3Schema"])
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "spec": {**content["spec"], "trainor": {}}}, schema)


def _closed(schema):
    """Return a schema that refuses unknown fields, which the API server drops with a warning."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed["additionalProperties"] = False
    return closed


def test_nodes_are_told_of_each_other_and_start_again_together():
    spec = RUNTIME_OBJECT["spec"]
    assert spec["mlPolicy"]["torch"] == {}
    [job] = spec["template"]["spec"]["replicatedJobs"]
    assert job["name"] == "node"
    assert job["template"]["metadata"]["labels"] == {
        "trainer.kubeflow.org/trainjob-ancestor-step": "trainer"
    }
    assert job["template"]["spec"]["backoffLimit"] == 0
    assert pod_template()["spec"]["restartPolicy"] == "Never"
    assert spec["template"]["spec"]["failurePolicy"]["maxRestarts"] > 0


def test_names_are_those_of_the_pipeline():
    assert RUNTIME_OBJECT["metadata"]["name"] == RUNTIME
    spec = pod_template()["spec"]
    assert spec["serviceAccountName"] == cluster.SERVICE_ACCOUNT
    assert spec["automountServiceAccountToken"] is False
    [container] = spec["containers"]
    assert container["image"] == images.MODEL
    taken = {}
    for each in container["env"]:
        for source in each.get("valueFrom", {}).values():
            assert source["optional"] is True
            assert source["key"] == each["name"]
            taken.setdefault(source["name"], set()).add(source["key"])
    assert taken == {
        cluster.STORE_SECRET: {
            *cluster.STORE_SECRET_KEYS,
            cluster.STORE_SECRET_TOKEN,
            *cluster.STORE_CONFIG_KEYS,
        }
    }


def test_nodes_reach_each_other_and_what_steps_reach():
    labels = pod_template()["metadata"]["labels"]
    policies = [each for each in load("overlays/nodes") if each["kind"] == "NetworkPolicy"]
    other = Peer(namespace="kubeflow", labels=labels)
    step = Peer(namespace="kubeflow", labels={"app.kubernetes.io/name": "stt-bootstrap"})
    for port in (29500, 45678):
        assert lets_through(policies, labels, other, port, direction="ingress")
        assert not lets_through(policies, labels, step, port, direction="ingress")
        assert lets_through(policies, labels, other, port)
    assert lets_through(policies, labels, Peer("52.216.10.1"), 443)
    assert not lets_through(policies, labels, Peer("169.254.169.254"), 80)
