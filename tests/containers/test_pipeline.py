"""The whole pipeline in its images: not as root, nothing writable but /tmp and the run's folder."""

import json

import pytest

from stt_bootstrap.components import images
from stt_bootstrap.pipelines.local import run
from stt_model.checkpoint.directory import open_checkpoint

pytestmark = pytest.mark.containers

SMALL = {"epochs": 1, "train_batch_size": 4, "dev_batch_size": 4, "test_batch_size": 4}
DATA_STEPS = ["source_digests", "source_analysis"]
MODEL_STEPS = ["training", "evaluation", "model_export"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("language", "mode", "model_steps"),
    [
        ("swahili", "fine-tune", MODEL_STEPS),
        ("macedonian", "transfer", MODEL_STEPS),
    ],
)
def test_branch_runs_from_the_store_to_an_export(
    engine, store, ended, output_dir, language, mode, model_steps
):
    parameters = {
        "dataset_uri": f"s3://corpora/{language}",
        "checkpoint_uri": "s3://checkpoints/english",
    }
    outcome = run({**parameters, **SMALL}, output_dir=output_dir, runner="docker")

    assert outcome.errors == ()
    assert outcome.mode == mode
    assert open_checkpoint(outcome.model).geometry.n_hidden == 216
    assert json.loads((outcome.export / "export.json").read_text())["released"] is True
    assert (outcome.export / "output_graph.tflite").stat().st_size > 0
    assert 0 <= outcome.cer <= 2

    used = [each["Config"]["Image"] for each in ended.values()]
    assert used.count(images.LIGHT) == len(DATA_STEPS)
    assert used.count(images.MODEL) == len(model_steps)
    assert len(outcome.tasks) == len(used)
    for container in ended.values():
        assert container["State"]["ExitCode"] == 0
        assert not container["Config"]["User"].startswith(("0", "root"))
        assert container["HostConfig"]["ReadonlyRootfs"] is True
    assert not {each.id for each in engine.containers.list(all=True)} & set(ended)


def test_refusal_in_a_container_is_a_failure_with_its_reason(engine, store, ended, output_dir):
    parameters = {
        "dataset_uri": "s3://corpora/macedonian",
        "checkpoint_uri": "s3://checkpoints/english",
        "mode": "fine-tune",
    }
    outcome = run(parameters, output_dir=output_dir, runner="docker")
    assert outcome.mode == "refuse"
    assert outcome.errors == (outcome.reason,)
    failed = [each["State"]["ExitCode"] != 0 for each in ended.values()]
    assert failed == [False] * len(DATA_STEPS) + [True]
