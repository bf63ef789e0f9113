"""Run the compiled pipeline on this machine, its results in plain places."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kfp import components, local

from stt_bootstrap.components import COMPONENTS
from stt_bootstrap.pipelines.docker_runner import container_user, containers, docker_runner
from stt_bootstrap.pipelines.package import (
    PACKAGE,
    ParameterError,
    check_parameters,
    local_pipeline,
)
from stt_bootstrap.pipelines.watch import Watch, component_of

Runner = Literal["subprocess", "docker"]

# What the executor of kfp writes beside the artifacts of a task that has ended.
EXECUTOR_OUTPUT = "executor_output.json"


# The Markdown report of each step.
REPORTS = {
    "source_analysis": "source_report",
    "training": "training_report",
    "evaluation": "evaluation_report",
    "model_export": "export_report",
}


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended and where its results are; None for results that it did not reach."""

    errors: tuple[str, ...]
    """One line for each task that failed."""
    tasks: tuple[str, ...]
    """The tasks that ran, in order, by the package's names: ``training-2`` is the transfer's."""
    mode: str | None
    """fine-tune, transfer or refuse."""
    reason: str | None
    """The reason for the mode, in one line."""
    wer: float | None
    cer: float | None
    passed: bool | None
    """Whether the model meets ``max_wer`` and ``must_beat_source`` and is released."""
    gate: str | None
    """The demands of ``max_wer`` and ``must_beat_source``, and why the model misses them, if so."""
    verdict: str | None
    """What the model can be used for, and what to do next."""
    model: Path | None
    """The trained checkpoint folder."""
    export: Path | None
    """The folder for deployed runtimes, even if the model is not released."""
    package: Path | None
    """The same as a zip archive."""
    samples: Path | None
    """JSON list of the transcribed utterances."""
    reports: Mapping[str, Path]
    """Markdown files by component, such as ``training``."""
    page: Path | None
    """The evaluation's HTML page."""
    suspects: Path | None
    """CSV list of suspicious clips; empty unless ``list_suspects`` was asked for."""
    run_dir: Path
    """All files of this run: ``tasks``, and their output in ``logs``."""

    @property
    def succeeded(self) -> bool:
        """Whether no task failed."""
        return not self.errors


def run(
    parameters: Mapping[str, object],
    *,
    output_dir: Path | str,
    package: Path = PACKAGE,
    runner: Runner = "subprocess",
    verbose: bool = False,
    say: Callable[[str], None] | None = None,
) -> RunOutcome:
    """Run the pipeline and return the outcome; a task that fails is part of the outcome.

    ``output_dir`` gets ``export``, ``model`` and ``dataset`` (links to what is deployed, to the
    checkpoint and to the clean manifests), ``export.zip``, ``report.html``, ``samples.json`` and
    ``reports/`` of this run in place of an earlier one's, and ``runs/`` with everything of every
    run.

    Args:
        parameters: Values by the names in the compiled pipeline; local paths may be relative.
        output_dir: Folder for the results; created if missing.
        package: Compiled pipeline, ``bootstrap.yaml`` or ``form.yaml``.
        runner: ``subprocess`` uses this Python, ``docker`` the images of the components.
        verbose: Also print the output of the tasks.
        say: Takes one line of progress at a time; by default prints it to stderr.

    Raises:
        BootstrapError: a parameter, the folder or the runner cannot be used.
    """
    values = {
        name: _absolute(name, value)
        for name, value in check_parameters(parameters, package).items()
    }
    output_dir = Path(output_dir).resolve()
    for link in (output_dir / "model", output_dir / "export", output_dir / "dataset"):
        if link.exists() and not link.is_symlink():
            raise ParameterError(
                f"{link}: expected a link from an earlier run, found something else; give another"
                " output folder"
            )
    chosen_runner = _make_runner(runner, values)
    run_dir = _make_run_dir(output_dir / "runs")
    if runner == "docker":
        os.chown(run_dir / "tasks", *container_user())
    watch = Watch(run_dir / "logs", say or _say, verbose)
    local.init(chosen_runner, pipeline_root=str(run_dir / "tasks"), raise_on_error=False)
    with containers(), watch.listening():
        pipeline = components.load_component_from_text(local_pipeline(package))
        pipeline(**values)
    return _collect(output_dir, run_dir, watch)


def _absolute(name: str, value: Any) -> Any:
    is_relative = name.endswith("_uri") and value and "://" not in value
    return str(Path(value).absolute()) if is_relative else value


def _make_run_dir(runs: Path) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    run_dir = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=runs))
    for name in ("logs", "tasks"):
        (run_dir / name).mkdir()
    return run_dir


def _make_runner(runner: str, values: Mapping[str, Any]) -> Any:
    if runner == "subprocess":
        return local.SubprocessRunner(use_venv=False)
    if runner != "docker":
        raise ParameterError(f"runner must be subprocess or docker, found {runner!r}")
    return docker_runner(v for name, v in values.items() if name.endswith("_uri") and v)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _collect(output_dir: Path, run_dir: Path, watch: Watch) -> RunOutcome:
    # kfp.local gives every task a folder, with a file or folder for each artifact.
    tasks = {component_of(path.name): path for path in run_dir.glob("tasks/*/*")}
    decided = _parameters_of(tasks.get("source_analysis"))
    outputs = _parameters_of(tasks.get("evaluation"))
    own_names = {
        path / artifact: place
        for task, artifact, place in (
            ("training", "trained_checkpoint", output_dir / "model"),
            ("source_analysis", "clean_dataset", output_dir / "dataset"),
        )
        if (path := tasks.get(task))
    }
    _link(tasks.get("source_analysis"), "clean_dataset", output_dir / "dataset")
    return RunOutcome(
        errors=tuple(watch.failures),
        tasks=tuple(watch.tasks),
        mode=decided.get("mode"),
        reason=decided.get("reason"),
        wer=outputs.get("wer"),
        cer=outputs.get("cer"),
        passed=outputs.get("passed"),
        gate=outputs.get("gate"),
        verdict=outputs.get("verdict"),
        model=_link(tasks.get("training"), "trained_checkpoint", output_dir / "model"),
        export=_link(tasks.get("model_export"), "exported_model", output_dir / "export"),
        package=_copy(tasks.get("model_export"), "package", output_dir / "export.zip"),
        samples=_copy(tasks.get("evaluation"), "transcribed_samples", output_dir / "samples.json"),
        reports=_copy_reports(tasks, output_dir / "reports"),
        page=_rename(
            _copy(tasks.get("evaluation"), "evaluation_page", output_dir / "report.html"),
            own_names,
        ),
        suspects=_copy(tasks.get("evaluation"), "suspects", output_dir / "suspects.csv"),
        run_dir=run_dir,
    )


def _parameters_of(task: Path | None) -> dict[str, Any]:
    """Return the output parameters of a task, none if it did not finish."""
    if task is None or not (task / EXECUTOR_OUTPUT).is_file():
        return {}
    output = json.loads((task / EXECUTOR_OUTPUT).read_text(encoding="utf-8"))
    return dict(output["parameterValues"])


def _link(task: Path | None, artifact: str, place: Path) -> Path | None:
    place.unlink(missing_ok=True)
    # A failed task may have left an incomplete artifact.
    if task is None or not (task / EXECUTOR_OUTPUT).is_file():
        return None
    place.symlink_to(os.path.relpath(task / artifact, place.parent))
    return place


def _copy(task: Path | None, artifact: str, place: Path) -> Path | None:
    place.unlink(missing_ok=True)
    if task is None or not (task / artifact).is_file():
        return None
    place.parent.mkdir(exist_ok=True)
    return Path(shutil.copyfile(task / artifact, place))


def _rename(page: Path | None, names: Mapping[Path, Path]) -> Path | None:
    """Replace paths in the folders of the run's tasks by those in the output folder."""
    if page:
        text = page.read_text(encoding="utf-8")
        for inside, outside in names.items():
            text = text.replace(str(inside), str(outside))
        page.write_text(text, encoding="utf-8")
    return page


def _copy_reports(tasks: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    places = {name: folder / f"{name}.md" for name in COMPONENTS}
    copied = {name: _copy(tasks.get(name), REPORTS.get(name, ""), places[name]) for name in places}
    return {name: place for name, place in copied.items() if place}
