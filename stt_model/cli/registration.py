"""The command ``register``."""

from __future__ import annotations

import argparse

from stt_model import jobs
from stt_model.base import redact
from stt_model.cli.flags import add_parameters, show_log, values_of
from stt_model.export import ExportConfig

_RATE = "%s error rate on the test split; below 0 for one that is not known"


def register_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``register``."""
    parser.add_argument("export_dir", help="folder that export has made")
    parser.add_argument(
        "registry_url",
        help="address of the registry, such as http://model-registry-service.kubeflow:8080",
    )
    parser.add_argument(
        "--model_uri",
        required=True,
        metavar="URI",
        help="where users of the registry find the export, such as the --export_uri of export",
    )
    add_parameters(parser, ExportConfig, "released")
    parser.add_argument("--wer", type=float, default=-1.0, help=_RATE % "word")
    parser.add_argument("--cer", type=float, default=-1.0, help=_RATE % "character")


def register(args: argparse.Namespace) -> int:
    """Make an export a version of a model in a Model Registry."""
    show_log()
    registered = jobs.register_model(
        args.export_dir,
        args.model_uri,
        args.registry_url,
        **values_of(args, ("released", "wer", "cer")),
    )
    if registered.model:
        print(f"registered: {registered.model} {registered.version} at {redact(registered.uri)}")
    else:
        print("not registered: the model is not released")
    return 0
