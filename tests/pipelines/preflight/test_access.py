"""Every check on the way in passes once and fails once, against answers as the API gives them."""

import os
from pathlib import Path

import pytest
import yaml

from stt_bootstrap.pipelines.preflight import checks
from stt_bootstrap.pipelines.preflight.access import RUNNER_PERMISSIONS
from stt_bootstrap.pipelines.preflight.artifacts import DEFAULT_SECRET
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Status
from stt_bootstrap.pipelines.preflight.plan import Plan
from tests.manifests.render import load
from tests.pipelines.kubeflow_server import recorded
from tests.pipelines.kubernetes_server import CONTROLLER, NAMESPACE, secret
from tests.pipelines.preflight.checked import GPU, PLACE, RUNNER, STORE, only

PROVIDERS = """
s3:
  default:
    credentials: {fromEnv: false, secretRef: {secretName: stt-bootstrap-store}}
"""


def _strategy(policy):
    strategy = {"retryStrategy": {"limit": "2", "retryPolicy": policy}}
    return yaml.safe_dump({"spec": {"templateDefaults": strategy}})


def test_a_healthy_cluster_passes(api, package):
    findings = checks.preflight(Plan(package=package, **GPU), Cluster.connect("speech"))
    assert {f.status for f in findings} == {Status.OK, Status.SKIPPED}
    expected = (checks.access.check_version, *checks.OF_THE_CLUSTER, *checks.OF_THE_STORE)
    assert {f.check for f in findings} - {"store"} == {
        check.__name__.removeprefix("check_").replace("_", " ") for check in expected
    }


def test_an_old_cluster_is_warned_of(api, look):
    api.objects["/version/"] |= {"minor": "24+", "gitVersion": "v1.24.3-gke"}
    assert "v1.24.3-gke" in only(look("version"), Status.WARNING).found


def test_nothing_listens(api, look, monkeypatch, tmp_path):
    dead = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    dead["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:9"
    (tmp_path / "dead").write_text(yaml.safe_dump(dead))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "dead"))
    finding = only(look("version"), Status.FAILED)
    assert "refused" in finding.found
    assert "KUBECONFIG" in finding.remedy


def test_an_expired_login(api, look):
    api.refusals["/version/"] = 401
    assert "log in" in only(look("version"), Status.FAILED).remedy


def test_no_namespace(api, look):
    del api.objects[NAMESPACE]
    assert "speech" in only(look("namespace"), Status.FAILED).found


def test_a_namespace_that_goes(api, look):
    api.objects[NAMESPACE]["status"]["phase"] = "Terminating"
    assert "Terminating" in only(look("namespace"), Status.FAILED).found


def test_a_forbidden_check_is_reported_and_the_others_are_made(api, look):
    api.refusals["/api/v1/nodes"] = 403
    assert "may not read it" in only(look("nodes"), Status.WARNING).found
    assert look("quota")[0].status is Status.OK


def test_an_api_that_breaks(api, look):
    api.refusals[f"{NAMESPACE}/limitranges"] = 500
    assert "500" in only(look("limits"), Status.FAILED).found


def test_own_permissions(api, look):
    api.denied = {"get pods/log"}
    finding = only(look("own permissions"), Status.WARNING)
    assert "get pods/log" in finding.found
    assert "list pods" not in finding.found


def test_no_service_account(api, look):
    del api.objects[RUNNER]
    assert "kubectl apply" in only(look("service account"), Status.FAILED).remedy


def test_a_service_account_that_may_not(api, look):
    api.denied = {"patch workflowtaskresults"}
    assert "patch workflowtaskresults" in only(look("runner permissions"), Status.FAILED).found


def test_the_permissions_asked_about_are_those_of_the_manifests():
    [role] = [each for each in load("base") if each["kind"] == "Role"]
    granted = {
        (group, resource, name, tuple(rule["verbs"]))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }
    # The launcher reads only one of the secrets, which depends on where artifacts are kept: the
    # check of the artifacts asks about that one.
    assert {each for each in granted if each[1] != "secrets"} == set(RUNNER_PERMISSIONS)
    assert ("", "secrets", DEFAULT_SECRET, ("get",)) in granted


def test_a_service_account_that_may_not_get_the_keys_to_the_artifacts(api, look):
    api.denied = {"get secrets"}
    finding = only(look("artifacts"), Status.FAILED)
    assert "stt-bootstrap-runner may not get secrets mlpipeline-minio-artifact" in finding.found
    assert 'secrets "mlpipeline-minio-artifact" is forbidden' in finding.found
    assert "kubectl apply" in finding.remedy


def test_no_keys_to_the_artifacts(api, look):
    del api.objects[f"{NAMESPACE}/secrets/mlpipeline-minio-artifact"]
    finding = only(look("artifacts"), Status.FAILED)
    assert "no secret mlpipeline-minio-artifact" in finding.found


@pytest.mark.parametrize(
    ("launcher", "found"),
    [
        (recorded("configmap-kfp-launcher.json"), "may get secrets mlpipeline-minio-artifact"),
        (
            {"data": {"defaultPipelineRoot": "s3://b/a", "providers": PROVIDERS}},
            "may get secrets stt-bootstrap-store",
        ),
        (
            {
                "data": {
                    "defaultPipelineRoot": "s3://b/a",
                    "providers": "s3: {default: {credentials: {fromEnv: true}}}",
                }
            },
            "takes the keys from the pods' environment",
        ),
        (
            {"data": {"defaultPipelineRoot": "s3://b/a", "providers": "["}},
            "may get secrets mlpipeline-minio-artifact",
        ),
    ],
)
def test_which_secret_the_launcher_reads(api, look, launcher, found):
    api.objects[f"{NAMESPACE}/configmaps/kfp-launcher"] = launcher
    assert found in only(look("artifacts"), Status.OK).found


def test_a_lost_pod_is_tried_again_by_the_stock_defaults_and_an_error_is_not(look):
    found = only(look("retries"), Status.OK).found
    assert "kubeflow/workflow-controller-configmap has retryPolicy OnError, limit 2" in found
    assert "a pod that is lost is retried 2 times" in found
    assert "a step that ends with an error is not retried, whatever the package says" in found


@pytest.mark.parametrize(
    ("defaults", "status", "found"),
    [
        ("spec: {ttlStrategy: {}}", Status.OK, "has no default retries: a step that ends with an"),
        (None, Status.OK, "`submit --retries N` does that"),
        (_strategy("Always"), Status.WARNING, "retry the whole groups of steps"),
        (_strategy("OnFailure"), Status.OK, "is retried as the package says; a pod that is"),
        (_strategy("OnTransientError"), Status.OK, "only errors that Argo takes for temporary"),
        ("{", Status.WARNING, "is not valid YAML"),
    ],
)
def test_other_defaults_of_argo(api, look, defaults, status, found):
    data = api.objects[CONTROLLER]["data"]
    data.pop("workflowDefaults")
    if defaults:
        data["workflowDefaults"] = defaults
    assert found in only(look("retries"), status).found


def test_no_defaults_of_argo_to_look_at(api, look):
    del api.objects[CONTROLLER]
    assert "--kubeflow_namespace" in only(look("retries"), Status.WARNING).remedy
    api.refusals[CONTROLLER] = 403
    assert "you may not read it" in only(look("retries"), Status.WARNING).found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (None, "no secret"),
        ({"AWS_ACCESS_KEY_ID": "hidden-1"}, "lacks AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "hidden-1", "AWS_SECRET_ACCESS_KEY": ""}, "lacks AWS_SECRET"),
        ({"AWS_ACCESS_KEY_ID": "hidden-1", "AWS_SECRET_ACCESS_KEY": "hidden-2\n"}, "line end"),
    ],
)
def test_a_secret_that_no_task_could_use(api, look, values, found):
    del api.objects[STORE]
    if values:
        api.objects[STORE] = secret(values)
    finding = only(look("secret"), Status.FAILED)
    assert found in finding.found
    assert "kubectl -n speech create secret generic stt-bootstrap-store" in finding.remedy
    assert "hidden" not in str(finding)


def test_temporary_keys_are_warned_of(api, look):
    api.objects[STORE] = secret(
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "hidden"}
    )
    finding = only(look("secret"), Status.WARNING)
    assert "temporary keys" in finding.found
    assert "hidden" not in str(finding)


@pytest.mark.parametrize(
    ("annotations", "endpoint", "status", "found"),
    [
        (
            {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/speech"},
            "https://s3.eu-west-1.amazonaws.com",
            Status.OK,
            "has the role arn:aws:iam::1:role/speech, through EKS's web identity",
        ),
        (
            {"iam.gke.io/gcp-service-account": "speech@p.iam.gserviceaccount.com"},
            "https://storage.googleapis.com",
            Status.FAILED,
            "is speech@p.iam.gserviceaccount.com at Google, whose store accepts S3 requests",
        ),
        ({}, "https://s3.eu-west-1.amazonaws.com", Status.WARNING, "only EKS Pod Identity or the"),
        ({}, "http://minio:9000", Status.FAILED, "no secret stt-bootstrap-store"),
    ],
)
def test_without_a_secret_the_credentials_of_runs_are_named(
    api, look, annotations, endpoint, status, found
):
    del api.objects[STORE]
    api.objects[RUNNER]["metadata"]["annotations"] = annotations
    api.objects[PLACE]["data"]["AWS_ENDPOINT_URL_S3"] = endpoint
    assert found in only(look("secret"), status).found


def test_no_config_map(api, look):
    del api.objects[PLACE]
    only(look("config map"), Status.FAILED)


def test_a_config_map_without_a_region(api, look):
    del api.objects[PLACE]["data"]["AWS_REGION"]
    assert "AWS_REGION" in only(look("config map"), Status.WARNING).found


def test_images_that_no_node_can_pull(look):
    finding = only(look("images", package=Plan().package), Status.WARNING)
    assert "localhost/stt-bootstrap/light" in finding.found


def test_no_pull_secret_is_fine(api, look):
    del api.objects[RUNNER]["imagePullSecrets"]
    assert "without a pull secret" in only(look("images"), Status.OK).found


@pytest.mark.parametrize(
    ("content", "status", "found"),
    [
        (None, Status.FAILED, "no secret registry"),
        (secret({"password": "hidden"}), Status.FAILED, "not for pulling"),
        (
            secret({".dockerconfigjson": "{"}, "kubernetes.io/dockerconfigjson"),
            Status.FAILED,
            "no login that can be read",
        ),
        (
            secret(
                {".dockercfg": '{"https://other.example.org/v1/": {"auth": "hidden"}}'},
                "kubernetes.io/dockercfg",
            ),
            Status.WARNING,
            "no login for registry.example.org",
        ),
    ],
)
def test_a_pull_secret_that_opens_nothing(api, look, content, status, found):
    del api.objects[f"{NAMESPACE}/secrets/registry"]
    if content:
        api.objects[f"{NAMESPACE}/secrets/registry"] = content
    finding = only(look("images"), status)
    assert found in finding.found
    assert "hidden" not in str(finding)
