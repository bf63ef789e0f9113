import pytest

from stt_bootstrap.pipelines.compile import compile_all
from stt_bootstrap.pipelines.preflight.findings import Status
from stt_bootstrap.pipelines.preflight.nodes import NODES_PERMISSIONS
from stt_bootstrap.pipelines.variant import Variant
from tests.manifests.render import load
from tests.pipelines.preflight.checked import only

PATH = "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes/stt-bootstrap"


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """A package that trains on two nodes."""
    return compile_all(tmp_path_factory.mktemp("spread"), variant=Variant(nodes=2))[-1]


@pytest.fixture
def with_trainer(api):
    [api.objects[PATH]] = load("training-runtime")
    return api


def test_a_package_for_one_node_needs_neither(look):
    assert only(look("training runtime"), Status.OK).found == "the package trains on one node"
    assert only(look("nodes permissions"), Status.OK).found == "the package creates no TrainJob"


def test_a_runtime_that_is_there(look, with_trainer, spread):
    found = only(look("training runtime", package=spread), Status.OK).found
    assert found == "ClusterTrainingRuntime stt-bootstrap of version 0.1.0"


def test_a_runtime_that_is_not_there(look, api, spread):
    finding = only(look("training runtime", package=spread), Status.FAILED)
    assert "no ClusterTrainingRuntime stt-bootstrap" in finding.found
    assert "install Kubeflow Trainer" in finding.remedy


def test_a_runtime_of_another_version(look, with_trainer, spread):
    [job] = with_trainer.objects[PATH]["spec"]["template"]["spec"]["replicatedJobs"]
    [container] = job["template"]["spec"]["template"]["spec"]["containers"]
    container["image"] = "registry.example.org/speech/model-gpu:0.0.9"
    finding = only(look("training runtime", package=spread), Status.WARNING)
    assert "has image version 0.0.9, the package 0.1.0" in finding.found


def test_an_account_that_may_make_jobs(look, with_trainer, spread):
    only(look("nodes permissions", package=spread), Status.OK)


def test_an_account_that_may_not(look, with_trainer, spread):
    with_trainer.denied = {"create trainjobs", "get pods/log"}
    finding = only(look("nodes permissions", package=spread), Status.FAILED)
    assert finding.found == "stt-bootstrap-runner may not create trainjobs, get pods/log"
    assert "manifests/overlays/nodes" in finding.remedy


def test_the_permissions_asked_about_are_those_of_the_manifests():
    [role] = [
        each
        for each in load("overlays/nodes")
        if each["kind"] == "Role" and each["metadata"]["name"] == "stt-bootstrap-nodes"
    ]
    granted = {
        (group, resource, tuple(rule["verbs"]))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert granted == set(NODES_PERMISSIONS)
