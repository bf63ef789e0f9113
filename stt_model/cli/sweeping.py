"""The command ``sweep``."""

from __future__ import annotations

import argparse

from stt_model import jobs
from stt_model.base import parameters_of
from stt_model.cli.flags import (
    DATASET_HELP,
    add_parameter,
    add_parameters,
    add_path,
    show_log,
    show_tensorflow,
    values_of,
)
from stt_model.training import TrainingConfig

_OF_ALL = (
    "epochs",
    "train_batch_size",
    "dev_batch_size",
    "dropout_rate",
    "augment",
    "random_seed",
    "clip_norm",
    "mixed_precision",
    "best_by",
)
_FLAGS = {"drop_depths": "--drop_source_layers", "learning_rates": "--learning_rate"}
"""Flags whose names are those of ``train``, where they take one value."""


def sweep_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``sweep``."""
    parser.add_argument("datasets", nargs="+", metavar="DATASET", help=DATASET_HELP)
    parser.add_argument(
        "--sources",
        nargs="+",
        required=True,
        metavar="URI",
        help="checkpoint folders, archives of them, or deployed models (.tflite, .pb, .pbmm), as"
        " paths or URIs",
    )
    add_path(
        parser,
        "--output",
        "DIR",
        "folder for leaderboard and winner; a restarted sweep repeats no finished training",
        required=True,
    )
    tried = parser.add_argument_group("what is tried, and when trainings are stopped")
    for name, parameter in parameters_of(jobs.SweepSettings).items():
        add_parameter(tried, parameter, flag=_FLAGS.get(name, ""), dest=name)
    same = parser.add_argument_group("settings of every training")
    add_parameters(same, jobs.ValidationSettings, "strict", "normalise")
    add_parameters(same, TrainingConfig, *_OF_ALL)


def sweep(args: argparse.Namespace) -> int:
    """Train, rank, test and export."""
    show_log()
    show_tensorflow(args)
    swept = jobs.sweep(
        args.datasets,
        args.sources,
        args.output,
        **values_of(args, (*parameters_of(jobs.SweepSettings), "strict", "normalise", *_OF_ALL)),
    )
    for each in swept:
        print(f"{each.corpus}: the winner is {each.leaderboard.summary}")
        print(f"leaderboard: {args.output / f'leaderboard-{each.corpus}.html'}")
        print(f"model: {each.model}")
        print(f"export: {each.export}")
        print(f"WER {each.tested.wer:.4f}, CER {each.tested.cer:.4f} on the test split")
        print(f"verdict: {each.tested.verdict}")
    return 0
