"""Flags that ``run``, ``submit`` and ``preflight`` share; ``--help`` imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from stt_bootstrap.pipelines.package import PACKAGE, Parameter, value_reader


def add_cluster_flags(group: argparse._ActionsContainer) -> None:
    """Add the flags that name a cluster and a namespace."""
    group.add_argument(
        "--namespace", default="kubeflow", metavar="NAME", help="namespace of the runs"
    )
    group.add_argument(
        "--context",
        default="",
        metavar="NAME",
        help="context of the kubeconfig; by default its current one",
    )


def add_package_flags(group: argparse._ActionsContainer) -> None:
    """Add the flags that name a compiled pipeline and a file of parameters."""
    group.add_argument(
        "--package",
        type=Path,
        default=PACKAGE,
        metavar="FILE",
        help="compiled pipeline, as `compile` writes it; its parameters are flags",
    )
    group.add_argument(
        "--parameters",
        type=Path,
        metavar="FILE",
        help="YAML file with parameters of the run; flags take precedence",
    )


def add_parameter_flags(
    group: argparse._ActionsContainer, parameters: Iterable[Parameter], *, are_set: bool
) -> None:
    """Add flags for parameters of a pipeline.

    With ``are_set``, those without a default are required, and the others get their defaults;
    otherwise a flag that is not given is None, and the help names the default.
    """
    for parameter in parameters:
        default = parameter.default
        text = parameter.description or " "
        if not are_set and default not in (None, ""):
            text += f" (default: {default})"
        group.add_argument(
            f"--{parameter.name}",
            type=value_reader(parameter),
            required=are_set and default is None,
            default=default if are_set else None,
            metavar="JSON" if parameter.type in (dict, list) else parameter.type.__name__.upper(),
            help=text.replace("%", "%%"),
        )
