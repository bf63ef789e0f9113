"""Every package, in every one of its ways, as Kubeflow's drivers go through it."""

import importlib
import inspect
from pathlib import Path

import pytest

from stt_bootstrap.pipelines.compile import compile_all
from stt_bootstrap.pipelines.package import package_parameters
from stt_bootstrap.pipelines.variant import Variant
from tests.pipelines.backend import Backend, BackendError, made_up

REQUIRED = {
    "dataset_uri": "s3://speech/data",
    "checkpoint_uri": "s3://speech/model",
    "source_uri": "s3://speech/raw",
    "corpus_uri": "s3://speech/corpus",
    "checkpoint_uris": ["s3://speech/model"],
    "sweep_uri": "s3://speech/sweep",
}
SOURCES = {name: REQUIRED[name] for name in ("dataset_uri", "checkpoint_uri")}
FORM = (Path(__file__).parents[2] / "pipelines" / "form.yaml").read_text(encoding="utf-8")
GPUS = {"gpu_type": "nvidia.com/gpu", "gpu_count": "2"}
PLACED = {"node_selector": {"pool": "gpu"}, "tolerations": [{"operator": "Exists"}]}
ALIGNED = {"align_checkpoint_uri": "s3://m", "clips_uri": "s3://c", "packed_uri": "s3://p"}
WAYS = [
    (name, mode, further)
    for name, further in (
        ("bootstrap", {}),
        ("bootstrap", {**GPUS, **PLACED}),
        ("form", {}),
        ("form", {**GPUS, "settings": {"epochs": 3}}),
    )
    for mode in ("fine-tune", "transfer", "refuse")
]
WAYS += [
    ("prepare", "", {}),
    ("prepare", "", {"packed_uri": "s3://p"}),
    ("prepare", "", ALIGNED),
    ("sweep", "", {}),
    ("sweep", "", GPUS),
]
VARIANTS = {
    "plain": {},
    "two nodes, registered": {
        "variant": Variant(nodes=2, model_registry="http://registry:8080"),
        "cache_claim": "cache",
        "queue": "speech",
    },
}


@pytest.fixture(scope="module", params=VARIANTS)
def packages(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    written = compile_all(folder, **VARIANTS[request.param])
    return {path.stem: path for path in written if path.parent.name == "pipelines"}


def play(package, mode, further):
    def outputs(task, name, kind):
        return mode if name == "mode" else made_up(task, name, kind)

    required = [n for n, p in package_parameters(package).items() if p.default is None]
    parameters = {name: REQUIRED[name] for name in required}
    return Backend(package.read_text(encoding="utf-8"), outputs).run({**parameters, **further})


@pytest.mark.parametrize(("name", "mode", "further"), WAYS)
def test_every_way_through_a_package_comes_to_its_end(packages, name, mode, further):
    launched = play(packages[name], mode, further)
    assert launched
    trained = [each for each in launched if "training" in each.component]
    assert bool(trained) == (mode in ("fine-tune", "transfer"))
    for each in launched:
        # Its container is called with the names and types of its function.
        component = each.component.removeprefix("exec-").rstrip("-0123456789").replace("-", "_")
        module = importlib.import_module(f"stt_bootstrap.components.{component}.component")
        signature = inspect.signature(getattr(module, component).python_func)
        for key, value in each.parameters.items():
            assert key in signature.parameters
            kind = signature.parameters[key].annotation
            kind = getattr(kind, "__origin__", kind)
            assert isinstance(value, {float: (int, float), int: (int, float)}.get(kind, kind)), key


def test_both_groups_of_long_recordings_are_gone_through(packages):
    titles = {each.task for each in play(packages["prepare"], "", ALIGNED)}
    assert "root/condition-3/forced-alignment" in titles
    assert "root/condition-3/condition-4/dataset-packing-2" in titles


def test_a_sweep_trains_every_member_in_every_rung(packages):
    members = [each for each in play(packages["sweep"], "", {}) if "member" in each.component]
    assert [each.parameters["member"] for each in members] == ["first", "second"] * 3
    assert [each.parameters["rung"] for each in members] == [5, 5, 15, 15, 0, 0]


def test_steps_get_what_the_parameters_say(packages):
    launched = play(packages["form"], "transfer", {**GPUS, "training_memory": "7Gi"})
    by_component = {each.component.rstrip("-0123456789"): each.resources for each in launched}
    if "exec-training" in by_component:
        assert by_component["exec-training"] == {
            "cpu": "8",
            "memory": "7Gi",
            "nvidia.com/gpu": "2",
        }
    assert by_component["exec-evaluation"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in by_component["exec-source-analysis"]


def test_a_number_for_a_resource_is_found():
    backend = Backend(FORM)
    step = backend.pipeline["root"]["inputDefinitions"]["parameters"]["step_cpu"]
    step.update({"parameterType": "NUMBER_INTEGER", "defaultValue": 1})
    with pytest.raises(BackendError, match="'' is no quantity"):
        backend.run(SOURCES)


def test_an_output_of_another_type_is_found():
    def outputs(task, name, kind):
        mode = "fine-tune" if name == "mode" else made_up(task, name, kind)
        return "3" if name == "beam_width" else mode

    with pytest.raises(BackendError, match="beam_width': expect NUMBER_INTEGER, got STRING"):
        Backend(FORM, outputs).run(SOURCES)


def test_one_artifact_under_two_names_is_found():
    backend = Backend(FORM, lambda *of: "transfer" if of[1] == "mode" else made_up(*of))
    tasks = backend.components["comp-condition-2"]["dag"]["tasks"]
    taken = tasks["training-2"]["inputs"]["artifacts"]
    taken["model_alphabet"] = taken["checkpoint"]
    with pytest.raises(BackendError, match="AlreadyExists"):
        backend.run(SOURCES)


def test_a_value_of_another_type_is_refused():
    with pytest.raises(BackendError, match="epochs requires type STRING"):
        Backend(FORM).run({**SOURCES, "epochs": 3})


def test_an_interface_that_shares_the_container_of_another_is_found():
    """The compiler keeps one interface for each container: the second would count for both."""
    backend = Backend(FORM)
    two = ("comp-training", "comp-training-2")
    executors = backend.pipeline["deploymentSpec"]["executors"]
    executors["exec-training-2"] = executors["exec-training"]
    first, _ = (backend.components[each]["inputDefinitions"]["parameters"] for each in two)
    first.pop("epochs")
    with pytest.raises(BackendError, match="another interface"):
        backend.compile()
