from pathlib import Path

import pytest
import yaml
from kfp import compiler, dsl

from stt_bootstrap.components.checkpoint_fetch.component import checkpoint_fetch
from stt_bootstrap.components.evaluation.component import evaluation
from stt_bootstrap.components.layer_surgery.component import layer_surgery
from tests.pipelines.artifact_flow import artifact_inputs, doubles

PACKAGES = sorted((Path(__file__).parents[2] / "pipelines").glob("*.yaml"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_no_task_and_no_dag_gets_an_artifact_twice(package):
    assert doubles(package) == []


def test_both_branches_are_followed():
    inputs = artifact_inputs(next(path for path in PACKAGES if path.name == "bootstrap.yaml"))
    sources = {
        task.rpartition("/")[2]: artifacts["source_checkpoint"]
        for task, artifacts in inputs.items()
        if "source_checkpoint" in artifacts and "evaluation" in task
    }
    assert sources == dict.fromkeys(
        ("evaluation", "evaluation-2"), ("source-analysis", "source_checkpoint")
    )
    trained = {artifacts["checkpoint"] for task, artifacts in inputs.items() if "training" in task}
    assert trained == {
        ("source-analysis", "source_checkpoint"),
        ("source-analysis", "grafted_checkpoint"),
    }


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_dag_takes_the_parameters_that_its_tasks_take_from_it(package):
    assert undeclared(package) == []


def undeclared(package):
    """Return what tasks take and their DAG has not: Kubeflow's driver looks nowhere else."""
    pipeline, platform = yaml.safe_load_all(package.read_text(encoding="utf-8"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    missing = []
    for name, spec in {"root": pipeline["root"], **pipeline["components"]}.items():
        declared = spec.get("inputDefinitions", {}).get("parameters", {})
        for task_name, task in spec.get("dag", {}).get("tasks", {}).items():
            taken = list(task.get("inputs", {}).get("parameters", {}).values())
            executor = pipeline["components"][task["componentRef"]["name"]].get("executorLabel")
            taken += executors.get(executor, {}).get("tolerations", [])
            taken += [executors.get(executor, {}).get("nodeSelector", {})]
            named = {each.get("componentInputParameter") for each in _mappings(taken)} - {None}
            missing += [(name, task_name, each) for each in named - set(declared)]
    return missing


def _mappings(value):
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _mappings(each)


@dsl.pipeline(name="inner")
def inner(checkpoint: dsl.Input[dsl.Model], source: dsl.Input[dsl.Model]):
    alphabet = dsl.importer(artifact_uri="s3://a/b", artifact_class=dsl.Artifact)
    layer_surgery(checkpoint=checkpoint, model_alphabet=alphabet.output)
    evaluation(dataset=alphabet.output, checkpoint=source)


def _compile(pipeline, tmp_path):
    path = tmp_path / "package.yaml"
    compiler.Compiler().compile(pipeline, str(path), type_check=False)
    return path


def test_a_double_into_a_task_is_found(tmp_path):
    @dsl.pipeline(name="outer")
    def outer():
        fetched = checkpoint_fetch(checkpoint_uri="s3://a/b")
        evaluation(
            dataset=dsl.importer(artifact_uri="s3://c/d", artifact_class=dsl.Dataset).output,
            checkpoint=fetched.outputs["checkpoint"],
            source_checkpoint=fetched.outputs["checkpoint"],
        )

    found = doubles(_compile(outer, tmp_path))
    fetched = ("checkpoint-fetch", "checkpoint")
    assert found == [("evaluation", fetched, ["checkpoint", "source_checkpoint"])]


def test_a_double_into_a_dag_is_found(tmp_path):
    @dsl.pipeline(name="outer")
    def outer(mode: str):
        fetched = checkpoint_fetch(checkpoint_uri="s3://a/b").outputs["checkpoint"]
        with dsl.If(mode == "fine-tune"):
            inner(checkpoint=fetched, source=fetched)

    ((task, artifact, names),) = doubles(_compile(outer, tmp_path))
    assert task == "condition-1/inner"
    assert (artifact, names) == (("checkpoint-fetch", "checkpoint"), ["checkpoint", "source"])


def test_a_double_of_what_a_dag_hands_on_is_found(tmp_path):
    @dsl.pipeline(name="make")
    def make() -> dsl.Model:
        return checkpoint_fetch(checkpoint_uri="s3://a/b").outputs["checkpoint"]

    @dsl.pipeline(name="outer")
    def outer():
        made = make()
        inner(checkpoint=made.output, source=made.output)

    ((task, artifact, _),) = doubles(_compile(outer, tmp_path))
    assert (task, artifact) == ("inner", ("make/checkpoint-fetch", "checkpoint"))
