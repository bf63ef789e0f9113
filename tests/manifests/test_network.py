"""Whom the steps reach, and who reaches them, by the policies that kustomize makes."""

import pytest

from tests.manifests.network import Peer, lets_through
from tests.manifests.render import load

STEP = {"app.kubernetes.io/name": "stt-bootstrap"}
BOARD = {"app.kubernetes.io/name": "stt-bootstrap-tensorboard"}
NAMES = Peer(namespace="kube-system", labels={"k8s-app": "kube-dns"})
METADATA = Peer(address="169.254.169.254")
METADATA_6 = Peer(address="fd00:ec2::254")
AMAZON, SITE, OTHER_SITE = Peer("52.216.10.1"), Peer("10.0.0.9"), Peer("172.18.0.2")
BASED = ("base", "overlays/dev", "overlays/eks", "overlays/gke", "overlays/gpu")


def policies(kustomization):
    return [each for each in load(kustomization) if each["kind"] == "NetworkPolicy"]


@pytest.mark.parametrize("overlay", BASED)
@pytest.mark.parametrize(
    ("peer", "port", "expected"),
    [
        pytest.param(NAMES, 53, True, id="names"),
        pytest.param(Peer("169.254.20.10"), 53, True, id="names on the node"),
        pytest.param(Peer("8.8.8.8"), 53, False, id="names elsewhere, a way out for data"),
        pytest.param(Peer(namespace="other"), 53, False, id="port of names in another namespace"),
        pytest.param(Peer(namespace="kube-system"), 443, False, id="pods of the system"),
        pytest.param(Peer(namespace="kubeflow"), 9000, True, id="store beside the run"),
        pytest.param(AMAZON, 443, True, id="store with HTTPS"),
        pytest.param(Peer("2600:1f18::1"), 443, True, id="store with HTTPS by IPv6"),
        pytest.param(AMAZON, 80, False, id="HTTP"),
        pytest.param(AMAZON, 9000, False, id="MinIO anywhere"),
        pytest.param(SITE, 6443, True, id="API"),
        pytest.param(OTHER_SITE, 6443, True, id="API of kind"),
        pytest.param(SITE, 8443, True, id="API of minikube"),
        pytest.param(AMAZON, 6443, False, id="port of the API anywhere"),
        pytest.param(SITE, 22, False, id="machines of the site"),
        pytest.param(METADATA, 80, False, id="metadata"),
        pytest.param(METADATA, 443, False, id="metadata with HTTPS"),
        pytest.param(METADATA_6, 80, False, id="metadata by IPv6"),
        pytest.param(METADATA_6, 443, False, id="metadata with HTTPS by IPv6"),
        pytest.param(METADATA_6, 6443, False, id="metadata on the port of the API"),
        pytest.param(Peer("fe80::1"), 443, False, id="link-local by IPv6"),
    ],
)
def test_whom_the_steps_reach(overlay, peer, port, expected):
    assert lets_through(policies(overlay), STEP, peer, port) is expected


@pytest.mark.parametrize("port", [8887, 8888, 8080, 9000])
def test_steps_in_a_profile_reach_kubeflows_services_and_no_database(port):
    [policy] = policies("base")
    policy = {**policy, "metadata": {**policy["metadata"], "namespace": "team"}}
    kubeflow = Peer(namespace="kubeflow")
    assert lets_through([policy], STEP, kubeflow, port)
    assert not lets_through([policy], STEP, kubeflow, 3306)


@pytest.mark.parametrize("overlay", BASED)
def test_nobody_reaches_the_steps(overlay):
    for peer in (Peer(namespace="kubeflow"), Peer(namespace="other"), SITE):
        assert not lets_through(policies(overlay), STEP, peer, 8080, direction="ingress")


def test_on_google_names_come_from_the_address_of_the_metadata_service_and_nothing_else():
    assert lets_through(policies("overlays/gke"), STEP, METADATA, 53, protocol="UDP")
    assert not lets_through(policies("overlays/eks"), STEP, METADATA, 53, protocol="UDP")


def test_on_amazon_the_agent_of_pod_identity_is_reached_and_no_other_link_local_address():
    for address in ("169.254.170.23", "fd00:ec2::23"):
        assert lets_through(policies("overlays/eks"), STEP, Peer(address), 80)
        assert not lets_through(policies("base"), STEP, Peer(address), 80)
    assert not lets_through(policies("overlays/eks"), STEP, Peer("169.254.170.2"), 80)


@pytest.mark.parametrize(
    ("peer", "port", "expected"), [(AMAZON, 443, True), (AMAZON, 80, False), (METADATA, 80, False)]
)
def test_tensorboard_reaches_the_store_alone(peer, port, expected):
    assert lets_through(policies("overlays/tensorboard"), BOARD, peer, port) is expected


def test_the_store_of_a_small_cluster_is_reached_from_its_namespace_alone():
    store = {"app.kubernetes.io/name": "stt-bootstrap-s3"}
    found = policies("overlays/dev")
    assert lets_through(found, store, Peer(namespace="kubeflow"), 9000, direction="ingress")
    assert not lets_through(found, store, Peer(namespace="other"), 9000, direction="ingress")
    assert not lets_through(found, store, AMAZON, 443)
