import hashlib
import json
import os

import pytest

from stt_bootstrap.pipelines import run_watch
from stt_bootstrap.pipelines.kubeflow import connect
from stt_bootstrap.pipelines.package import PACKAGE, package_tasks
from stt_bootstrap.pipelines.submit import upload
from tests.cluster.store import remove_version
from tests.command_line import call
from tests.pipelines.kubeflow_server import KubeflowServer, pod, task

SOURCES = ("--dataset_uri", "s3://speech/data", "--checkpoint_uri", "s3://speech/english.zip")
SUCCEEDED = [("SUCCEEDED", [])]
SECRET = "ey-a-token-that-nobody-may-see"


@pytest.fixture(autouse=True)
def surroundings(request, monkeypatch):
    """Nothing of the machine's own, and no waiting."""
    if request.node.get_closest_marker("cluster"):
        return
    monkeypatch.setattr(run_watch, "POLL_SECONDS", 0.01)
    for name in [name for name in os.environ if name.startswith(("KFP_", "KF_", "KUBE"))]:
        monkeypatch.delenv(name)
    use_kubeconfig(monkeypatch, "/nowhere")


@pytest.fixture
def server():
    with KubeflowServer() as server:
        server.states = SUCCEEDED
        yield server


@pytest.fixture
def submit(server):
    def call_submit(*flags):
        return call("submit", "--endpoint", server.endpoint, *flags)

    return call_submit


def use_kubeconfig(monkeypatch, path):
    monkeypatch.setenv("KUBECONFIG", str(path))


@pytest.fixture
def kubeconfig(server, tmp_path, monkeypatch):
    cluster = {"name": "c", "cluster": {"server": server.endpoint}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context]}
    config |= {"users": [{"name": "u", "user": {}}], "current-context": "x"}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    use_kubeconfig(monkeypatch, tmp_path / "kubeconfig")


def test_uploads_starts_waits_and_succeeds(submit, server):
    server.states = [
        ("PENDING", []),
        ("RUNNING", [task("source-digests", "RUNNING")]),
        ("RUNNING", [task("source-digests", "SUCCEEDED", 7), task("root-driver", "SUCCEEDED", 3)]),
        ("SUCCEEDED", [task("source-digests", "SUCCEEDED", 7), task("training", "SUCCEEDED", 50)]),
    ]
    outcome = submit(*SOURCES, "--epochs", 3, "--node_selector", '{"pool": "gpu"}')
    assert outcome.code == 0
    digest = hashlib.sha256(PACKAGE.read_bytes()).hexdigest()
    ((name, content),) = server.uploads.items()
    assert name == f"stt-bootstrap-{digest[:16]}"
    assert content == PACKAGE.read_bytes()
    (run,) = server.runs
    assert run["pipeline_version_reference"] == {
        "pipeline_id": "p-1",
        "pipeline_version_id": f"v-{name[-4:]}",
    }
    assert run["service_account"] == "stt-bootstrap-runner"
    assert run["runtime_config"]["parameters"] == {
        "dataset_uri": "s3://speech/data",
        "checkpoint_uri": "s3://speech/english.zip",
        "epochs": "3",
        "node_selector": {"pool": "gpu"},
    }
    assert outcome.out.splitlines() == [
        f"version: {name} (uploaded)",
        f"  {server.endpoint}/#/pipelines/details/p-1/version/v-{name[-4:]}",
        "run: run-1",
        f"  {server.endpoint}/#/runs/details/run-1",
        "the run succeeded",
    ]
    said = outcome.err.splitlines()
    assert said[0].startswith("the package names localhost/")
    assert said[1].startswith("the pods cannot be read (")
    assert said[2:] == [
        "Look for changes: running",
        "Look for changes: done in 7 s",
        "Train: done in 50 s",
    ]


def test_the_same_package_is_uploaded_once(submit, server):
    assert "(uploaded)" in submit(*SOURCES).out
    assert "(was there already)" in submit(*SOURCES).out
    assert len(server.uploads) == 1
    assert len(server.runs) == 2
    assert server.requests.count(("POST", "/apis/v2beta1/pipelines")) == 1
    assert server.requests.count(("POST", "/apis/v2beta1/experiments")) == 1


def test_another_package_is_another_version(submit, server, tmp_path):
    submit(*SOURCES)
    changed = tmp_path / "changed.yaml"
    changed.write_text(PACKAGE.read_text().replace("localhost/", "registry.example.org/"))
    outcome = submit(*SOURCES, "--package", changed)
    assert "(uploaded)" in outcome.out
    assert "localhost" not in outcome.err
    assert len(server.uploads) == 2


def test_a_failed_run_fails_the_command_and_names_the_task(submit, server):
    server.states = [
        ("RUNNING", [task("source-analysis", "RUNNING")]),
        ("FAILED", [task("source-analysis", "FAILED", 9), task("training", "SKIPPED")]),
    ]
    outcome = submit(*SOURCES)
    assert outcome.code == 1
    *_, logs, error = outcome.err.splitlines()
    assert "Fine-tune or transfer: failed after 9 s" in outcome.err
    assert error == "error: the run ended as failed: Fine-tune or transfer"
    assert logs.startswith("logs: kubectl logs -n kubeflow -l pipeline/runid=run-1,")


@pytest.mark.parametrize("state", ["CANCELED", "SKIPPED"])
def test_a_run_that_did_not_succeed_fails_the_command(submit, server, state):
    server.states = [(state, [])]
    outcome = submit(*SOURCES)
    assert outcome.code == 1
    assert outcome.err.endswith(f"error: the run ended as {state.lower()}: see the run's page\n")


def test_not_waiting(submit, server):
    server.states = []
    outcome = submit(*SOURCES, "--wait", "no")
    assert outcome.code == 0
    assert "run: run-1" in outcome.out


def test_follow_shows_the_reason_first_and_then_what_failed_pods_printed_once(
    submit, server, kubeconfig
):
    server.pods = [pod("x-1", "training", "Failed"), pod("x-2", "evaluation", "Running")]
    server.logs = {"x-1": "epoch 1\nstt_model.base.errors.TrainingError: the loss is not finite\n"}
    server.states = [("RUNNING", []), ("FAILED", [task("training", "FAILED", 5)])]
    outcome = submit(*SOURCES, "--follow")
    assert outcome.code == 1
    told = [line for line in outcome.err.splitlines() if line.startswith("Train")]
    assert told == [
        "Train: a pod failed: the loss is not finite",
        "Train | epoch 1",
        "Train | stt_model.base.errors.TrainingError: the loss is not finite",
        "Train: failed after 5 s",
    ]
    assert outcome.err.endswith("error: the run ended as failed: Train: the loss is not finite\n")
    assert "Evaluate: running" in outcome.err


def test_without_a_way_to_the_pods_says_so_once_and_goes_on(submit, server, kubeconfig):
    server.refuse("GET", "/api/v1/namespaces/kubeflow/pods", 403, "pods is forbidden")
    server.states = [("RUNNING", []), ("RUNNING", []), ("SUCCEEDED", [])]
    outcome = submit(*SOURCES, "--follow")
    assert outcome.code == 0
    said = "the pods cannot be read (Forbidden); to see why one waits or failed: kubectl logs"
    assert outcome.err.count(said) == 1


def test_without_a_kubeconfig(submit, server, monkeypatch, tmp_path):
    use_kubeconfig(monkeypatch, tmp_path / "nowhere")
    outcome = submit(*SOURCES)
    assert outcome.code == 0
    assert outcome.err.count("the pods cannot be read (") == 1
    assert "kubectl describe pods -n kubeflow -l pipeline/runid=run-1" in outcome.err


def test_namespace_of_a_kubeflow_with_users(submit, server):
    server.multi_user = True
    assert submit(*SOURCES, "--namespace", "speech-team", "--experiment", "swahili").code == 0
    assert server.pipelines == {"stt-bootstrap": "speech-team"}
    assert server.experiments == {"swahili": "speech-team"}


def test_token_of_the_environment(submit, server, monkeypatch):
    server.token = SECRET
    monkeypatch.setenv("KFP_TOKEN", SECRET)
    assert submit(*SOURCES).code == 0


def test_a_password_in_the_endpoint_is_not_shown(server):
    endpoint = server.endpoint.replace("://", f"://me:{SECRET}@")
    outcome = call("submit", "--endpoint", endpoint, *SOURCES)
    assert outcome.code == 0
    assert f"{server.endpoint}/#/runs/details/run-1" in outcome.out
    assert SECRET not in outcome.out + outcome.err


def test_token_file_is_read_again(submit, server, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("old")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    server.token = "old"

    def renew():
        (tmp_path / "token").write_text(SECRET)
        server.token = SECRET

    server.after_run_began = renew
    assert submit(*SOURCES).code == 0


@pytest.mark.parametrize("token", [None, SECRET])
def test_an_expired_token_sends_nothing_and_is_not_shown(submit, server, monkeypatch, token):
    server.token = "another"
    if token:
        monkeypatch.setenv("KFP_TOKEN", token)
    outcome = submit(*SOURCES)
    assert outcome.code == 1
    assert "401 Unauthorized: Unauthorized; the token was refused or has expired" in outcome.err
    assert "set KFP_TOKEN to a new one" in outcome.err
    assert SECRET not in outcome.err
    assert (server.uploads, server.runs) == ({}, [])


def test_a_token_that_expires_while_waiting_says_how_to_go_on(submit, server):
    server.refuse("GET", "/apis/v2beta1/runs/run-1", 401, "token expired")
    outcome = submit(*SOURCES)
    assert outcome.code == 1
    again = f"stt-bootstrap submit --attach run-1 --endpoint {server.endpoint}"
    assert outcome.err.rstrip().endswith(f"the run may continue; to follow it again: {again}")


def test_a_server_that_is_away_for_a_moment_is_waited_for(submit, server, monkeypatch):
    monkeypatch.setattr(run_watch, "_WAIT", lambda _: 0.0)
    server.refuse("GET", "/apis/v2beta1/runs/run-1", 503, "upstream is away", times=3)
    outcome = submit(*SOURCES)
    assert outcome.code == 0
    assert outcome.err.count("503 Service Unavailable: upstream is away; trying again") == 3


def test_attach_watches_without_sending_anything(submit, server):
    server.states = [("FAILED", [task("training", "FAILED", 5)])]
    outcome = submit("--attach", "run-1")
    assert outcome.code == 1
    assert "the run ended as failed: Train" in outcome.err
    assert not [path for method, path in server.requests if method == "POST"]


def test_an_interrupt_stops_the_waiting_and_says_how_to_go_on(submit, server, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_watch.time, "sleep", interrupt)
    server.states = [("RUNNING", [])]
    outcome = submit(*SOURCES)
    assert outcome.code == 130
    assert (
        "the run continues; to follow it again: stt-bootstrap submit --attach run-1" in outcome.err
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "pipelines", 403, "creating the pipeline stt-bootstrap: 403 Forbidden: no way;"),
        ("POST", "pipelines/upload_version", 500, "bootstrap.yaml: 500 Internal Server Error: no"),
        ("POST", "pipelines/upload_version", 413, "the server accepts no upload of this size"),
        ("GET", "pipelines/p-1/versions", 502, "502 Bad Gateway: no way"),
        ("POST", "experiments", 400, "experiment stt-bootstrap: 400 Bad Request: no way"),
        ("POST", "runs", 400, "starting the run: 400 Bad Request: no way"),
    ],
)
def test_refusals_are_one_line(submit, server, method, path, status, message):
    server.refuse(method, f"/apis/v2beta1/{path}", status, "no\nway")
    outcome = submit(*SOURCES)
    assert outcome.code == 1
    *_, error = outcome.err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert server.runs == []


def test_a_login_page_is_not_taken_for_the_api(submit, server):
    page = (200, b"<html>Log in</html>", "text/html; charset=utf-8")
    server.refusals["GET", "/apis/v2beta1/healthz"] = [page]
    outcome = submit(*SOURCES)
    assert outcome.code == 1
    assert "found a page of type text/html" in outcome.err
    assert server.runs == []


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9: no answer (Failed to establish a new"),
        ("http://u:secret@nowhere.invalid", "http://nowhere.invalid: no answer (Failed to res"),
        ("", "expected the address of Kubeflow Pipelines, found ''; give --endpoint or KFP_EN"),
        ("localhost:8080", "expected the address of Kubeflow Pipelines, found 'localhost:8080'"),
    ],
)
def test_wrong_host(endpoint, message):
    outcome = call("submit", "--endpoint", endpoint, *SOURCES)
    assert outcome.code == 1
    *_, error = outcome.err.splitlines()
    assert message in error
    assert "secret" not in outcome.err


def test_parameters_of_a_file_under_flags(submit, server, tmp_path):
    (tmp_path / "run.yaml").write_text(
        "dataset_uri: s3://speech/data\ncheckpoint_uri: s3://speech/c.zip\n"
        "learning_rate: 1e-4\nepochs: 20\ngpu_count: '2'\n"
        "tolerations: [{key: gpu, operator: Exists}]\n"
    )
    assert submit("--parameters", tmp_path / "run.yaml", "--epochs", 5).code == 0
    (run,) = server.runs
    assert run["runtime_config"]["parameters"] == {
        "dataset_uri": "s3://speech/data",
        "checkpoint_uri": "s3://speech/c.zip",
        "learning_rate": "0.0001",
        "epochs": "5",
        "gpu_count": "2",
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    }


def test_wrong_parameters_are_told_together_before_anything_is_sent(submit, server, tmp_path):
    (tmp_path / "run.yaml").write_text(
        "checkpoint_uri: s3://speech/c.zip\nepoch: 20\nlearning_rate: fast\ngpu_count: 2\n"
    )
    outcome = submit("--parameters", tmp_path / "run.yaml")
    assert outcome.code == 1
    assert "unknown parameter 'epoch' (did you mean epochs?)" in outcome.error
    assert "parameter 'dataset_uri' needs a value" in outcome.error
    assert "'learning_rate': expected a number above 0, or auto, found 'fast'" in outcome.error
    assert "'gpu_count' must be str, found 2 (int); write '2' in quotes" in outcome.error
    assert server.requests == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a\n", "expected lines such as `epochs: 20`, found a list"),
        ("", "expected lines such as `epochs: 20`, found nothing"),
        ("a: [", "expected YAML or JSON, found: "),
    ],
)
def test_files_that_hold_no_parameters(submit, server, tmp_path, content, message):
    (tmp_path / "run.yaml").write_text(content)
    outcome = submit("--parameters", tmp_path / "run.yaml")
    assert outcome.code == 1
    assert message in outcome.error
    assert server.requests == []


def test_a_path_of_this_machine_is_refused(submit, server, tmp_path):
    (tmp_path / "run.yaml").write_text(
        "dataset_uri: my-data\ncheckpoint_uri: s3://c/c.zip\ngpu_count: '-'\n"
    )
    outcome = submit("--parameters", tmp_path / "run.yaml")
    assert outcome.code == 1
    assert "parameter 'gpu_count': expected a quantity" in outcome.error
    assert (
        "parameter 'dataset_uri': expected a URI that pods can read, such as s3://" in outcome.error
    )
    assert server.requests == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "found: No such file or directory"),
        ("a: [", "found: something else than YAML"),
        ("a: 1", "found other YAML"),
        ("", "found other YAML"),
    ],
)
def test_a_file_that_is_no_package(submit, server, tmp_path, content, message):
    package = tmp_path / "package.yaml"
    if content is not None:
        package.write_text(content)
    outcome = submit(*SOURCES, "--package", package)
    assert outcome.code == 1
    assert f"{package}: expected a pipeline as `stt-bootstrap compile` writes it" in outcome.error
    assert message in outcome.error
    assert server.requests == []


def test_json_flags(submit):
    assert submit(*SOURCES, "--tolerations", "{}").code == 2


def test_every_task_has_a_title():
    titles = package_tasks()
    assert titles["training"] == titles["training-2"] == "Train"
    assert "condition-2" not in titles
    assert len(titles) == 9


def test_tasks_of_one_name_are_told_of_once_each(submit, server):
    """A sweep has a task for each training in each rung, all of one name."""
    done = [task("training", "SUCCEEDED", 7, "a"), task("training", "SUCCEEDED", 9, "b")]
    server.states = [("RUNNING", [*done, task("training", "RUNNING", task_id="c")])] * 5
    server.states += [("SUCCEEDED", [*done, task("training", "SUCCEEDED", 8, "c")])] * 2
    outcome = submit(*SOURCES, "--output", "json")
    told = [json.loads(line) for line in outcome.out.splitlines()]
    states = [(each["state"], each["seconds"]) for each in told if each["event"] == "task"]
    assert sorted(states) == [("RUNNING", 0.0), *(("SUCCEEDED", s) for s in (7.0, 8.0, 9.0))]


@pytest.fixture
def real():
    if not os.environ.get("KFP_ENDPOINT"):
        pytest.skip("KFP_ENDPOINT is not set: where a Kubeflow Pipelines is")
    return connect("", os.environ.get("KFP_NAMESPACE", "kubeflow"))


@pytest.mark.cluster
def test_a_real_kubeflow_takes_the_package_once(real):
    first, second = upload(real), upload(real)
    try:
        assert first.version_id == second.version_id
        assert not second.is_new
    finally:
        if first.is_new:
            remove_version(real.client, first.pipeline_id, first.version_id)


@pytest.mark.cluster
def test_a_real_run_succeeds(real):
    parameters = os.environ.get("STT_BOOTSTRAP_PARAMETERS")
    if not parameters:
        pytest.skip("STT_BOOTSTRAP_PARAMETERS is not set: a YAML file of parameters of a short run")
    package = os.environ.get("STT_BOOTSTRAP_PACKAGE", PACKAGE)
    assert call("submit", "--package", package, "--parameters", parameters, "--follow").code == 0


def test_flags_are_the_parameters_of_the_package(submit, server):
    form = PACKAGE.with_name("form.yaml")
    assert submit("--package", form, *SOURCES, "--step_memory", "1Gi").code == 0
    (run,) = server.runs
    assert run["runtime_config"]["parameters"]["step_memory"] == "1Gi"
    outcome = submit("--package", form, *SOURCES, "--evaluation_memory", "1Gi")
    assert outcome.code == 2
    assert "unrecognized arguments: --evaluation_memory" in outcome.err
    assert (
        "--source_uri" in call("submit", "--package", PACKAGE.with_name("prepare.yaml"), "-h").out
    )
