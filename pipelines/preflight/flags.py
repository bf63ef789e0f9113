"""The flags of ``stt-bootstrap preflight``; nothing heavy is imported for ``--help``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from stt_bootstrap.pipelines.package import (
    PACKAGE,
    named_package,
    package_parameters,
    value_reader,
)

# Parameters of the pipeline that a cluster can be asked about.
PARAMETERS = (
    "dataset_uri",
    "checkpoint_uri",
    "alphabet_uri",
    "model_alphabet_uri",
    "scorer_uri",
    "unlabelled_uri",
    "run_state_uri",
    "export_uri",
    "training_cpu",
    "training_memory",
    "gpu_type",
    "gpu_count",
    "node_selector",
    "tolerations",
)


def size_parameters(known: Iterable[str]) -> list[str]:
    """Return the names of further parameters that say how much a step may use."""
    return [
        name
        for name in known
        if name.endswith(("_cpu", "_memory", "_gpu_count")) and name not in PARAMETERS
    ]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add all flags; one that was not given is None, so that others may say what it is."""
    parser.add_argument(
        "--namespace", default="kubeflow", help="namespace that the runs' pods are in"
    )
    parser.add_argument(
        "--context", default="", help="context of the kubeconfig, in place of its current one"
    )
    parser.add_argument(
        "--output", choices=("table", "json"), default="table", help="for a person or a program"
    )
    parser.add_argument(
        "--package",
        type=Path,
        default=PACKAGE,
        metavar="FILE",
        help="compiled pipeline that the run would be of; its parameters are flags",
    )
    parser.add_argument(
        "--parameters",
        type=Path,
        metavar="FILE",
        help="YAML file with parameters of the run; flags win over it",
    )
    _add_names(parser.add_argument_group("names of objects in the namespace"))
    group = parser.add_argument_group("parameters of the run that are looked at")
    known = package_parameters(named_package(parser))
    for name in (*(each for each in PARAMETERS if each in known), *size_parameters(known)):
        parameter = known[name]
        default = f" (default: {parameter.default})" if parameter.default else ""
        group.add_argument(
            f"--{name}",
            type=value_reader(parameter),
            metavar="JSON" if parameter.type in (dict, list) else parameter.type.__name__.upper(),
            help=f"{parameter.description}{default}".replace("%", "%%"),
        )


def _add_names(group: argparse._ArgumentGroup) -> None:
    for name, what in (
        ("service_account", "service account of the runs"),
        ("secret", "secret with the keys to the object store"),
        ("config_map", "config map with the place of the object store"),
        ("cache_claim", "volume claim of the cache"),
        (
            "kubeflow_namespace",
            "namespace that Kubeflow Pipelines itself is in (default: kubeflow)",
        ),
        (
            "store_endpoint",
            "URL that leads to the object store from here, such as a forwarded port",
        ),
    ):
        metavar = "URL" if name == "store_endpoint" else "NAME"
        group.add_argument(f"--{name}", metavar=metavar, help=what)
