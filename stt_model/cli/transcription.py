"""The command ``transcribe``."""

from __future__ import annotations

import argparse
from pathlib import Path

from stt_model import jobs
from stt_model.base import ExportError
from stt_model.cli.evaluation import decoding_flags, decoding_of
from stt_model.cli.flags import add_parameters, add_switch, print_json, show_tensorflow
from stt_model.evaluation import EvaluationConfig


def transcribe_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``transcribe``."""
    parser.add_argument(
        "audio", nargs="+", type=Path, metavar="FILE|DIR", help="audio, or folders of it"
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--checkpoint_dir", type=Path, metavar="DIR", help="checkpoint to use")
    model.add_argument("--model", type=Path, metavar="FILE", help="exported .tflite to use")
    add_parameters(
        parser,
        EvaluationConfig,
        "test_batch_size",
        help="files that go through the network together",
    )
    decoding_flags(parser.add_argument_group("decoding"))
    add_switch(parser, "--json", False, "print a JSON list instead of lines")


def transcribe(args: argparse.Namespace) -> int:
    """Print what is understood in audio files."""
    from stt_model.corpus import find_audio

    files = find_audio(args.audio)
    if args.model and not args.model.is_file():
        raise ExportError(f"{args.model}: expected an exported .tflite, found no file")
    show_tensorflow(args)
    texts = jobs.transcribe(
        args.model or args.checkpoint_dir,
        files,
        batch_size=args.test_batch_size,
        scorer_path=args.scorer_path,
        **decoding_of(args),
    )
    # A file's name need not be UTF-8.
    names = [str(path).encode(errors="backslashreplace").decode() for path in files]
    pairs = zip(names, texts, strict=True)
    if args.json:
        print_json([{"wav_filename": name, "transcript": text} for name, text in pairs])
    else:
        for name, text in pairs:
            print(f"{name}\t{' '.join(text.splitlines())}", flush=True)
    return 0
