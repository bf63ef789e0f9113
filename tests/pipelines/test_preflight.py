"""Every check of a cluster passes once and fails once, against answers as the API gives them."""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import yaml

from pipelines.compile import compile_all
from pipelines.preflight import checks
from pipelines.preflight.access import RUNNER_PERMISSIONS
from pipelines.preflight.cluster import Cluster
from pipelines.preflight.findings import Finding, Status, as_json, as_table
from pipelines.preflight.plan import Plan, PreflightError
from tests.command_line import call
from tests.manifests.render import load
from tests.pipelines.kubernetes_server import NAMESPACE, KubernetesServer, secret
from tests.stt_model.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

GPU = {"gpu_type": "nvidia.com/gpu", "gpu_count": "2"}
STORE = f"{NAMESPACE}/secrets/stt-bootstrap-store"
PLACE = f"{NAMESPACE}/configmaps/stt-bootstrap-store"
CLAIM = f"{NAMESPACE}/persistentvolumeclaims/stt-bootstrap-cache"
RUNNER = f"{NAMESPACE}/serviceaccounts/stt-bootstrap-runner"
HEADER = "wav_filename,wav_filesize,transcript\n"


@pytest.fixture(scope="module")
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


def only(findings, status):
    [finding] = findings
    assert finding.status is status, finding
    return finding


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


def test_what_may_not_be_looked_at_is_said_and_the_rest_goes_on(api, look):
    api.refusals["/api/v1/nodes"] = 403
    assert "may not look" in only(look("nodes"), Status.WARNING).found
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
    # The launcher reads only one of the secrets, which depends on where artifacts are kept.
    assert {each for each in granted if each[1] != "secrets"} == set(RUNNER_PERMISSIONS)


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


# The object store, a real one.


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3, api):
    """Return the folder of a bucket with a dataset and a checkpoint, to which the cluster leads."""
    folder = s3.folder / "speech"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "corpus/clips").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / f"corpus/{split}.csv").write_text(f"{HEADER}clips/a.wav,4,habari\n")
    (folder / "corpus/clips/a.wav").write_bytes(b"RIFF")
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint/best_dev-7.index").write_bytes(b"index")
    (folder / "checkpoint/best_dev-7.data-00000-of-00001").write_bytes(b"weights")
    (folder / "model.scorer").write_bytes(b"TRIE")
    (folder / "source.tar.gz").write_bytes(b"archive")
    api.objects[PLACE]["data"]["AWS_ENDPOINT_URL_S3"] = s3.endpoint
    api.objects[STORE] = secret(
        {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    )
    return folder


URIS = {"dataset_uri": "s3://speech/corpus", "checkpoint_uri": "s3://speech/checkpoint"}


def test_a_store_that_is_as_it_should_be(bucket, s3, api, package):
    plan = Plan(package=package, scorer_uri="s3://speech/model.scorer", **URIS)
    findings = checks.preflight(plan, Cluster.connect("speech"))
    assert {f.status for f in findings} == {Status.OK}
    found = {f.check: f.found for f in findings}
    assert found["store"] == f"{s3.endpoint} lets the runs list speech"
    assert found["dataset"].startswith("train.csv, dev.csv, test.csv and 1 more")
    assert SECRET_KEY not in as_json(findings) + as_table(findings)


def test_no_key_is_logged(bucket, api, look, caplog):
    api.objects[STORE] = secret(
        {"AWS_ACCESS_KEY_ID": "hidden-1", "AWS_SECRET_ACCESS_KEY": "hidden-2"}
    )
    with caplog.at_level(logging.DEBUG):
        only(look("store", **URIS), Status.FAILED)
    for value in api.objects[STORE]["data"].values():
        assert value not in caplog.text
    assert "hidden-2" not in caplog.text


def test_what_is_not_there_has_no_size(bucket, look):
    plan = {**URIS, "checkpoint_uri": "s3://speech/none"}
    assert only(look("checkpoint", **plan), Status.FAILED).remedy.startswith("upload")
    assert {finding.status for finding in look("sizes", **plan)} == {Status.OK}


def test_an_archive_is_a_checkpoint(bucket, look):
    finding = only(look("checkpoint", checkpoint_uri="s3://speech/source.tar.gz"), Status.OK)
    assert "archive" in finding.found


def test_wrong_keys(bucket, api, look):
    api.objects[STORE] = secret(
        {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": "hidden-2"}
    )
    finding = only(look("store", **URIS), Status.FAILED)
    assert "AWS_SECRET_ACCESS_KEY" in finding.found
    assert "hidden" not in str(finding)
    assert only(look("dataset", **URIS), Status.SKIPPED).found == "the store cannot be looked into"


def test_no_bucket(bucket, look):
    assert "NoSuchBucket" in only(look("store", dataset_uri="s3://nowhere/a"), Status.FAILED).found


def test_a_store_that_only_the_cluster_reaches(bucket, api, look, s3):
    inside = "http://stt-bootstrap-s3.speech.svc:9000"
    api.objects[PLACE]["data"]["AWS_ENDPOINT_URL_S3"] = inside
    assert (
        "port-forward service/stt-bootstrap-s3"
        in only(look("store", **URIS), Status.WARNING).remedy
    )
    only(look("dataset", store_endpoint=s3.endpoint, **URIS), Status.OK)


def test_a_store_that_nobody_reaches(bucket, api, look):
    api.objects[PLACE]["data"]["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9"
    assert "cannot be reached" in only(look("store", **URIS), Status.FAILED).found


def test_a_dataset_without_its_dev_split(bucket, look):
    (bucket / "corpus/dev.csv").unlink()
    assert "lacks dev.csv" in only(look("dataset", **URIS), Status.FAILED).found


def test_a_dataset_that_is_not_there(bucket, look):
    finding = only(look("dataset", dataset_uri="s3://speech/corpse"), Status.FAILED)
    assert "s3://speech/corpse" in finding.found


def test_a_manifest_of_another_form(bucket, look):
    (bucket / "corpus/train.csv").write_text("path\tsentence\n")
    assert "wav_filename" in only(look("dataset", **URIS), Status.FAILED).found


def test_a_clip_that_is_not_there(bucket, look):
    (bucket / "corpus/clips/a.wav").unlink()
    assert "clips/a.wav" in only(look("dataset", **URIS), Status.FAILED).found


def test_a_folder_that_is_no_checkpoint(bucket, look):
    (bucket / "checkpoint/best_dev-7.index").unlink()
    assert ".index" in only(look("checkpoint", **URIS), Status.FAILED).found


def test_a_scorer_that_is_not_there(bucket, look):
    uri = "s3://speech/none.scorer"
    assert uri in only(look("further sources", scorer_uri=uri), Status.FAILED).found


def test_paths_are_left_to_the_pods(look, tmp_path):
    only(look("dataset", dataset_uri=str(tmp_path)), Status.WARNING)
    only(look("checkpoint", checkpoint_uri=str(tmp_path)), Status.WARNING)


def test_checkpoints_from_the_web(api, look):
    address = f"{api.url}/version/?signature=hidden"
    finding = only(look("checkpoint", checkpoint_uri=address), Status.FAILED)
    assert "401" in finding.found
    assert "hidden" not in str(finding)
    only(look("checkpoint", checkpoint_uri="http://127.0.0.1:9/a.tar"), Status.WARNING)


def test_memory_and_cache_that_are_too_small(bucket, api, look):
    os.truncate(bucket / "checkpoint/best_dev-7.data-00000-of-00001", 2**24)
    os.truncate(bucket / "corpus/clips/a.wav", 2**24)
    api.objects[CLAIM]["status"]["capacity"]["storage"] = "8Mi"
    memory, cache = look("sizes", training_memory="1Gi", **URIS)
    assert memory.status is Status.FAILED
    assert "needs 1.06 GiB, training_memory has 1.00" in memory.found
    assert cache.status is Status.WARNING
    assert "needs 0.02 GiB" in cache.found


# The command.


def test_the_command_prints_a_table_and_ends_well(api, package):
    done = call("preflight", "--namespace", "speech", "--package", package)
    assert (done.code, done.err) == (0, "")
    assert "ok       namespace" in done.out
    assert "nvidia" not in done.out


def test_the_command_prints_json_and_ends_badly(api, package, tmp_path):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("gpu_type: nvidia.com/gpu\ngpu_count: '9'\nepochs: 3\n")
    arguments = ("preflight", "--namespace", "speech", "--package", package, "--output", "json")
    done = call(*arguments, "--parameters", parameters)
    assert done.code == 1
    assert "nodes, quota" in done.error
    told = json.loads(done.out)
    assert told["passed"] is False
    assert "nvidia.com/gpu 9" in str(told["findings"])
    # Flags win over the file.
    assert call(*arguments, "--parameters", parameters, "--gpu_count", 2).code == 0


def test_the_command_takes_the_parameters_of_the_overlay(api, package):
    parameters = Path(__file__).parents[2] / "manifests/overlays/gpu/parameters.yaml"
    api.objects["/api/v1/nodes"][1]["metadata"]["labels"] = {"nvidia.com/gpu.present": "true"}
    done = call(
        "preflight", "--namespace", "speech", "--package", package, "--parameters", parameters
    )
    assert done.code == 0
    assert "nvidia.com/gpu 1 free on gpu" in done.out


@pytest.mark.parametrize(
    ("content", "error"),
    [("gpus: 2", "gpus: no such parameter"), ("- 2", "expected lines"), ("{", "not YAML")],
)
def test_parameters_that_cannot_be_read(api, tmp_path, content, error):
    (tmp_path / "parameters.yaml").write_text(content)
    assert error in call("preflight", "--parameters", tmp_path / "parameters.yaml").error


def test_a_selector_that_is_no_json(api):
    done = call("preflight", "--node_selector", "disk=ssd")
    assert done.code == 2
    assert "JSON object" in done.err


def test_no_cluster_to_look_at(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert "KUBECONFIG" in call("preflight").error


def test_another_context(api):
    assert "elsewhere" in call("preflight", "--context", "elsewhere").error


def test_remedies_stand_below_what_was_found():
    findings = [Finding(Status.FAILED, "no room", "make room", "nodes")]
    assert as_table(findings).splitlines() == [
        "failed   nodes  no room",
        "                -> make room",
    ]


@pytest.mark.cluster
@pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG leads to no cluster")
def test_on_a_real_cluster():
    namespace = os.environ.get("KFP_NAMESPACE", "kubeflow")
    done = call("preflight", "--namespace", namespace, "--output", "json")
    assert {"version", "nodes", "store"} <= {f["check"] for f in json.loads(done.out)["findings"]}
    assert (done.code == 0) is json.loads(done.out)["passed"]
