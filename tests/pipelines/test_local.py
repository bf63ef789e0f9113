import json
import zipfile

import pytest
from kfp.local.config import LocalExecutionConfig

from stt_bootstrap.pipelines import local
from stt_bootstrap.pipelines.package import PACKAGE, ParameterError
from stt_bootstrap.pipelines.watch import component_of
from stt_model.base.errors import BootstrapError
from stt_model.checkpoint.directory import open_checkpoint

FIRST = ("source-digests", "source-analysis")


def folders_of(outcome):
    """Return the tasks that left a folder, whatever the log says."""
    return {path.name for path in outcome.run_dir.glob("tasks/*/*")}


def test_fine_tuning_runs_its_branch_and_no_other(fine_tuned):
    assert fine_tuned.errors == ()
    assert fine_tuned.mode == "fine-tune"
    assert sorted(fine_tuned.tasks) == sorted((*FIRST, "training", "evaluation", "model-export"))
    assert folders_of(fine_tuned) == set(fine_tuned.tasks)


def test_transfer_runs_its_branch_and_no_other(transferred):
    assert transferred.errors == ()
    assert transferred.mode == "transfer"
    branch = ("training-2", "evaluation-2", "model-export-2")
    assert sorted(transferred.tasks) == sorted((*FIRST, *branch))
    assert transferred.tasks[-3:] == branch
    assert folders_of(transferred) == set(transferred.tasks)


def test_refusal_runs_no_branch_and_says_why(refused):
    assert not refused.succeeded
    assert refused.mode == "refuse"
    assert sorted(refused.tasks) == sorted((*FIRST, "refusal"))
    # A task without outputs leaves no folder.
    assert folders_of(refused) == set(FIRST)
    (error,) = refused.errors
    assert error == refused.reason
    assert "fine-tune was asked for" in error
    assert (refused.model, refused.samples, refused.wer) == (None, None, None)
    assert (refused.export, refused.package, refused.passed) == (None, None, None)


def test_evidence_of_a_refusal_is_kept(refused):
    assert set(refused.reports) == {"source_analysis"}
    assert "refuse" in refused.reports["source_analysis"].read_text()


def test_model_of_a_fine_tuning_has_the_order_of_the_given_alphabet(fine_tuned, latin):
    model = open_checkpoint(fine_tuned.model)
    assert model.alphabet.labels == tuple("dcba ")
    assert model.geometry == open_checkpoint(latin).geometry


def test_model_of_a_transfer_has_the_alphabet_of_the_transcripts(transferred, foreign):
    model = open_checkpoint(transferred.model)
    # And, as was asked for, the labels of the source.
    kept = open_checkpoint(foreign).alphabet.labels
    assert set(model.alphabet.labels) == {*" abcd", *kept}
    assert model.geometry.n_classes == len({*" abcd", *kept}) + 1


def test_results_lie_in_plain_places(transferred):
    folder = transferred.run_dir.parent.parent
    assert transferred.model == folder / "model"
    assert not transferred.model.readlink().is_absolute()
    assert not transferred.export.readlink().is_absolute()
    assert sorted(path.name for path in (folder / "reports").iterdir()) == sorted(
        f"{name}.md" for name in transferred.reports
    )
    assert set(transferred.reports) == {
        "source_analysis",
        "training",
        "evaluation",
        "model_export",
    }
    assert transferred.page == folder / "report.html"
    page = transferred.page.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "Source checkpoint" in page
    assert "data:image/svg+xml" in page
    assert "<h2>Suspects</h2>" in page
    assert (folder / "suspects.csv").read_text(encoding="utf-8").startswith("rank,drop,score,why,")
    samples = json.loads((folder / "samples.json").read_text())
    assert len(samples) == 2
    assert {"wav_filename", "src", "res", "loss", "wer", "cer"} <= set(samples[0])


def test_model_that_passes_is_exported_as_released(transferred):
    folder = transferred.run_dir.parent.parent
    assert (transferred.passed, transferred.gate) == (True, "nothing was asked")
    assert transferred.export == folder / "export"
    assert json.loads((transferred.export / "export.json").read_text())["released"] is True
    assert "released: true\n" in (transferred.export / "author_model_0.0.1.md").read_text()
    with zipfile.ZipFile(transferred.package) as package:
        assert sorted(package.namelist()) == sorted(
            path.name for path in transferred.export.iterdir()
        )


def test_model_that_misses_the_gate_is_reported_and_exported_but_not_released(fine_tuned):
    assert fine_tuned.succeeded
    assert fine_tuned.passed is False
    assert "is above the 1.00% allowed" in fine_tuned.gate
    assert "Not released" in fine_tuned.reports["model_export"].read_text()
    assert (fine_tuned.export / "output_graph.tflite").stat().st_size > 0
    card = (fine_tuned.export / "author_model_0.0.1.md").read_text()
    assert "released: false\n" in card
    assert "language: tlh\n" in card
    assert fine_tuned.gate in card
    (task,) = fine_tuned.run_dir.glob("tasks/*/model-export/executor_output.json")
    (exported,) = json.loads(task.read_text())["artifacts"]["exported_model"]["artifacts"]
    assert exported["metadata"]["released"] is False


def test_error_rates_are_those_of_the_report(transferred):
    (metrics,) = transferred.run_dir.glob("tasks/*/evaluation-2/executor_output.json")
    artifacts = json.loads(metrics.read_text())["artifacts"]
    logged = artifacts["evaluation_metrics"]["artifacts"][0]["metadata"]
    assert transferred.wer == pytest.approx(logged["wer"])
    assert transferred.cer == pytest.approx(logged["cer"])


def test_progress_names_each_task_once_begun_and_once_done(transferred, progress):
    begun = [line.partition(":")[0] for line in progress if line.endswith(": running")]
    done = [line.partition(":")[0] for line in progress if ": done in " in line]
    assert begun == done == [component_of(task) for task in transferred.tasks]
    assert any(line.startswith("source_analysis: mode: transfer (") for line in progress)
    epochs = [line for line in progress if line.startswith("training: epoch ")]
    assert [line.split(": ")[1] for line in epochs] == ["epoch 0", "epoch 1"]
    assert all("dev WER" in line for line in epochs)


def test_all_that_is_wrong_with_the_sources_is_told_in_one_line(foreign, dataset, tmp_path):
    # What an earlier run left is not to be taken for this one's.
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "training.md").write_text("old")
    (tmp_path / "reports" / "notes.md").write_text("not ours")
    parameters = {
        "dataset_uri": str(tmp_path / "nowhere"),
        "checkpoint_uri": str(foreign),
        "checkpoint_sha256": "0" * 64,
    }
    outcome = local.run(parameters, output_dir=tmp_path)
    (error,) = outcome.errors
    assert "nowhere" in error
    assert "train.csv" in error
    assert "sha256" in error
    assert "0" * 64 in error
    assert "Traceback" not in error
    assert "\n" not in error
    assert (outcome.mode, outcome.reports) == (None, {})
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["notes.md"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"checkpoint_uri": "c"}, "'dataset_uri' needs a value"),
        ({"dataset_uri": "d", "checkpoint_uri": "c", "epoch": 1}, "unknown parameter 'epoch'"),
        ({"dataset_uri": "d", "checkpoint_uri": "c", "es_epochs": "1"}, "'es_epochs' must be int"),
    ],
)
def test_wrong_parameters_start_nothing(parameters, message, tmp_path):
    with pytest.raises(ParameterError, match=message):
        local.run(parameters, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["model", "export"])
def test_somebody_elses_folder_is_not_replaced(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(BootstrapError, match="another output folder"):
        local.run({"dataset_uri": "d", "checkpoint_uri": "c"}, output_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_unknown_runner(tmp_path):
    with pytest.raises(ParameterError, match="'kubernetes'"):
        parameters = {"dataset_uri": "d", "checkpoint_uri": "c"}
        local.run(parameters, output_dir=tmp_path / "out", runner="kubernetes")


def test_containers_see_local_paths_and_a_missing_engine_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    parameters = {
        "dataset_uri": f"file://{tmp_path}/my%20data",
        "checkpoint_uri": "https://x.org/c",
    }
    with pytest.raises(BootstrapError, match=r"^docker: .* the images are built") as error:
        local.run(parameters, output_dir=tmp_path / "out", runner="docker")
    assert "\n" not in str(error.value)
    data, scratch = LocalExecutionConfig.instance.runner.container_run_args["mounts"]
    assert data["Source"] == data["Target"] == f"{tmp_path}/my data"
    assert data["ReadOnly"]
    assert (scratch["Type"], scratch["Target"]) == ("volume", "/tmp")


def test_the_form_runs_with_settings_in_one_object(dataset, foreign, tmp_path):
    parameters = {
        "dataset_uri": str(dataset),
        "checkpoint_uri": str(foreign),
        "mode": "fine-tune",
        "settings": {"strict_validation": True, "drop_source_layers": 2},
    }
    outcome = local.run(parameters, output_dir=tmp_path, package=PACKAGE.with_name("form.yaml"))
    assert outcome.tasks == ("run-settings", "source-analysis", "refusal")
    assert outcome.mode == "refuse"
    (first,) = outcome.run_dir.glob("tasks/*/run-settings/executor_output.json")
    found = json.loads(first.read_text())["parameterValues"]
    assert (found["strict_validation"], found["drop_source_layers"]) == (True, 2)
    assert (found["es_epochs"], found["lm_alpha"]) == (25, "auto")


def test_a_setting_that_is_not_there_ends_the_first_step(dataset, foreign, tmp_path):
    parameters = {
        "dataset_uri": str(dataset),
        "checkpoint_uri": str(foreign),
        "settings": {"lerning_rate": 0.1},
    }
    outcome = local.run(parameters, output_dir=tmp_path, package=PACKAGE.with_name("form.yaml"))
    assert outcome.tasks == ("run-settings",)
    (error,) = outcome.errors
    assert "lerning_rate: no such setting (did you mean learning_rate?)" in error
