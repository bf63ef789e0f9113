"""The compiled package: what each task gets on a cluster, set on purpose."""

import re
import shutil
import warnings

import pytest
import yaml
from kfp import dsl, local

from stt_bootstrap.components.checkpoint_fetch.component import checkpoint_fetch
from stt_bootstrap.components.source_digests.component import source_digests
from stt_bootstrap.pipelines import cluster
from stt_bootstrap.pipelines.package import CLUSTER_ONLY, PACKAGE, package_parameters, package_tasks

PIPELINE, PLATFORM = yaml.safe_load_all(PACKAGE.read_text(encoding="utf-8"))
EXECUTORS = PIPELINE["deploymentSpec"]["executors"]
ON_KUBERNETES = PLATFORM["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
TASKS = {
    name: task
    for component in (PIPELINE["root"], *PIPELINE["components"].values())
    for name, task in component.get("dag", {}).get("tasks", {}).items()
    if name in package_tasks()
}
UNCACHED = {"source-digests", "refusal"}
"""One looks for changes, the other has to fail again."""
READ_URIS = {
    "source-analysis": ("dataset_uri", "checkpoint_uri", "alphabet_uri", "scorer_uri"),
    "training": ("unlabelled_uri", "scorer_uri"),
    "evaluation": ("scorer_uri",),
    "model-export": ("scorer_uri",),
}
WRITTEN = {"export_uri", "run_state_uri"}
ON_GPUS = ["exec-evaluation", "exec-evaluation-2", "exec-training", "exec-training-2"]


def seconds(text):
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("name", EXECUTORS)
def test_limits_are_set(name):
    resources = EXECUTORS[name]["container"]["resources"]
    assert {"resourceCpuLimit", "resourceMemoryLimit"} <= set(resources)


@pytest.mark.parametrize("name", EXECUTORS)
def test_pods_are_labelled_limited_in_time_and_not_root(name):
    config = ON_KUBERNETES[name]
    component = re.sub(r"-\d+$", "", name.removeprefix("exec-"))
    assert config["podMetadata"]["labels"] == {
        "app.kubernetes.io/name": "stt-bootstrap",
        "app.kubernetes.io/component": component,
    }
    assert int(config["activeDeadlineSeconds"]) >= 3600
    assert config["securityContext"] == {"runAsNonRoot": True}


@pytest.mark.parametrize("name", EXECUTORS)
def test_the_store_comes_from_secret_and_config_map_which_may_be_missing(name):
    (secret,) = ON_KUBERNETES[name]["secretAsEnv"]
    (config_map,) = ON_KUBERNETES[name]["configMapAsEnv"]
    assert secret["secretName"] == config_map["configMapName"] == "stt-bootstrap-store"
    assert secret["optional"] is config_map["optional"] is True
    assert {(each["secretKey"], each["envVar"]) for each in secret["keyToEnv"]} == {
        ("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SESSION_TOKEN", "AWS_SESSION_TOKEN"),
    }
    assert {each["envVar"] for each in config_map["keyToEnv"]} == {
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
        "S3_ADDRESSING_STYLE",
    }


def test_no_credential_is_in_the_package():
    assert not [each for each in EXECUTORS.values() if each["container"].get("env")]
    assert not re.search(r"(?i)password|token\s*[:=]|AKIA[0-9A-Z]{16}", PACKAGE.read_text())
    assert not [name for name in package_parameters() if re.search("secret|key|password", name)]


@pytest.mark.parametrize("name", TASKS)
def test_retries_outlast_every_attempt(name):
    policy = TASKS[name]["retryPolicy"]
    (deadline,) = {
        int(config["activeDeadlineSeconds"])
        for executor, config in ON_KUBERNETES.items()
        if re.fullmatch(rf"exec-{name}(-\d+)?", executor)
    }
    attempts = policy.get("maxRetryCount", 0) + 1
    assert seconds(policy["backoffMaxDuration"]) >= attempts * deadline
    assert seconds(policy["backoffDuration"]) > 0
    assert (attempts > 1) == (name != "refusal")


def test_training_may_take_a_week_an_attempt():
    assert int(ON_KUBERNETES["exec-training"]["activeDeadlineSeconds"]) == 604800


@pytest.mark.parametrize("name", TASKS)
def test_caching_is_off_only_where_it_must_be(name):
    assert TASKS[name]["cachingOptions"] == ({} if name in UNCACHED else {"enableCache": True})


def test_cached_tasks_that_read_uris_take_their_digests():
    reading = {
        name: {each for each in task["inputs"]["parameters"] if re.fullmatch("[a-z]+_uri", each)}
        for name, task in TASKS.items()
        if name not in UNCACHED
    }
    components = {
        name: re.sub(r"-\d+$", "", name) for name, uris in reading.items() if uris - WRITTEN
    }
    assert set(components.values()) == set(READ_URIS)
    for name, component in components.items():
        assert reading[name] - WRITTEN == set(READ_URIS[component])
        for uri in READ_URIS[component]:
            digest = uri.replace("_uri", "_digest")
            source = TASKS[name]["inputs"]["parameters"][digest]
            handed_down = f"pipelinechannel--source-digests-{digest}"
            assert source.get("componentInputParameter") == handed_down or source[
                "taskOutputParameter"
            ] == {"outputParameterKey": digest, "producerTask": "source-digests"}


def test_a_changed_byte_runs_again_and_nothing_changed_is_a_hit(latin, tmp_path):
    """By the cache of kfp.local, whose keys are parameters and artifacts as on a cluster."""

    @dsl.pipeline(name="fetch-what-changed")
    def fetch_what_changed(checkpoint_uri: str) -> dsl.Model:
        sources = source_digests(dataset_uri="", checkpoint_uri=checkpoint_uri)
        sources.set_caching_options(False)
        digest = sources.outputs["checkpoint_digest"]
        fetched = checkpoint_fetch(checkpoint_uri=checkpoint_uri, checkpoint_digest=digest)
        return fetched.outputs["checkpoint"]

    def run():
        return fetch_what_changed(checkpoint_uri=str(source)).output

    source = shutil.copytree(latin, tmp_path / "source")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You may be attemping to run a task")
        root = str(tmp_path / "runs")
        local.init(local.SubprocessRunner(use_venv=False), root, enable_caching=True)
        first, second = run(), run()
        with (source / "alphabet.txt").open("a") as alphabet:
            alphabet.write("#")
        third = run()
    assert first.uri == second.uri != third.uri
    assert first.metadata["source_digest"] != third.metadata["source_digest"]


def test_gpus_are_asked_for_by_parameters():
    with_gpus = {
        name: executor["container"]["resources"]["accelerator"]
        for name, executor in EXECUTORS.items()
        if "accelerator" in executor["container"]["resources"]
    }
    assert sorted(with_gpus) == ON_GPUS
    for accelerator in with_gpus.values():
        assert "gpu_type" in accelerator["resourceType"]
    assert "gpu_count" in with_gpus["exec-training"]["resourceCount"]
    assert with_gpus["exec-evaluation"]["resourceCount"] == "1"


@pytest.mark.parametrize("name", ON_GPUS)
def test_nodes_and_shared_memory_of_tasks_on_gpus(name):
    config = ON_KUBERNETES[name]
    assert config["nodeSelector"] == {
        "nodeSelectorJson": {"componentInputParameter": "pipelinechannel--node_selector"}
    }
    assert config["tolerations"] == [
        {"tolerationJson": {"componentInputParameter": "pipelinechannel--tolerations"}}
    ]
    assert config["emptyDirMounts"] == [
        {
            "medium": "Memory",
            "mountPath": "/dev/shm",
            "sizeLimit": "2Gi",
            "volumeName": "shared-memory",
        }
    ]


def test_quantities_are_texts():
    # Kubeflow drops a number without a word.
    parameters = package_parameters()
    kinds = {name: parameters[name].type for name in CLUSTER_ONLY}
    assert kinds.pop("node_selector") is dict
    assert kinds.pop("tolerations") is list
    assert set(kinds.values()) == {str}
    assert parameters["gpu_type"].default == ""


def test_only_training_knows_its_run_and_not_by_a_parameter():
    told = {name for name, config in ON_KUBERNETES.items() if "fieldPathAsEnv" in config}
    assert told == {"exec-training", "exec-training-2"}
    assert ON_KUBERNETES["exec-training"]["fieldPathAsEnv"] == [
        {"name": cluster.RUN_ID_VARIABLE, "fieldPath": "metadata.labels['pipeline/runid']"}
    ]
    assert "{{$.pipeline_job" not in PACKAGE.read_text()


def test_names_in_the_new_run_form_explain_themselves():
    titles = package_tasks()
    # The branches, of which one runs, have the same names for the same things.
    once = {name: title for name, title in titles.items() if not re.search(r"-\d+$", name)}
    assert set(once.values()) == set(titles.values())
    assert len(set(once.values())) == len(once)
    assert not [title for title in titles.values() if "_" in title or title[0].islower()]
