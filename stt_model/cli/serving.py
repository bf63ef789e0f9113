"""The command ``serve``."""

from __future__ import annotations

import argparse
from pathlib import Path

from stt_model.base import DataError, configure
from stt_model.cli.evaluation import decoding_flags, decoding_of
from stt_model.cli.flags import add_parameters, show_log, show_tensorflow, values_of
from stt_model.serving import ServingSettings

_LIMITS = ("most_mib", "most_seconds", "most_waiting", "longest_utterance")


def serve_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``serve``."""
    parser.add_argument("model", type=Path, help="checkpoint folder, or exported .tflite")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all")
    parser.add_argument("--port", type=int, default=8080, metavar="N", help="port to listen on")
    add_parameters(parser.add_argument_group("limits"), ServingSettings, *_LIMITS)
    decoding_flags(parser.add_argument_group("decoding"))


def serve(args: argparse.Namespace) -> int:
    """Serve a model over HTTP until Ctrl-C."""
    import uvicorn

    show_log()
    if not args.model.exists():
        raise DataError(f"{args.model}: expected a checkpoint folder or a .tflite, found nothing")
    settings = configure(ServingSettings, **values_of(args, _LIMITS))
    show_tensorflow(args)
    from stt_model.serving import Recogniser, make_app

    recogniser = Recogniser(args.model, args.scorer_path, **decoding_of(args))
    print(f"serving {recogniser.name}: http://{args.host}:{args.port}/", flush=True)
    uvicorn.run(
        make_app(recogniser, settings),
        host=args.host,
        port=args.port,
        log_level="warning",
        ws_max_size=2**20,
    )
    return 0
