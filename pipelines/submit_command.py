"""The command ``submit``."""

from __future__ import annotations

import argparse
import re

from stt_bootstrap.pipelines.kubeflow import Kubeflow, KubeflowError, connect
from stt_bootstrap.pipelines.package import (
    ParameterError,
    Value,
    check_parameters,
    package_images,
    package_parameters,
    package_tasks,
)
from stt_bootstrap.pipelines.pod_watch import PodWatch
from stt_bootstrap.pipelines.run_pods import RunPods, logs_command
from stt_bootstrap.pipelines.run_report import RunReport
from stt_bootstrap.pipelines.run_watch import RunResult, RunWatch
from stt_bootstrap.pipelines.submit import start, upload
from stt_model.base import BootstrapError
from stt_model.jobs import read_settings_file


class SubmitError(BootstrapError):
    """A run on a cluster failed, or cannot be followed."""


def main(args: argparse.Namespace) -> int:
    """Run the package on a cluster; return 0 if the run succeeds or is not waited for.

    Raises:
        SubmitError: the run failed, or can no longer be followed.
        KubeflowError, PackageError, ParameterError: no run was started.
    """
    report = RunReport(as_json=args.output == "json")
    if args.attach:
        return _watch(args, report, connect(args.endpoint, args.namespace), args.attach)
    values = _given_parameters(args)
    if local := [each for each in package_images(args.package) if each.startswith("localhost/")]:
        report.note(
            f"the package names {', '.join(local)}, which start only on clusters that have them "
            "loaded; `stt-bootstrap compile --registry` writes a package for your registry"
        )
    kubeflow = connect(args.endpoint, args.namespace)
    version = upload(kubeflow, args.package)
    link = kubeflow.version_link(version.pipeline_id, version.version_id)
    report.result(
        f"version: {version.name} ({'uploaded' if version.is_new else 'was there already'})",
        f"  {link}",
        event="version",
        name=version.name,
        pipeline_id=version.pipeline_id,
        version_id=version.version_id,
        uploaded=version.is_new,
        link=link,
    )
    run_id = start(
        kubeflow,
        version,
        values,
        experiment=args.experiment,
        run_name=args.run_name,
        service_account=args.service_account,
        pipeline_root=args.pipeline_root,
    )
    link = kubeflow.run_link(run_id)
    report.result(f"run: {run_id}", f"  {link}", event="run", run_id=run_id, link=link)
    return _watch(args, report, kubeflow, run_id) if args.wait else 0


def _given_parameters(args: argparse.Namespace) -> dict[str, Value]:
    """Return the given parameters, flags before those of the file, all checked."""
    values = read_settings_file(args.parameters) if args.parameters else {}
    flags = {name: getattr(args, name, None) for name in package_parameters(args.package)}
    values |= {name: value for name, value in flags.items() if value is not None}
    # A relative path has a meaning on this machine only.
    problems = [
        f"parameter {name!r}: expected a URI that pods can read, such as s3://BUCKET/KEY, found"
        f" {value!r}"
        for name, value in values.items()
        if name.endswith("_uri") and re.match(r"(?!/|\w+://).", str(value))
    ]
    checked: dict[str, Value] = {}
    try:
        checked = check_parameters(values, args.package)
    except ParameterError as error:
        problems.insert(0, str(error))
    if problems:
        raise ParameterError("; ".join(problems))
    return checked


def _watch(args: argparse.Namespace, report: RunReport, kubeflow: Kubeflow, run_id: str) -> int:
    namespace = kubeflow.namespace or args.namespace
    again = f"stt-bootstrap submit --attach {run_id} --endpoint {kubeflow.endpoint}"
    titles = package_tasks(args.package)
    pods = PodWatch(RunPods(namespace, args.context), titles, report, follow=args.follow)
    watch = RunWatch(kubeflow, run_id, titles, report=report, pods=pods)
    try:
        result = _wait(watch, report, args.retries)
    except KeyboardInterrupt:
        report.note(f"the run continues; to follow it again: {again}")
        raise
    except KubeflowError as error:
        raise SubmitError(f"{error}; the run may continue; to follow it again: {again}") from error
    _tell_end(report, result, run_id)
    if not result.succeeded:
        if not args.follow:
            report.note(f"logs: {logs_command(namespace, run_id)}")
        raise SubmitError(f"the run ended as {result.state.lower()}: {result.explanation}")
    return 0


def _wait(watch: RunWatch, report: RunReport, retries: int) -> RunResult:
    """Wait for the end, and retry a run that failed only because pods were lost."""
    result = watch.wait()
    for attempt in range(1, retries + 1):
        if not result.lost:
            break
        lost = ", ".join(result.lost)
        report.note(
            f"{lost}: the pod was lost or evicted; the run continues from its finished tasks "
            f"(retry {attempt} of {retries})",
            "retry",
            tasks=list(result.lost),
            attempt=attempt,
            of=retries,
        )
        watch.retry()
        result = watch.wait()
    return result


def _tell_end(report: RunReport, result: RunResult, run_id: str) -> None:
    fields = {
        "run_id": run_id,
        "state": result.state,
        "succeeded": result.succeeded,
        "failed": list(result.failed),
        "reasons": dict(result.reasons),
    }
    if result.succeeded:
        report.result("the run succeeded", event="end", **fields)
    else:
        report.only_for_programs("end", **fields)
