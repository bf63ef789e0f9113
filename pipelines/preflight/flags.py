"""The flags of ``stt-bootstrap preflight``; nothing heavy is imported for ``--help``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from stt_bootstrap.pipelines.package import named_package, package_parameters
from stt_bootstrap.pipelines.package_flags import (
    add_cluster_flags,
    add_package_flags,
    add_parameter_flags,
)

# Parameters of the pipeline that a cluster can be checked against.
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
    """Return the names of further parameters for the resources of steps."""
    return [
        name
        for name in known
        if name.endswith(("_cpu", "_memory", "_gpu_count")) and name not in PARAMETERS
    ]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add all flags; one that is not given is None, so that a file or a default may replace it."""
    add_cluster_flags(parser)
    parser.add_argument(
        "--output",
        choices=("table", "json"),
        default="table",
        help="a table for people, or JSON for programs",
    )
    add_package_flags(parser)
    _add_names(parser.add_argument_group("names of objects in the namespace"))
    group = parser.add_argument_group("parameters of the run that are checked")
    known = package_parameters(named_package(parser))
    names = (*(each for each in PARAMETERS if each in known), *size_parameters(known))
    add_parameter_flags(group, (known[name] for name in names), are_set=False)


def _add_names(group: argparse._ArgumentGroup) -> None:
    for name, what in (
        ("service_account", "service account of the runs"),
        ("secret", "secret with the keys to the object store"),
        ("config_map", "config map with the address of the object store"),
        ("cache_claim", "volume claim of the clip cache"),
        (
            "kubeflow_namespace",
            "namespace of Kubeflow Pipelines itself (default: kubeflow)",
        ),
        (
            "store_endpoint",
            "URL of the object store as seen from here, such as that of a forwarded port",
        ),
    ):
        metavar = "URL" if name == "store_endpoint" else "NAME"
        group.add_argument(f"--{name}", metavar=metavar, help=what)
