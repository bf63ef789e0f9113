"""The sweep's package: nothing twice to one task, and the same as the command makes of it."""

import json
from pathlib import Path

import pytest
import yaml
from kfp import components, local

from stt_bootstrap.pipelines.package import local_pipeline, package_parameters
from stt_model.jobs.settings import all_parameters
from tests.corpora import write_tone_dataset
from tests.pipelines.artifact_flow import artifact_inputs
from tests.stt_model.training_runs import write_source

PACKAGE = Path(__file__).parents[2] / "pipelines" / "sweep.yaml"


def test_all_steps_share_what_was_prepared_once():
    inputs = artifact_inputs(PACKAGE)
    prepared = {each["prepared"] for each in inputs.values() if "prepared" in each}
    assert prepared == {("sweep-preparation", "prepared")}
    pipeline = yaml.safe_load(PACKAGE.read_text(encoding="utf-8").partition("\n---")[0])
    loops = [
        task
        for component in pipeline["components"].values()
        for task in component.get("dag", {}).get("tasks", {}).values()
        if "parameterIterator" in task
    ]
    assert loops
    assert all(each["iteratorPolicy"]["parallelismLimit"] for each in loops)


def test_it_says_of_a_parameter_what_is_declared():
    found, declared = package_parameters(PACKAGE), all_parameters()
    shared = set(found) & set(declared)
    assert {"drop_depths", "learning_rates", "keep", "choose_by", "epochs"} <= shared
    for name in shared:
        assert " ".join(found[name].description.split()) == declared[name].help, name
        assert found[name].default == declared[name].written_default, name


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sweep_runs_here_and_repeats_nothing(tmp_path):
    corpus = write_tone_dataset(tmp_path / "tones", letters="abcde", train=8, other=3)
    source = write_source(tmp_path / "source")
    pipeline = components.load_component_from_text(local_pipeline(PACKAGE))
    values = {
        "dataset_uri": str(corpus),
        "checkpoint_uris": [str(source)],
        "sweep_uri": str(tmp_path / "kept"),
        "drop_depths": "1..2",
        "learning_rates": "0.01",
        "first_rung": 1,
        "second_rung": 2,
        "epochs": "3",
        "augment": "none",
    }

    def run(name):
        local.init(
            local.SubprocessRunner(use_venv=False),
            pipeline_root=str(tmp_path / name),
            raise_on_error=True,
        )
        pipeline(**values)
        return list((tmp_path / name).rglob("leaderboard"))

    (page,) = run("first")
    assert ">stopped<" in page.read_text(encoding="utf-8")
    results = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.json")}
    ends = [path for path in results if path.name == "end.json"]
    assert len([path for path in results if path.name == "epoch-1.json"]) == 2
    assert len(ends) == 1
    assert json.loads(ends[0].read_text())["epochs"] == 3
    run("second")
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.json")}
    assert {path for path in again if again[path] != results.get(path)} == set()
