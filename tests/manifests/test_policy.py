"""The rules that everything in ``manifests`` keeps, over what kustomize makes of it."""

import re

import pytest
import yaml

from stt_bootstrap.components import images
from tests.manifests.render import KUSTOMIZATIONS, load

FOREIGN_IMAGES = {
    "docker.io/rclone/rclone:1.75.2",
    "docker.io/tensorflow/tensorflow:2.19.0",
}
RUNTIME = "ClusterTrainingRuntime"
OUR_IMAGES = {images.reference(name) for name in images.NAMES}


def resources(*kinds):
    """Return all resources of these kinds, or of any, each as a parameter of a test."""
    return [
        pytest.param(resource, id=f"{name}-{resource['kind']}-{resource['metadata']['name']}")
        for name in KUSTOMIZATIONS
        for resource in load(name)
        if resource["kind"] in kinds or (not kinds and resource["kind"] != RUNTIME)
    ]


def workloads():
    return resources("Deployment", "Job")


def pods():
    """The same, and the nodes of a training, as the workload that Trainer makes of its runtime."""
    [runtime] = load("training-runtime")
    [job] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    return [*workloads(), pytest.param(job["template"], id=RUNTIME)]


def containers(workload):
    pod = workload["spec"]["template"]["spec"]
    return pod["containers"] + pod.get("initContainers", [])


@pytest.mark.parametrize("resource", resources())
def test_kinds_are_those_that_a_namespace_needs(resource):
    """No cluster-wide power, no namespace that would clash with Kubeflow's, and no secret."""
    assert resource["kind"] in {
        "ConfigMap",
        "Deployment",
        "Job",
        "LimitRange",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
    }
    assert resource["metadata"]["namespace"] == "kubeflow"
    assert resource["metadata"]["labels"]["app.kubernetes.io/part-of"] == "stt-bootstrap"


@pytest.mark.parametrize("workload", pods())
def test_pods_are_restricted(workload):
    """Pod Security's level "restricted", and a read-only root besides."""
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"].get("runAsUser") != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= {"emptyDir", "persistentVolumeClaim", "configMap"}
    for container in containers(workload):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("workload", workloads())
def test_pods_have_an_account_of_their_own_that_can_do_nothing(workload):
    pod = workload["spec"]["template"]["spec"]
    assert pod["serviceAccountName"].startswith("stt-bootstrap-")
    assert pod["serviceAccountName"] != "stt-bootstrap-runner"
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("workload", pods())
def test_containers_have_requests_and_limits(workload):
    for container in containers(workload):
        asked = container["resources"]
        assert {"cpu", "memory"} <= set(asked["requests"]) & set(asked["limits"])
    for volume in workload["spec"]["template"]["spec"]["volumes"]:
        assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": None})


@pytest.mark.parametrize("workload", pods())
def test_images_are_ours_or_known_and_pinned(workload):
    for container in containers(workload):
        assert container["image"] in OUR_IMAGES | FOREIGN_IMAGES
        assert re.search(r":[^:/]*\d|@sha256:[0-9a-f]{64}$", container["image"])
        assert not container["image"].endswith(":latest")


def test_every_workload_has_a_network_policy():
    for name in KUSTOMIZATIONS:
        selected = [
            resource["spec"]["podSelector"]["matchLabels"]
            for resource in load(name)
            if resource["kind"] == "NetworkPolicy"
        ]
        for resource in load(name):
            if resource["kind"] == "Deployment":
                assert resource["spec"]["template"]["metadata"]["labels"] in selected


@pytest.mark.parametrize("policy", resources("NetworkPolicy"))
def test_network_policies_close_both_ways_and_the_metadata_service(policy):
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    blocks = [
        peer["ipBlock"]
        for rule in policy["spec"].get("egress", [])
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    ]
    for block in blocks:
        if block["cidr"] == "0.0.0.0/0":
            assert "169.254.0.0/16" in block["except"]


@pytest.mark.parametrize("role", resources("Role"))
def test_roles_name_what_they_allow(role):
    for rule in role["rules"]:
        words = rule["apiGroups"] + rule["resources"] + rule["verbs"]
        assert "*" not in words
        assert not {"escalate", "bind", "impersonate"} & set(words)
        if {"secrets", "configmaps"} & set(rule["resources"]):
            assert rule["resourceNames"]
            assert rule["verbs"] == ["get"]


@pytest.mark.parametrize("resource", resources("ConfigMap", "Deployment", "Job"))
def test_no_value_of_a_secret(resource):
    text = yaml.safe_dump(resource)
    assert not re.search(r"AKIA|BEGIN [A-Z ]*PRIVATE KEY|:[^\s/@]+@", text)
    if resource["kind"] == "ConfigMap":
        assert not [key for key in resource["data"] if re.search("(?i)secret|password|token", key)]
    else:
        for container in containers(resource):
            for variable in container.get("env", []):
                if "KEY" in variable["name"]:
                    assert "valueFrom" in variable or "$(AWS_SECRET" in variable["value"]
