"""What the commands of ``stt-bootstrap`` do that run or write the pipeline."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from components import images
from stt_model.base import BootstrapError, GateError, StorageError, check_output
from stt_model.corpus import find_splits
from stt_model.storage import check_readable, local_file
from stt_model.text import read_alphabet

if TYPE_CHECKING:
    from pipelines.kubeflow import Kubeflow
    from pipelines.package import Value


class RunError(BootstrapError):
    """A run of the pipeline that did not come to its end."""


def run(args: argparse.Namespace) -> int:
    """Run the pipeline here; exit with 1 if a task failed or the model is not good enough."""
    _check_inputs(args)
    from pipelines.local import run as run_locally
    from pipelines.package import CLUSTER_ONLY, package_parameters

    outcome = run_locally(
        {name: getattr(args, name) for name in package_parameters() if name not in CLUSTER_ONLY},
        output_dir=args.output,
        runner=args.runner,
        verbose=args.verbose,
    )
    if outcome.mode:
        print(f"mode: {outcome.mode} ({outcome.reason})")
    for name, path in outcome.reports.items():
        print(f"report of {name}: {path}")
    if outcome.page:
        print(f"page on the evaluation: {outcome.page}")
    if not outcome.succeeded:
        raise RunError(f"{'; '.join(outcome.errors)} (logs: {outcome.run_dir / 'logs'})")
    print(f"model: {outcome.model}")
    print(f"export: {outcome.export}, the same in a zip: {outcome.package}")
    print(f"WER {outcome.wer:.4f}, CER {outcome.cer:.4f}; samples: {outcome.samples}")
    if not outcome.passed:
        raise GateError(f"the model was exported, but is not released: {outcome.gate}")
    return 0


def _check_inputs(args: argparse.Namespace) -> None:
    """Refuse what is plainly not there, before a run is begun that would leave its traces."""
    check_output(args.output, is_folder=True)
    find_splits(args.dataset_uri)
    if args.alphabet_uri:
        with local_file(args.alphabet_uri) as path:
            read_alphabet(path)
    for name in ("checkpoint_uri", "scorer_uri"):
        if uri := getattr(args, name):
            try:
                check_readable(uri)
            except StorageError as error:
                raise RunError(f"--{name}: {error}") from error


def compile_packages(args: argparse.Namespace) -> int:
    """Write the packages, and their parameters into a README that has a place for them."""
    from pipelines.compile import compile_all, parse_images
    from pipelines.parameter_table import has_marks, write_table

    written = compile_all(
        args.output,
        registry=args.registry or images.REGISTRY,
        tag=args.tag or images.TAG,
        overrides=parse_images(args.image),
        cache_claim=args.cache_claim,
    )
    readme = args.output / "README.md"
    if has_marks(readme):
        write_table(readme, package=written[-1])
        written.append(readme)
    for path in written:
        print(path)
    return 0


def submit(args: argparse.Namespace) -> int:
    """Run the package on a cluster; exit as the run ends."""
    from pipelines.kubeflow import connect
    from pipelines.package import package_images
    from pipelines.submit import start, upload

    if args.attach:
        return _watch(args, connect(args.endpoint, args.namespace), args.attach)
    values = _given_parameters(args)
    if local := [each for each in package_images(args.package) if each.startswith("localhost/")]:
        _note(
            f"the package names {', '.join(local)}, which only clusters that have them loaded can "
            "start; `stt-bootstrap compile --registry` writes one for your registry"
        )
    kubeflow = connect(args.endpoint, args.namespace)
    version = upload(kubeflow, args.package)
    print(f"version: {version.name} ({'uploaded' if version.is_new else 'was there already'})")
    print(f"  {kubeflow.version_link(version.pipeline_id, version.version_id)}")
    run_id = start(
        kubeflow,
        version,
        values,
        experiment=args.experiment,
        run_name=args.run_name,
        service_account=args.service_account,
        pipeline_root=args.pipeline_root,
    )
    print(f"run: {run_id}")
    print(f"  {kubeflow.run_link(run_id)}", flush=True)
    return _watch(args, kubeflow, run_id) if args.wait else 0


def _given_parameters(args: argparse.Namespace) -> dict[str, Value]:
    """Return what was given, flags over the file, checked in one go."""
    from pipelines.package import (
        ParameterError,
        check_parameters,
        package_parameters,
        read_parameters,
    )

    values = read_parameters(args.parameters) if args.parameters else {}
    flags = {name: getattr(args, name, None) for name in package_parameters(args.package)}
    values |= {name: value for name, value in flags.items() if value is not None}
    # A path that does not start at the root means something on this machine only.
    problems = [
        f"parameter {name!r}: expected what pods can read, such as s3://BUCKET/KEY, found {value!r}"
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


def _watch(args: argparse.Namespace, kubeflow: Kubeflow, run_id: str) -> int:
    from pipelines.kubeflow import KubeflowError
    from pipelines.package import package_tasks
    from pipelines.pod_logs import PodLogs, logs_command
    from pipelines.run_watch import RunWatch

    namespace = kubeflow.namespace or args.namespace
    again = f"stt-bootstrap submit --attach {run_id} --endpoint {kubeflow.endpoint}"
    logs = PodLogs(namespace) if args.follow else None
    watch = RunWatch(kubeflow, run_id, package_tasks(args.package), say=_note, logs=logs)
    try:
        result = watch.wait()
    except KeyboardInterrupt:
        _note(f"the run goes on; to watch it again: {again}")
        raise
    except KubeflowError as error:
        raise RunError(f"{error}; the run may go on, to watch it again: {again}") from error
    if not result.succeeded:
        if not args.follow:
            _note(f"logs: {logs_command(namespace, run_id)}")
        what = ", ".join(result.failed) or result.message or "see its page"
        raise RunError(f"the run ended as {result.state.lower()}: {what}")
    print("the run succeeded")
    return 0


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
