"""Each component as others take it: from its compiled file, with nothing else of this project."""

import re
import warnings
from pathlib import Path

import pytest
import yaml
from kfp import compiler, components, dsl, local
from kfp.dsl.graph_component import GraphComponent

from stt_bootstrap.components import COMPONENTS
from tests.corpora import write_tone_dataset

ROOT = Path(__file__).parents[2]


def load(name):
    return components.load_component_from_file(str(ROOT / "components" / name / "component.yaml"))


@pytest.fixture
def run_locally(tmp_path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You may be attemping to run a task")
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "runs"))
        yield


@pytest.mark.parametrize("name", COMPONENTS)
def test_example_of_the_readme_compiles(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    readme = (ROOT / "components" / name / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    scope = {}
    exec(example, scope)
    (pipeline,) = (each for each in scope.values() if isinstance(each, GraphComponent))
    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    assert f"exec-{name.replace('_', '-')}" in (tmp_path / "pipeline.yaml").read_text()


@pytest.mark.parametrize("name", COMPONENTS)
def test_readme_lists_every_input_and_output(name):
    readme = (ROOT / "components" / name / "README.md").read_text()
    rows = [line.split("|")[1] for line in readme.splitlines() if line.startswith("| `")]
    listed = [each for row in rows for each in re.findall(r"`(\w+)`", row)]
    spec = load(name).component_spec
    assert sorted(listed) == sorted([*(spec.inputs or {}), *(spec.outputs or {})])


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_input_and_output_is_described(name):
    text = (ROOT / "components" / name / "component.yaml").read_text()
    assert re.search(r"^# Description: \w", text, re.MULTILINE)
    (spec,) = yaml.safe_load(text)["components"].values()
    described = {
        key: each.get("description")
        for way in ("inputDefinitions", "outputDefinitions")
        for kind in spec.get(way, {}).values()
        for key, each in kind.items()
    }
    assert described
    assert [key for key, description in described.items() if not description] == []


def test_a_component_runs_in_another_pipeline(run_locally, tmp_path):
    write_tone_dataset(tmp_path / "tones", train=4, other=2)
    dataset_validation = load("dataset_validation")

    @dsl.pipeline(name="check-only")
    def check_only(dataset_uri: str) -> dsl.Dataset:
        return dataset_validation(dataset_uri=dataset_uri).outputs["clean_dataset"]

    clean = Path(check_only(dataset_uri=str(tmp_path / "tones")).output.path)
    assert {"train.csv", "dev.csv", "test.csv"} <= {path.name for path in clean.iterdir()}


def test_refusal_fails_with_its_reason(run_locally, capsys):
    with pytest.raises(RuntimeError, match="refusal"):
        load("refusal")(reason="it's not allowed: it can't")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert any(line.endswith("RefusedError: it's not allowed: it can't") for line in lines)
