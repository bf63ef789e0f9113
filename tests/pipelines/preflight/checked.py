"""What the tests of the checks share beside their fixtures."""

from tests.pipelines.kubernetes_server import NAMESPACE

GPU = {"gpu_type": "nvidia.com/gpu", "gpu_count": "2"}
STORE = f"{NAMESPACE}/secrets/stt-bootstrap-store"
PLACE = f"{NAMESPACE}/configmaps/stt-bootstrap-store"
CLAIM = f"{NAMESPACE}/persistentvolumeclaims/stt-bootstrap-cache"
RUNNER = f"{NAMESPACE}/serviceaccounts/stt-bootstrap-runner"


def only(findings, status):
    [finding] = findings
    assert finding.status is status, finding
    return finding


def of_step(findings, title, status):
    """Return the one finding about the steps of this title."""
    return only([each for each in findings if title in each.found.partition(":")[0]], status)
