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
        "stt_bootstrap.pipelines.preflight.flags:add_flags",
    )
    cli.add_command(
        commands,
        "submit",
        "run the pipeline on a cluster: upload it if changed, start a run, wait for the end",
        "stt_bootstrap.pipelines.submit_command:main",
        "stt_bootstrap.pipelines.submit_flags:add_flags",
    )
    return parser, commands


def _run(parser: argparse.ArgumentParser) -> None:
    from stt_bootstrap.pipelines.commands import SHARES
    from stt_bootstrap.pipelines.package import CLUSTER_ONLY, package_parameters
    from stt_bootstrap.pipelines.package_flags import add_parameter_flags
    from stt_model.jobs import all_parameters

    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the model and the reports",
    )
    parser.add_argument(
        "--runner",
        choices=("subprocess", "docker"),
        default="subprocess",
        help="run the steps with this Python, or in the components' images",
    )
    cli.add_switch(parser, "--verbose", False, "print the steps' output")
    for name in SHARES:
        declared = all_parameters()[name]
        parser.add_argument(
            f"--{name}",
            type=cli.reader(declared),
            metavar=declared.metavar,
            help="if --dataset_uri is one CSV file, or a folder with one, divide it:"
            f" {declared.help[0].lower()}{declared.help[1:]}",
        )
    group = parser.add_argument_group("parameters of the pipeline")
    parameters = package_parameters().values()
    here = (each for each in parameters if each.name not in CLUSTER_ONLY)
    add_parameter_flags(group, here, are_set=True)


def _compile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder to write pipelines/bootstrap.yaml, components/*/component.yaml and so on into",
    )
    parser.add_argument(
        "--registry", default="", help="registry of the images; by default the project's"
    )
    parser.add_argument(
        "--tag", default="", help="tag of the images; by default the project's version"
    )
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=REFERENCE",
        help="full reference of the image light or model, with a tag or digest; may be repeated",
    )
    parser.add_argument(
        "--cache_claim",
        default="",
        metavar="NAME",
        help="volume claim on which steps cache clips from an object store; it must exist in every"
        " namespace of runs",
    )
    parser.add_argument(
        "--nodes",
        type=int,
        default=1,
        metavar="N",
        help="nodes that training uses; more than one needs Kubeflow Trainer (alpha)",
    )
    parser.add_argument(
        "--model_registry",
        default="",
        metavar="URL",
        help="Kubeflow Model Registry in which a last step registers released models (alpha)",
    )
    parser.add_argument(
        "--queue",
        default="",
        metavar="NAME",
        help="LocalQueue of Kueue for the pods; it must exist in every namespace of runs",
    )


if __name__ == "__main__":
    sys.exit(main())
