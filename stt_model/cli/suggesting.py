"""The command ``suggest``."""

from __future__ import annotations

import argparse
from pathlib import Path

from stt_model import jobs
from stt_model.base import real
from stt_model.cli.evaluation import decoding_flags, decoding_of
from stt_model.cli.flags import (
    add_aggressiveness,
    add_parameter,
    add_parameters,
    show_log,
    show_tensorflow,
)
from stt_model.evaluation import EvaluationConfig

_MINUTES = real(0.0, "Minutes of speech to suggest; 0 for all of it.", minimum=0)


def suggest_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``suggest``."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="checkpoint, or exported .tflite")
    parser.add_argument(
        "audio",
        nargs="+",
        type=Path,
        metavar="AUDIO",
        help="recordings without texts, or folders of them",
    )
    parser.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help="new folder for the clips, suggestions.csv, label-studio.json and elan/",
    )
    add_parameter(parser, _MINUTES.metadata["parameter"], flag="--minutes")
    add_aggressiveness(parser)
    add_parameters(parser, EvaluationConfig, "test_batch_size", help="clips transcribed at once")
    decoding_flags(parser.add_argument_group("decoding"))


def suggest(args: argparse.Namespace) -> int:
    """Write which clips to transcribe first."""
    show_log()
    show_tensorflow(args)
    suggestions = jobs.suggest(
        args.model,
        args.audio,
        args.output,
        minutes=args.minutes,
        aggressiveness=args.vad_aggressiveness,
        batch_size=args.test_batch_size,
        scorer_uri=str(args.scorer_path or ""),
        **decoding_of(args),
    )
    minutes = sum(each.end - each.start for each in suggestions) / 60
    print(f"{len(suggestions)} clips, {minutes:.1f} minutes, the most useful first")
    print(f"table: {args.output / 'suggestions.csv'}")
    print(f"Label Studio: {args.output / 'label-studio.json'}")
    print("correct the texts, then: stt-bootstrap import FILE corpus")
    return 0
