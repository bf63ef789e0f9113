"""The command ``align``."""

from __future__ import annotations

import argparse

from stt_model import jobs
from stt_model.alignment import AlignmentConfig
from stt_model.base import parameters_of, redact
from stt_model.cli.flags import add_parameters, show_log, show_tensorflow, values_of
from stt_model.importing import ImportSettings
from stt_model.training import TrainingConfig

_READ = ("columns", "encoding")
_WRITTEN = ("normalise", "numbers")
_TRAINED = ("epochs", "learning_rate", "train_batch_size")


def align_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``align``."""
    parser.add_argument(
        "source",
        help="long recordings and their texts: a folder with a .txt beside each, a table with"
        " columns for audio and text file, or an archive (path, http(s):// or s3:// URI)",
    )
    parser.add_argument("target", help="empty folder for the clips (path, file:// or s3:// URI)")
    parser.add_argument(
        "--checkpoint_dir",
        "--load_checkpoint_dir",
        dest="checkpoint_dir",
        required=True,
        metavar="DIR",
        help="model to align with, of this or another language: a checkpoint's folder, an archive"
        " or a deployed model (path or URI)",
    )
    add_parameters(parser, jobs.ValidationSettings, *_WRITTEN)
    add_parameters(parser, ImportSettings, *_READ)
    add_parameters(parser, AlignmentConfig, *parameters_of(AlignmentConfig))
    rounds = parser.add_argument_group("more rounds")
    add_parameters(rounds, jobs.AlignmentSettings, "rounds")
    add_parameters(rounds, TrainingConfig, *_TRAINED)


def align(args: argparse.Namespace) -> int:
    """Cut long recordings into clips by their text."""
    show_log()
    show_tensorflow(args)
    result = jobs.align(
        args.source,
        args.target,
        args.checkpoint_dir,
        training=values_of(args, _TRAINED),
        **values_of(args, (*_WRITTEN, *_READ, "rounds", *parameters_of(AlignmentConfig))),
    )
    print(result.summary())
    target = redact(args.target).rstrip("/")
    print(f"clips: {target}/clips.csv, for import, run or train")
    print(f"to listen: {target}/check/index.html; left out: {target}/check/unmatched.csv")
    return 0
