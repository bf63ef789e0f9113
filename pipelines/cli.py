"""The console command ``stt-bootstrap``: ``stt_model.cli.parser`` and what needs Kubeflow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stt_model import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 if done, 1 if refused or failed with one line, 2 for wrong usage."""
    return cli.run(build_parser()[0], arguments)


def build_parser() -> tuple[argparse.ArgumentParser, cli.Commands]:
    """Return the parser with every command, and its commands."""
    parser, commands = cli.build_parser()
    cli.add_command(
        commands,
        "run",
        "run the whole pipeline on this machine: validate, decide, train, evaluate",
        "stt_bootstrap.pipelines.commands:run",
        _run,
    )
    cli.add_command(
        commands,
        "compile",
        "write the packages for Kubeflow: the pipeline and every component",
        "stt_bootstrap.pipelines.commands:compile_packages",
        _compile,
    )
    cli.add_command(
        commands,
        "preflight",
        "check a cluster, its object store and the sources before a run",
        "stt_bootstrap.pipelines.preflight.command:main",
        _preflight,
    )
    cli.add_command(
        commands,
        "submit",
        "run the pipeline on a cluster: upload it if it changed, start a run, wait for its end",
        "stt_bootstrap.pipelines.submit_command:main",
        _submit,
    )
    return parser, commands


def _run(parser: argparse.ArgumentParser) -> None:
    from stt_bootstrap.pipelines.commands import SHARES
    from stt_bootstrap.pipelines.package import CLUSTER_ONLY, package_parameters, value_reader
    from stt_model.jobs import all_parameters

    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where model and reports go"
    )
    parser.add_argument(
        "--runner",
        choices=("subprocess", "docker"),
        default="subprocess",
        help="this Python, or the components' images",
    )
    cli.add_switch(parser, "--verbose", False, "show what the steps print")
    for name in SHARES:
        declared = all_parameters()[name]
        parser.add_argument(
            f"--{name}",
            type=cli.reader(declared),
            metavar=declared.metavar,
            help="where --dataset_uri is one CSV file, or a folder with one: divide it;"
            f" {declared.help[0].lower()}{declared.help[1:]}",
        )
    group = parser.add_argument_group("parameters of the pipeline")
    for name, parameter in package_parameters().items():
        if name not in CLUSTER_ONLY:
            group.add_argument(
                f"--{name}",
                type=value_reader(parameter),
                required=parameter.default is None,
                default=parameter.default,
                metavar=parameter.type.__name__.upper(),
                help=(parameter.description or " ").replace("%", "%%"),
            )


def _submit(parser: argparse.ArgumentParser) -> None:
    from stt_bootstrap.pipelines.package import (
        PACKAGE,
        named_package,
        package_parameters,
        value_reader,
    )

    parser.add_argument(
        "--endpoint",
        default="",
        metavar="URL",
        help="address of Kubeflow Pipelines; without it that of KFP_ENDPOINT",
    )
    parser.add_argument(
        "--namespace", default="kubeflow", metavar="NAME", help="namespace of the runs"
    )
    parser.add_argument(
        "--package",
        type=Path,
        default=PACKAGE,
        metavar="YAML",
        help="what `compile` wrote; its parameters are flags",
    )
    parser.add_argument(
        "--parameters",
        type=Path,
        metavar="YAML",
        help="file with parameters of the run; flags win over it",
    )
    parser.add_argument(
        "--experiment",
        default="stt-bootstrap",
        metavar="NAME",
        help="experiment that lists the run; made where there is none",
    )
    parser.add_argument(
        "--run_name",
        default="",
        metavar="NAME",
        help="name of the run; without it, version and time",
    )
    parser.add_argument(
        "--service_account",
        default="stt-bootstrap-runner",
        metavar="NAME",
        help="service account of the run's pods",
    )
    parser.add_argument(
        "--pipeline_root",
        default="",
        metavar="URI",
        help="where artifacts go; without it, where Kubeflow keeps all",
    )
    cli.add_switch(parser, "--wait", True, "wait for the end, and exit with 1 if the run failed")
    cli.add_switch(parser, "--follow", False, "show what failed tasks printed, behind the reason")
    parser.add_argument(
        "--retries",
        type=_count,
        default=2,
        metavar="N",
        help="times to go on with a run that failed because a pod was lost or evicted, and for "
        "nothing else",
    )
    parser.add_argument(
        "--output",
        choices=("text", "json"),
        default="text",
        help="for a person, or one JSON object a line on stdout for a program",
    )
    parser.add_argument(
        "--context",
        default="",
        help="context of the kubeconfig to look at pods with, in place of its current one",
    )
    parser.add_argument(
        "--attach", default="", metavar="RUN_ID", help="wait for a run that was started before"
    )
    group = parser.add_argument_group("parameters of the pipeline")
    for name, parameter in package_parameters(named_package(parser)).items():
        shown = f" (default: {parameter.default})" if parameter.default not in (None, "") else ""
        group.add_argument(
            f"--{name}",
            type=value_reader(parameter),
            metavar="JSON" if parameter.type in (dict, list) else parameter.type.__name__.upper(),
            help=f"{parameter.description}{shown}".replace("%", "%%"),
        )


def _compile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="root to write below: pipelines/bootstrap.yaml and components/*/component.yaml",
    )
    parser.add_argument(
        "--registry", default="", help="registry of the images, in place of the project's"
    )
    parser.add_argument("--tag", default="", help="tag of the images, in place of the project's")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=REFERENCE",
        help="a whole reference in place of the image light or model, perhaps by digest; may be "
        "given for each",
    )
    parser.add_argument(
        "--cache_claim",
        default="",
        metavar="NAME",
        help="volume claim on which the steps of the pipeline cache clips from an object store; it "
        "must be there in every namespace of runs",
    )
    parser.add_argument(
        "--nodes",
        type=int,
        default=1,
        metavar="N",
        help="nodes that training is spread over: more than one needs Kubeflow Trainer (alpha)",
    )
    parser.add_argument(
        "--model_registry",
        default="",
        metavar="URL",
        help="Kubeflow Model Registry that a last step registers released models in (alpha)",
    )
    parser.add_argument(
        "--queue",
        default="",
        metavar="NAME",
        help="LocalQueue of Kueue that the pods wait in; it must be there in every namespace of"
        " runs",
    )


def _preflight(parser: argparse.ArgumentParser) -> None:
    from stt_bootstrap.pipelines.preflight.flags import add_flags

    add_flags(parser)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected 0, 1, 2, …, found {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
