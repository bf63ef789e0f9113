"""A cluster that is played, and a look at it."""

import pytest

from stt_bootstrap.pipelines.compile import compile_all
from stt_bootstrap.pipelines.preflight import checks
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Status
from stt_bootstrap.pipelines.preflight.plan import Plan
from tests.pipelines.kubernetes_server import KubernetesServer


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """Return a compiled pipeline whose images a cluster can pull."""
    return compile_all(tmp_path_factory.mktemp("package"), registry="registry.example.org/speech")[
        -1
    ]


@pytest.fixture
def api(tmp_path, monkeypatch):
    with KubernetesServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.write_kubeconfig(tmp_path / "kubeconfig")))
        yield server


@pytest.fixture
def look(api, package):
    """Return a function that runs all checks and returns the findings of one by name."""

    def look_at(check, **plan):
        cluster = Cluster.connect("speech")
        findings = checks.preflight(Plan(**{"package": package, **plan}), cluster)
        for finding in findings:
            assert finding.remedy or finding.status in (Status.OK, Status.SKIPPED)
        return [finding for finding in findings if finding.check == check]

    return look_at
