"""What the new-run form and the graph of Kubeflow's own pages make of the packages.

Read in their sources: parameters are drawn in the order of their names, each as ``name - type``,
without description; a value that counts as false in JavaScript leaves its field empty; a task shows
the name in ``taskInfo``, an artifact its key, both cut off where the box ends.
"""

import tempfile
from pathlib import Path

import pytest
import yaml
from kfp import compiler, dsl

from stt_bootstrap.components.run_settings.component import run_settings
from stt_bootstrap.pipelines.branch_inputs import name_artifacts
from stt_bootstrap.pipelines.package import package_parameters
from stt_bootstrap.pipelines.written_components import setting_names, written
from stt_model.jobs.run_settings import default_settings

FOLDER = Path(__file__).parents[2] / "pipelines"
FORM = FOLDER / "form.yaml"
PACKAGES = {
    name: next(yaml.safe_load_all((FOLDER / name).read_text()))
    for name in ("form.yaml", "bootstrap.yaml")
}
DRAWN = PACKAGES | {
    name: next(yaml.safe_load_all((FOLDER / name).read_text()))
    for name in ("prepare.yaml", "sweep.yaml")
}
SHOWN_OF_A_TASK = 22
SHOWN_OF_AN_ARTIFACT = 28


def tasks_of(pipeline):
    for spec in (pipeline["root"], *pipeline["components"].values()):
        yield from spec.get("dag", {}).get("tasks", {}).items()


def branches_of(pipeline):
    """Return the tasks of each DAG below the root, by the title that the graph shows."""
    components = pipeline["components"]
    return {
        task["taskInfo"]["name"]: components[task["componentRef"]["name"]]["dag"]["tasks"]
        for task in pipeline["root"]["dag"]["tasks"].values()
        if "dag" in components[task["componentRef"]["name"]]
    }


def test_the_form_is_short_and_begins_with_what_is_required():
    parameters = package_parameters(FORM)
    required = [name for name, each in parameters.items() if each.default is None]
    assert (
        sorted(parameters)[: len(required)] == sorted(required) == ["checkpoint_uri", "dataset_uri"]
    )
    assert len(parameters) <= 16


@pytest.mark.parametrize("package", PACKAGES)
def test_both_trainings_are_handed_the_scorer_and_its_digest(package):
    """Recordings without transcripts are transcribed with it."""
    trainings = [
        task["inputs"]["parameters"]
        for name, task in tasks_of(PACKAGES[package])
        if name.startswith("training")
    ]
    assert len(trainings) == 2
    for inputs in trainings:
        for name in ("scorer_uri", "scorer_digest", "unlabelled_uri", "unlabelled_digest"):
            assert inputs[name]["componentInputParameter"].endswith(name)


def test_no_default_is_shown_as_an_empty_field():
    shown = {name: each.default for name, each in package_parameters(FORM).items()}
    assert not [name for name, value in shown.items() if value is False or value == 0]
    assert not [name for name, each in package_parameters(FORM).items() if each.type is bool]


def test_parameters_that_the_form_lacks_are_settings():
    everything = set(package_parameters())
    sizes = {name for name in everything if name.endswith(("_cpu", "_memory"))}
    asked = set(package_parameters(FORM)) | sizes | {"alphabet_uri", "node_selector", "tolerations"}
    settings = setting_names()
    assert set(settings) == everything - asked
    for name, default in default_settings(settings).items():
        assert default == package_parameters()[name].default


def test_generated_components_are_up_to_date():
    for path, text in written().items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run make compile"


def test_settings_come_out_of_the_first_step_in_the_order_of_their_names():
    outputs = list(run_settings.component_spec.outputs)
    assert outputs[5:] == setting_names()


@pytest.mark.parametrize("name", PACKAGES)
def test_every_step_reads_the_settings_of_the_first(name):
    """A setting that no step takes would be one that does nothing."""
    text = (FOLDER / name).read_text()
    for setting in setting_names():
        wanted = f"run-settings-{setting}" if name == "form.yaml" else setting
        taken = [
            key
            for _, task in tasks_of(PACKAGES[name])
            for key, value in task.get("inputs", {}).get("parameters", {}).items()
            if wanted in str(value) or f"'outputParameterKey': '{setting}'" in str(value)
        ]
        assert taken, (setting, len(text))


@pytest.mark.parametrize("name", DRAWN)
def test_names_in_the_graph_are_not_cut_off(name):
    for key, task in tasks_of(DRAWN[name]):
        title = task["taskInfo"]["name"]
        assert len(title) <= SHOWN_OF_A_TASK, key
        assert not title.startswith("condition")
    for spec in DRAWN[name]["components"].values():
        drawn = [*spec.get("outputDefinitions", {}).get("artifacts", {})]
        # Inside of a group, what that is handed is drawn too.
        drawn += spec.get("inputDefinitions", {}).get("artifacts", {}) if "dag" in spec else []
        for artifact in drawn:
            assert len(artifact) <= SHOWN_OF_AN_ARTIFACT
            assert not artifact.startswith("pipelinechannel")


def test_artifacts_of_one_name_keep_what_tells_them_apart():
    @dsl.component(base_image="python", install_kfp_package=False)
    def make(model: dsl.Output[dsl.Model]):
        pass

    @dsl.component(base_image="python", install_kfp_package=False)
    def take(first: dsl.Input[dsl.Model], second: dsl.Input[dsl.Model]):
        pass

    @dsl.pipeline(name="outer")
    def outer(mode: str):
        models = [make().outputs["model"], make().outputs["model"]]
        with dsl.If(mode == "a"):
            take(first=models[0], second=models[1])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "package.yaml")
        compiler.Compiler().compile(outer, str(path))
        text = path.read_text()
    assert "pipelinechannel--make-2-model" in text
    assert name_artifacts(text) == text


@pytest.mark.parametrize("name", DRAWN)
def test_artifacts_have_names_of_their_own(name):
    made = {}
    for component, spec in DRAWN[name]["components"].items():
        for artifact in spec.get("outputDefinitions", {}).get("artifacts", {}):
            made.setdefault(artifact, set()).add(component.rstrip("-0123456789"))
    assert not {artifact: by for artifact, by in made.items() if len(by) > 1}
    assert not {"report", "metrics", "html_report"} & set(made)


@pytest.mark.parametrize("name", PACKAGES)
def test_there_is_one_level_below_the_root_and_the_decision_stands_in_it(name):
    pipeline = PACKAGES[name]
    branches = {
        task["taskInfo"]["name"]: pipeline["components"][task["componentRef"]["name"]]["dag"][
            "tasks"
        ]
        for task in pipeline["root"]["dag"]["tasks"].values()
        if "dag" in pipeline["components"][task["componentRef"]["name"]]
    }
    assert set(branches) == {"fine-tune", "transfer", "refuse"}
    for tasks in branches.values():
        for task in tasks.values():
            assert "dag" not in pipeline["components"][task["componentRef"]["name"]]
    titles = {task["taskInfo"]["name"] for task in pipeline["root"]["dag"]["tasks"].values()}
    assert "Fine-tune or transfer" in titles


def test_a_transfer_waits_under_90_seconds_outside_of_training_and_evaluation():
    """Measured on a cluster: 10 s for the driver of a task or DAG, 10 s around its container."""
    pipeline = PACKAGES["form.yaml"]
    seconds = 10  # the root's driver
    for task in pipeline["root"]["dag"]["tasks"].values():
        title = task["taskInfo"]["name"]
        seconds += {"transfer": 10, "fine-tune": 0, "refuse": 0}.get(title, 20)
    (transfer,) = (
        t for t in pipeline["root"]["dag"]["tasks"].values() if t["taskInfo"]["name"] == "transfer"
    )
    inside = pipeline["components"][transfer["componentRef"]["name"]]["dag"]["tasks"].values()
    seconds += sum(20 for t in inside if t["taskInfo"]["name"] not in ("Train", "Evaluate"))
    assert seconds == 80
