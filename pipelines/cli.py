"""The console command ``stt-bootstrap``: ``stt_model.cli`` and what needs Kubeflow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stt_model import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 if done, 1 if refused or failed with one line, 2 for wrong usage."""
    parser, commands = cli.build_parser()
    cli.add_command(
        commands,
        "run",
        "run the whole pipeline on this machine: validate, decide, train, evaluate",
        "pipelines.commands:run",
        _run,
    )
    cli.add_command(
        commands,
        "compile",
        "write the packages for Kubeflow: the pipeline and every component",
        "pipelines.commands:compile_packages",
        _compile,
    )
    cli.add_command(
        commands,
        "preflight",
        "check a cluster, its object store and the sources before a run",
        "pipelines.preflight.command:main",
        _preflight,
    )
    return cli.run(parser, arguments)


def _run(parser: argparse.ArgumentParser) -> None:
    from pipelines.package import package_parameters

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
    group = parser.add_argument_group("parameters of the pipeline")
    for name, parameter in package_parameters().items():
        group.add_argument(
            f"--{name}",
            type=cli.VALUES.get(name, cli.boolean if parameter.type is bool else parameter.type),
            required=parameter.default is None,
            default=parameter.default,
            metavar=parameter.type.__name__.upper(),
            help=parameter.description or " ",
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


def _preflight(parser: argparse.ArgumentParser) -> None:
    from pipelines.preflight.flags import add_flags

    add_flags(parser)


if __name__ == "__main__":
    sys.exit(main())
