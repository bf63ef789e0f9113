"""The commands on a checkpoint: fetch, surgery, inspect."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stt_model import jobs
from stt_model.cli.flags import (
    add_alphabet,
    add_parameters,
    add_path,
    given_alphabet,
    print_json,
    values_of,
)


def fetch_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``fetch``."""
    parser.add_argument(
        "uri",
        help="folder, .tar.gz, .tar.xz or .zip archive, or deployed model (.tflite, .pb, .pbmm):"
        " a path, file://, s3:// or http(s)://",
    )
    parser.add_argument("target", type=Path, help="folder to create")
    parser.add_argument(
        "--sha256", default="", help="expected SHA-256 of the archive or folder, in hexadecimal"
    )
    add_parameters(parser, jobs.FetchSettings, "size_limit", "unpacked_limit")
    add_alphabet(parser, "the checkpoint's alphabet, if it does not hold one")


def fetch(args: argparse.Namespace) -> int:
    """Fetch a checkpoint to a folder and describe it."""
    fetched = jobs.fetch(
        args.uri,
        args.target,
        progress=sys.stderr.isatty(),
        alphabet=given_alphabet(args),
        **values_of(args, ("sha256", "size_limit", "unpacked_limit")),
    )
    description = fetched.checkpoint.describe()
    print_json({"sha256": fetched.sha256, "bytes": fetched.bytes, **description})
    return 0


def surgery_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``surgery``."""
    add_path(parser, "--load_checkpoint_dir", "DIR", "checkpoint to start from", required=True)
    add_path(parser, "--save_checkpoint_dir", "DIR", "where the new checkpoint goes", required=True)
    add_path(
        parser, "--alphabet_config_path", "FILE", "alphabet of the new output layer", required=True
    )
    add_parameters(parser, jobs.SurgerySettings, *_SURGERY)


_SURGERY = ("drop_source_layers", "warm_start", "random_seed")


def surgery(args: argparse.Namespace) -> int:
    """Replace a checkpoint's last layers."""
    from stt_model.text import read_alphabet

    report = jobs.replace_layers(
        args.load_checkpoint_dir,
        args.save_checkpoint_dir,
        alphabet=read_alphabet(args.alphabet_config_path),
        **values_of(args, _SURGERY),
    )
    print_json(report.to_dict())
    return 0


_INSPECTED = "checkpoint directory, or deployed model"


def inspect_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``inspect``."""
    parser.add_argument("checkpoint_dir", type=Path, metavar="DIR", help=_INSPECTED)
    parser.add_argument(
        "--which", choices=("auto", "best", "last"), default="auto", help="auto: best, else last"
    )
    add_alphabet(parser, "the checkpoint's alphabet, if it is stored elsewhere")


def inspect(args: argparse.Namespace) -> int:
    """Describe a checkpoint."""
    alphabet = given_alphabet(args)
    print_json(jobs.inspect(args.checkpoint_dir, which=args.which, alphabet=alphabet))
    return 0
