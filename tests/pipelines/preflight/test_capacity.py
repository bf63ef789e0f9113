"""Every check on room passes once and fails once, against answers as the API gives them."""

from decimal import Decimal

import pytest
import yaml

from stt_bootstrap.pipelines.package import PACKAGE, package_tasks
from stt_bootstrap.pipelines.preflight.capacity import GIB
from stt_bootstrap.pipelines.preflight.findings import Status
from stt_bootstrap.pipelines.preflight.plan import Plan, PreflightError
from tests.manifests.render import SOURCES
from tests.pipelines.kubernetes_server import NAMESPACE, node, pod
from tests.pipelines.preflight.checked import CLAIM, GPU, of_step, only


@pytest.fixture
def large_steps(package, tmp_path):
    """Return a package whose validation asks for 2 processors and 4 GiB, by no parameter."""
    documents = list(yaml.load_all(package.read_text(), Loader=yaml.CSafeLoader))
    executors = documents[0]["deploymentSpec"]["executors"]
    for executor in executors.values():
        if "training" not in str(executor["container"].get("resources")):
            executor["container"]["resources"] = {
                "resourceCpuLimit": "500m",
                "resourceMemoryLimit": "1Gi",
            }
    executors["exec-source-analysis"]["container"]["resources"] = {
        "resourceCpuLimit": "2",
        "resourceMemoryLimit": "4Gi",
    }
    (tmp_path / "large.yaml").write_text(yaml.dump_all(documents, Dumper=yaml.CSafeDumper))
    return tmp_path / "large.yaml"


def test_gpus_that_no_node_has(look):
    finding = of_step(look("nodes", gpu_type="amd.com/gpu"), "Train", Status.FAILED)
    assert "none of 2 nodes offers" in finding.found
    assert "amd.com/gpu 1" in finding.found
    assert "training_memory" in finding.remedy


def test_more_gpus_than_any_node_has(look):
    findings = look("nodes", gpu_type="nvidia.com/gpu", gpu_count="8")
    finding = only(findings, Status.FAILED)
    assert finding.found.startswith("Train: ")
    assert "at most cpu 16, memory 64Gi, nvidia.com/gpu 4" in finding.found


def test_gpus_that_others_have(look):
    finding = only(look("nodes", gpu_type="nvidia.com/gpu", gpu_count="3"), Status.WARNING)
    assert "other pods use it now" in finding.found
    assert "nvidia.com/gpu 2 are free" in finding.found


def test_pods_that_ended_hold_nothing(api, look):
    api.objects["/api/v1/pods"][0]["status"]["phase"] = "Succeeded"
    finding = of_step(look("nodes", **{**GPU, "gpu_count": "4"}), "Train", Status.OK)
    assert "free on gpu" in finding.found


def test_every_step_is_looked_at_and_not_only_training(api, look, large_steps):
    # Two processors, of which the cluster's own pods have some: training asks for one only.
    api.objects["/api/v1/nodes"] = [node("small", cpu="2", memory="6Gi")]
    api.objects["/api/v1/pods"] = [pod("small", cpu="1", memory="1Gi")]
    small = {"training_cpu": "500m", "training_memory": "2Gi"}
    sizes = {"evaluation_cpu": "1", "evaluation_memory": "2Gi"}
    findings = look("nodes", **small, sizes=sizes, package=large_steps)
    finding = of_step(findings, "Fine-tune or transfer", Status.WARNING)
    assert "cpu 2, memory 4Gi, but other pods use it now; at most cpu 1, memory 5Gi" in (
        finding.found
    )
    assert "until these pods end" in finding.remedy


def test_a_step_that_no_node_has_room_for_is_named_with_its_parameters(look):
    findings = look("nodes", sizes={"evaluation_memory": "640Gi"})
    finding = only(findings, Status.FAILED)
    assert finding.found.startswith("Evaluate: none of 2 nodes offers")
    assert "evaluation_cpu or evaluation_memory" in finding.remedy


def test_sizes_of_the_package_are_asked_for_where_no_parameter_says_them(package):
    steps = {title: step.asked for step in Plan(package=package).steps() for title in step.titles}
    assert steps["Train"] == {"cpu": 8, "memory": 32 * GIB}
    assert set(steps) == set(package_tasks(package).values())


def test_a_node_selector_that_no_gpu_node_matches(look):
    findings = look("nodes", **GPU, node_selector={"disk": "tape"})
    finding = of_step(findings, "Train", Status.FAILED)
    assert "gpu: label disk is 'ssd', not 'tape'" in finding.found
    # The other steps go where there is room.
    assert not [each for each in findings if each.found.startswith("Validate")]
    assert {f.status for f in look("nodes", **GPU, node_selector={"disk": "ssd"})} == {Status.OK}


@pytest.mark.parametrize(
    ("toleration", "status"),
    [
        (None, Status.FAILED),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, Status.OK),
        ({"key": "nvidia.com/gpu", "value": "present"}, Status.OK),
        ({"key": "nvidia.com/gpu", "value": "absent"}, Status.FAILED),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, Status.FAILED),
        ({"operator": "Exists"}, Status.OK),
        ({"key": "other", "operator": "Exists"}, Status.FAILED),
    ],
)
def test_taints_keep_out_whoever_does_not_tolerate_them(api, look, toleration, status):
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    api.objects["/api/v1/nodes"][1]["spec"]["taints"] = [taint]
    tolerations = [toleration] if toleration else []
    # Steps without a GPU have the other node.
    finding = of_step(look("nodes", **GPU, tolerations=tolerations), "Train", status)
    assert ("taint nvidia.com/gpu=present:NoSchedule" in finding.found) is (status is not Status.OK)


def test_a_node_that_is_not_ready(api, look):
    api.objects["/api/v1/nodes"][1]["status"]["conditions"][0]["status"] = "Unknown"
    assert "not ready" in of_step(look("nodes", **GPU), "Train", Status.FAILED).found


def test_a_quota_that_is_too_small(api, look):
    api.objects[f"{NAMESPACE}/resourcequotas"][0]["status"]["hard"]["requests.cpu"] = "4"
    finding = only(look("quota"), Status.FAILED)
    assert "requests.cpu 8 is requested, 3 of 4 are left" in finding.found


def test_a_quota_that_is_used_up(look):
    finding = only(look("quota", **{**GPU, "gpu_count": "3"}), Status.WARNING)
    assert "requests.nvidia.com/gpu 3 is requested, 2 of 4 are left" in finding.found


def test_no_quota(api, look):
    api.objects[f"{NAMESPACE}/resourcequotas"] = []
    assert only(look("quota"), Status.OK).found == "no quota"


def test_a_limit_range_that_is_too_small(api, look):
    api.objects[f"{NAMESPACE}/limitranges"][0]["spec"]["limits"][0]["max"]["memory"] = "24Gi"
    assert "at most 24Gi is allowed" in only(look("limits"), Status.FAILED).found


def test_no_cache(api, look):
    del api.objects[CLAIM]
    assert "no volume claim" in only(look("cache"), Status.WARNING).found


def test_a_cache_that_waits_for_a_pod(api, look):
    api.objects[CLAIM]["status"] = {"phase": "Pending"}
    assert "first pod" in only(look("cache"), Status.OK).found


def test_a_cache_that_waits_for_ever(api, look):
    api.objects[CLAIM]["status"] = {"phase": "Pending"}
    api.objects["/apis/storage.k8s.io/v1/storageclasses"] = []
    assert "describe pvc" in only(look("cache"), Status.FAILED).remedy


@pytest.mark.parametrize(
    "plan",
    [{"training_memory": "32 GB"}, {"training_cpu": "many"}, {**GPU, "gpu_count": "0.5"}],
)
def test_quantities_that_kubernetes_would_not_understand(look, plan):
    with pytest.raises(PreflightError, match="expected"):
        look("nodes", **plan)


# What Kubernetes' own pods ask for on a node of kind, Kubeflow Pipelines 2.17 by its manifests, and
# the S3 server of the overlay dev.
SMALL_CLUSTER = [
    pod("small", cpu="950m", memory="290Mi"),
    pod("small", cpu="674m", memory="3126Mi"),
    pod("small", cpu="50m", memory="64Mi"),
]


def test_a_small_cluster_has_room_for_every_step_with_the_sizes_of_its_overlay(api, look):
    api.objects["/api/v1/nodes"] = [node("small", cpu="2", memory="5800Mi")]
    api.objects["/api/v1/pods"] = SMALL_CLUSTER
    sizes = yaml.safe_load((SOURCES / "overlays/dev/parameters.yaml").read_text())
    findings = look("nodes", sizes=sizes)
    assert {each.status for each in findings} == {Status.OK}, findings
    # Beside each runs a container of Argo's, and a driver of Kubeflow's before it.
    for step in Plan(package=PACKAGE, sizes=sizes).steps():
        assert step.asked["cpu"] <= Decimal("0.27"), step.name
    assert {each.status for each in look("nodes")} != {Status.OK}, "and not with the defaults"
