"""Every check on room passes once and fails once, against answers as the API gives them."""

import pytest

from pipelines.preflight.findings import Status
from pipelines.preflight.plan import PreflightError
from tests.pipelines.kubernetes_server import NAMESPACE
from tests.pipelines.preflight.checked import CLAIM, GPU, only


def test_gpus_that_no_node_has(look):
    finding = only(look("nodes", gpu_type="amd.com/gpu"), Status.FAILED)
    assert "none of 2 nodes offers" in finding.found
    assert "amd.com/gpu 1" in finding.found


def test_more_gpus_than_any_node_has(look):
    finding = only(look("nodes", gpu_type="nvidia.com/gpu", gpu_count="8"), Status.FAILED)
    assert "at most cpu 16, memory 64Gi, nvidia.com/gpu 4" in finding.found


def test_gpus_that_others_have(look):
    finding = only(look("nodes", gpu_type="nvidia.com/gpu", gpu_count="3"), Status.WARNING)
    assert "other pods" in finding.found


def test_pods_that_ended_hold_nothing(api, look):
    api.objects["/api/v1/pods"][0]["status"]["phase"] = "Succeeded"
    assert "free on gpu" in only(look("nodes", **{**GPU, "gpu_count": "4"}), Status.OK).found


def test_a_node_selector_that_no_gpu_node_matches(look):
    finding = only(look("nodes", **GPU, node_selector={"disk": "tape"}), Status.FAILED)
    assert "gpu: label disk is 'ssd', not 'tape'" in finding.found
    only(look("nodes", **GPU, node_selector={"disk": "ssd"}), Status.OK)


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
    finding = only(look("nodes", **GPU, tolerations=tolerations), status)
    assert ("taint nvidia.com/gpu=present:NoSchedule" in finding.found) is (status is not Status.OK)


def test_a_node_that_is_not_ready(api, look):
    api.objects["/api/v1/nodes"][1]["status"]["conditions"][0]["status"] = "Unknown"
    assert "not ready" in only(look("nodes", **GPU), Status.FAILED).found


def test_a_quota_that_is_too_small(api, look):
    api.objects[f"{NAMESPACE}/resourcequotas"][0]["status"]["hard"]["requests.cpu"] = "4"
    finding = only(look("quota"), Status.FAILED)
    assert "requests.cpu 8 is asked for, 3 of 4 are left" in finding.found


def test_a_quota_that_is_used_up(look):
    finding = only(look("quota", **{**GPU, "gpu_count": "3"}), Status.WARNING)
    assert "requests.nvidia.com/gpu 3 is asked for, 2 of 4 are left" in finding.found


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
