"""The rules that keep the rooms of the project apart."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KUBEFLOW = {"kfp", "components", "pipelines"}
LIGHT = ("base", "storage", "text", "corpus", "importing", "checkpoint")
LIGHT_MODULES = ("decoding.fst", "decoding.scorer", "decoding.scorer_building")
LIGHT_MODULES += ("decoding.beam_search", "jobs.data", "jobs.checkpoints")
LIGHT_MODULES += ("jobs.settings", "cli.parser", "cli.data", "cli.checkpoints")


def imports(node):
    """Return the top-level packages that are imported anywhere below a node."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in each.names}
        elif isinstance(each, ast.ImportFrom) and each.module:
            found.add(each.module.partition(".")[0])
    return found


def modules(folder, name="*.py"):
    paths = sorted((ROOT / folder).rglob(name))
    assert paths
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


@pytest.mark.parametrize("path", modules("stt_model"))
def test_workers_know_nothing_of_kubeflow(path):
    assert not imports(ast.parse(path.read_text())) & KUBEFLOW


# What it does beside its job speaks to Kubernetes, which the jobs know nothing of.
WITH_MODULES_OF_ITS_OWN = "distributed_training"


@pytest.mark.parametrize("path", modules("components"))
def test_components_import_workers_only_inside_functions(path):
    if path.parent.name == WITH_MODULES_OF_ITS_OWN and path.name != "component.py":
        return
    tree = ast.parse(path.read_text())
    outside = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    found = set().union(*map(imports, outside)) & {"stt_model", "pipelines"}
    # The tag of the images is the version.
    assert found == ({"stt_model"} if path.name == "images.py" else set())


@pytest.mark.parametrize("path", modules("components", "component.py"))
def test_component_files_hold_one_function_that_calls_one_step(path):
    functions = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef)]
    assert [function.name for function in functions] == [path.parent.name]
    if path.parent.name == WITH_MODULES_OF_ITS_OWN:
        calls = [
            n.func.id
            for n in ast.walk(functions[0])
            if isinstance(n, ast.Call)
            and isinstance(n.func, ast.Name)
            and n.func.id.startswith("train")
        ]
        assert calls == ["train_distributed"]
        return
    steps = [
        node
        for node in ast.walk(functions[0])
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "jobs"
        and node.attr not in ("read_model_alphabet", "test_split")
    ]
    assert len(steps) == 1


@pytest.mark.parametrize("folder", ["stt_model", "components", "pipelines", "demo"])
def test_processors_are_counted_in_one_place(folder):
    """Which knows what a container and the process may use; the machine has more."""
    counting = {
        path.name
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "cpu_count" in path.read_text() and path.name != "machine.py"
    }
    assert not counting


def test_light_modules_do_without_tensorflow():
    rooms = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in LIGHT
        for path in sorted((ROOT / "stt_model" / name).rglob("[a-z]*.py"))
    ]
    assert len(rooms) > 30
    names = ", ".join((*rooms, *(f"stt_model.{name}" for name in LIGHT_MODULES)))
    script = f"import sys, {names}; print(*{{'tensorflow', 'keras'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == ""
