"""The manifests and the compiled pipeline speak of the same things."""

import yaml

from stt_bootstrap.pipelines import cluster, package
from stt_bootstrap.pipelines.preflight.access import EKS_ROLE, GKE_ACCOUNT
from tests.manifests.render import SOURCES, load


def the(kind, name, kustomization="base"):
    [found] = [
        resource
        for resource in load(kustomization)
        if (resource["kind"], resource["metadata"]["name"]) == (kind, name)
    ]
    return found


def test_names_are_those_that_the_compiled_pipeline_uses():
    for name in ("base", "overlays/dev", "overlays/eks", "overlays/gke", "overlays/gpu"):
        the("ServiceAccount", cluster.SERVICE_ACCOUNT, name)
        config = the("ConfigMap", cluster.STORE_CONFIG_MAP, name)
        assert set(config["data"]) == set(cluster.STORE_CONFIG_KEYS)
    [to_secrets] = [
        rule
        for rule in the("Role", cluster.SERVICE_ACCOUNT)["rules"]
        if rule["resources"] == ["secrets"]
    ]
    assert cluster.STORE_SECRET in to_secrets["resourceNames"]


def test_accounts_are_annotated_as_preflight_looks_for_them():
    for name, key in (("overlays/eks", EKS_ROLE), ("overlays/gke", GKE_ACCOUNT)):
        annotations = the("ServiceAccount", cluster.SERVICE_ACCOUNT, name)["metadata"][
            "annotations"
        ]
        assert key in annotations


def test_the_steps_may_ask_the_agent_of_pod_identity_on_eks():
    steps = the("NetworkPolicy", "stt-bootstrap-steps", "overlays/eks")["spec"]["podSelector"]
    agent = the("NetworkPolicy", "stt-bootstrap-pod-identity", "overlays/eks")["spec"]
    assert agent["podSelector"] == steps
    addresses = [each["ipBlock"]["cidr"] for each in agent["egress"][0]["to"]]
    assert addresses == ["169.254.170.23/32", "fd00:ec2::23/128"]


def test_the_network_policy_is_for_the_steps_of_the_compiled_pipeline():
    text = package.PACKAGE.read_text()
    labels = the("NetworkPolicy", "stt-bootstrap-steps")["spec"]["podSelector"]["matchLabels"]
    [(key, value)] = labels.items()
    assert f"{key}: {value}" in text


def test_the_parameters_of_the_gpu_overlay_are_those_of_its_check():
    parameters = yaml.safe_load((SOURCES / "overlays/gpu/parameters.yaml").read_text())
    assert set(parameters) <= set(package.package_parameters())
    check = the("Job", "stt-bootstrap-gpu-check", "overlays/gpu")["spec"]["template"]["spec"]
    assert check["nodeSelector"] == parameters["node_selector"]
    assert check["tolerations"] == parameters["tolerations"]
    assert parameters["gpu_type"] in check["containers"][0]["resources"]["limits"]
    quota = the("ResourceQuota", "stt-bootstrap", "overlays/gpu")["spec"]["hard"]
    assert int(quota[f"requests.{parameters['gpu_type']}"]) >= int(parameters["gpu_count"])


def test_the_launcher_reads_the_keys_of_the_same_secret():
    [launcher] = load("overlays/artifact-store")
    assert launcher["metadata"]["name"] == "kfp-launcher"
    [provider] = yaml.safe_load(launcher["data"]["providers"]).items()
    assert launcher["data"]["defaultPipelineRoot"].startswith(f"{provider[0]}://")
    credentials = provider[1]["default"]["credentials"]
    assert credentials["fromEnv"] is False
    reference = credentials["secretRef"]
    assert reference.pop("secretName") == cluster.STORE_SECRET
    assert tuple(reference.values()) == cluster.STORE_SECRET_KEYS
