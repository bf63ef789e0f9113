"""The command ``forecast``."""

from __future__ import annotations

import argparse
from pathlib import Path

from stt_model import jobs
from stt_model.cli.evaluation import decoding_flags, decoding_of
from stt_model.cli.flags import (
    add_files,
    add_parameters,
    add_path,
    given_alphabet,
    show_log,
    show_tensorflow,
)
from stt_model.cli.training import setting_flags, settings_of
from stt_model.training import TrainingConfig


def forecast_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``forecast``."""
    data = parser.add_argument_group("data")
    add_files(data, "--train_files", "manifests of all speech to train on", required=True)
    add_files(data, "--dev_files", "manifests that determine the best epoch", required=True)
    add_files(data, "--test_files", "manifests to test on; by default those of --dev_files")
    add_path(data, "--feature_cache", "DIR", "keep the features of clips in DIR")
    add_parameters(data, TrainingConfig, "feature_cache_size")
    where = parser.add_argument_group("checkpoints and results")
    add_path(
        where, "--load_checkpoint_dir", "DIR", "checkpoint that all trainings start from", True
    )
    add_path(
        where,
        "--model",
        "DIR",
        "checkpoint that was trained on the whole corpus with these settings; saves one training",
    )
    add_path(
        where,
        "--output",
        "DIR",
        "folder for forecast.md, forecast.json and the result of each training; an interrupted"
        " forecast resumes from there",
        required=True,
    )
    setting_flags(parser)
    decoding_flags(parser.add_argument_group("decoding"))
    # The best label of each frame: fast, and enough for a comparison.
    parser.set_defaults(beam_width=1)


def forecast(args: argparse.Namespace) -> int:
    """Train on parts of a corpus, and predict the error rate with more of it."""
    show_log()
    show_tensorflow(args)
    report = Path(args.output) / "forecast.md"
    found = jobs.forecast(
        args.train_files,
        args.dev_files,
        args.test_files,
        args.output,
        model=args.model,
        report=report,
        load_checkpoint_dir=args.load_checkpoint_dir,
        alphabet=given_alphabet(args),
        feature_cache=args.feature_cache,
        decoding={"scorer_uri": args.scorer_path or "", **decoding_of(args)},
        **settings_of(args),
    )
    print(found)
    print(f"report: {report}")
    return 0
