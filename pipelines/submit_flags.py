"""The flags of ``stt-bootstrap submit``."""

from __future__ import annotations

import argparse

from stt_bootstrap.pipelines.package import named_package, package_parameters
from stt_bootstrap.pipelines.package_flags import (
    add_cluster_flags,
    add_package_flags,
    add_parameter_flags,
)
from stt_model import cli


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add all flags, those of the package's parameters included."""
    _add_run_flags(parser)
    _add_watching_flags(parser.add_argument_group("following the run"))
    group = parser.add_argument_group("parameters of the pipeline")
    parameters = package_parameters(named_package(parser)).values()
    add_parameter_flags(group, parameters, are_set=False)


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--endpoint",
        default="",
        metavar="URL",
        help="address of Kubeflow Pipelines; by default that of KFP_ENDPOINT",
    )
    add_cluster_flags(parser)
    add_package_flags(parser)
    parser.add_argument(
        "--experiment",
        default="stt-bootstrap",
        metavar="NAME",
        help="experiment that lists the run; created if missing",
    )
    parser.add_argument(
        "--run_name",
        default="",
        metavar="NAME",
        help="name of the run; by default version and time",
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
        help="where artifacts are stored; by default where Kubeflow stores all artifacts",
    )


def _add_watching_flags(group: argparse._ArgumentGroup) -> None:
    cli.add_switch(group, "--wait", True, "wait for the end, and exit with 1 if the run failed")
    cli.add_switch(group, "--follow", False, "print the last output of failed tasks too")
    group.add_argument(
        "--retries",
        type=_count,
        default=2,
        metavar="N",
        help="how many times a run is retried that failed only because pods were lost or evicted",
    )
    group.add_argument(
        "--output",
        choices=("text", "json"),
        default="text",
        help="text for people, or one JSON object per line on stdout for programs",
    )
    group.add_argument(
        "--attach", default="", metavar="RUN_ID", help="follow a run that was started before"
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected 0, 1, 2, …, found {text!r}")
    return int(text)
