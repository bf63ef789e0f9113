import pytest

from stt_bootstrap.pipelines.compile import compile_all
from stt_bootstrap.pipelines.preflight.findings import Status

PATH = "/apis/kueue.x-k8s.io/{}/namespaces/speech/localqueues/gpus"


@pytest.fixture(scope="module")
def queued(tmp_path_factory):
    """A package whose pods wait in the queue gpus."""
    return compile_all(tmp_path_factory.mktemp("queued"), queue="gpus")[-1]


def queue(active="True"):
    return {
        "metadata": {"name": "gpus"},
        "spec": {"clusterQueue": "all"},
        "status": {"conditions": [{"type": "Active", "status": active, "message": "Can't"}]},
    }


def test_a_package_without_a_queue_needs_none(look):
    (finding,) = look("queue")
    assert finding.status is Status.OK


def test_a_queue_that_is_not_there_is_told(look, queued):
    (finding,) = look("queue", package=queued)
    assert finding.status is Status.FAILED
    assert "no LocalQueue gpus" in finding.found
    assert "--queue" in finding.remedy


@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
def test_a_queue_that_is_there(look, api, queued, version):
    api.objects[PATH.format(version)] = queue()
    (finding,) = look("queue", package=queued)
    assert (finding.status, finding.found) == (Status.OK, "LocalQueue gpus of ClusterQueue all")


def test_a_queue_that_is_stopped(look, api, queued):
    api.objects[PATH.format("v1beta1")] = queue("False")
    (finding,) = look("queue", package=queued)
    assert finding.status is Status.FAILED
    assert "Can't" in finding.found


def test_whoever_may_not_look_is_told_so(look, api, queued):
    api.refusals[PATH.format("v1beta2")] = 403
    (finding,) = look("queue", package=queued)
    assert finding.status is Status.WARNING
