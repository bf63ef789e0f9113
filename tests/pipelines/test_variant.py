"""Packages with other components than those of the project."""

import pytest
import yaml

from stt_bootstrap.pipelines.compile import compile_all
from stt_bootstrap.pipelines.package import ParameterError, check_parameters, package_nodes
from stt_bootstrap.pipelines.variant import Variant, VariantError, defining
from tests.pipelines.artifact_flow import artifact_inputs, doubles
from tests.pipelines.test_artifact_flow import undeclared

REGISTRY = "http://model-registry-service.kubeflow:8080"


@pytest.fixture(scope="module", params=["bootstrap", "form"])
def package(request, tmp_path_factory):
    written = compile_all(
        tmp_path_factory.mktemp("spread"), variant=Variant(nodes=4, model_registry=REGISTRY)
    )
    return next(path for path in written if path.stem == request.param)


def test_both_branches_train_on_several_nodes(package):
    pipeline, platform = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    assert "comp-training" not in pipeline["components"]
    found = [task for task in artifact_inputs(package) if "training" in task]
    assert [task.rpartition("/")[2] for task in found] == [
        "distributed-training",
        "distributed-training-2",
    ]
    trained = pipeline["deploymentSpec"]["executors"]["exec-distributed-training"]["container"]
    assert "/light:" in trained["image"]
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    environment = placed["exec-distributed-training"]["fieldPathAsEnv"]
    assert [each["name"] for each in environment] == ["STT_BOOTSTRAP_RUN_ID"]


def test_nodes_have_the_size_of_training_and_the_pod_that_of_data_steps(package):
    pipeline, _ = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    tasks = [
        task["inputs"]["parameters"]
        for component in pipeline["components"].values()
        for name, task in component.get("dag", {}).get("tasks", {}).items()
        if name.startswith("distributed-training")
    ]
    assert len(tasks) == 2
    small = "data" if package.stem == "bootstrap" else "step"
    for inputs in tasks:
        assert inputs["nodes"]["runtimeValue"]["constant"] == 4
        taken = inputs["node_memory"]["componentInputParameter"]
        assert taken == "pipelinechannel--training_memory"
        own = inputs["memory_limit"]["runtimeValue"]["constant"]
        assert own == f"{{{{$.inputs.parameters['pipelinechannel--{small}_memory']}}}}"


def test_settings_that_need_one_node_are_refused_before_the_run(package):
    given = {"dataset_uri": "s3://b/d", "checkpoint_uri": "s3://b/c", "run_state_uri": "s3://b/r"}
    assert package_nodes(package) == 4
    assert check_parameters(given, package) == given
    wanted = {"unlabelled_uri": "s3://b/u", "forecast": True}
    if package.stem == "form":
        wanted = {"settings": wanted}
    with pytest.raises(ParameterError, match=r"4 nodes: unlabelled_uri: .*; forecast: .*--nodes"):
        check_parameters({**given, **wanted}, package)
    with pytest.raises(ParameterError, match="run_state_uri: expected an s3:// URI"):
        check_parameters({**given, "run_state_uri": "/here"}, package)


def test_the_first_step_is_told_of_the_nodes(package):
    """Who starts a run on Kubeflow's pages has no other check."""
    pipeline, _ = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    tasks = pipeline["root"]["dag"]["tasks"].values()
    (first,) = (task for task in tasks if task["taskInfo"]["name"] == "Look for changes")
    taken = first["inputs"]["parameters"]
    assert taken["nodes"]["runtimeValue"]["constant"] == 4
    if package.stem == "bootstrap":
        assert taken["forecast"]["componentInputParameter"] == "forecast"


def test_kubeflow_takes_them(package):
    assert doubles(package) == []
    assert undeclared(package) == []


def test_both_branches_register_what_they_export_in_the_end(package):
    pipeline, _ = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    tasks = [
        task
        for component in pipeline["components"].values()
        for name, task in component.get("dag", {}).get("tasks", {}).items()
        if name.startswith("model-registration")
    ]
    assert len(tasks) == 2
    for task in tasks:
        inputs = task["inputs"]["parameters"]
        assert inputs["registry_url"]["runtimeValue"]["constant"] == REGISTRY
        assert inputs["released"]["taskOutputParameter"]["outputParameterKey"] == "passed"
        assert inputs["model_uri"] == {"componentInputParameter": "pipelinechannel--export_uri"}


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (Variant(nodes=0), "--nodes 0: expected a number of nodes, at least 1"),
        (Variant(model_registry="registry:8080"), "expected the http:// or https:// address"),
    ],
)
def test_impossible_variants_are_refused(variant, message):
    with pytest.raises(VariantError, match=message), defining(variant):
        pass
