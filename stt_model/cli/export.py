"""The command ``export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stt_model import jobs
from stt_model.base import ExportError, parameters_of
from stt_model.cli.coqui_flags import add_coqui_flags
from stt_model.cli.flags import (
    add_checkpoint,
    add_files,
    add_parameter,
    add_parameters,
    add_path,
    add_switch,
    check_audio_flags,
    given_alphabet,
    show_log,
    show_tensorflow,
    values_of,
)
from stt_model.export import ExportConfig, ModelIdentity

if TYPE_CHECKING:
    from stt_model.text import Alphabet

_FORMS = (
    "remove_export",
    "export_file_name",
    "export_tflite",
    "export_quantize",
    "export_savedmodel",
    "export_beam_width",
    "n_steps",
    "max_wer_change",
    "released",
)


def export_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``export``."""
    add_checkpoint(parser, "checkpoint to export")
    form_flags(parser, required=True)
    add_path(parser, "--scorer_path", "FILE", "language model to put beside the model")
    check = parser.add_argument_group("check")
    add_files(check, "--test_files", "utterances to compare export and checkpoint on")
    add_parameters(check, ExportConfig, "max_wer_change")
    add_coqui_flags(parser)


def form_flags(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the flags for the formats of an export and its model card."""
    what = parser.add_argument_group("export")
    add_path(what, "--export_dir", "DIR", "a new or empty folder", required=required)
    what.add_argument(
        "--export_uri",
        default="",
        metavar="URI",
        help="where the folder is copied to if the model is released (path, file:// or s3:// URI)",
    )
    add_parameters(what, ExportConfig, *_FORMS[:7])
    add_switch(what, "--export_zip", False, "also write the folder as a zip file beside it")
    card = parser.add_argument_group("model card")
    for name, parameter in parameters_of(ModelIdentity).items():
        add_parameter(card, parameter, flag=f"--export_{name}")
    add_parameters(card, ExportConfig, "released")


def export(args: argparse.Namespace) -> int:
    """Export a checkpoint for deployed runtimes."""
    show_log()
    if not (args.export_tflite or args.export_savedmodel):
        raise ExportError(
            "expected --export_tflite or --export_savedmodel, found both false: nothing to export;"
            " Coqui STT's runtime 1.4 takes a .tflite"
        )
    show_tensorflow(args)
    export_checkpoint(args, args.checkpoint_dir, args.load_evaluate, given_alphabet(args))
    return 0


def export_checkpoint(
    args: argparse.Namespace, checkpoint_dir: Path, which: str, alphabet: Alphabet | None
) -> None:
    """Export a checkpoint with the given flags, and print the results."""
    if not (args.export_tflite or args.export_savedmodel):
        print("nothing to export: neither --export_tflite nor --export_savedmodel is true")
        return
    check_audio_flags(args, checkpoint_dir, which, alphabet)
    folder = args.export_dir.absolute()
    result = jobs.export_model(
        checkpoint_dir,
        args.export_dir,
        test_files=args.test_files,
        load_evaluate=which,
        alphabet=alphabet,
        scorer_uri=args.scorer_path or "",
        identity={name: getattr(args, f"export_{name}") for name in parameters_of(ModelIdentity)},
        # The same place as in Coqui STT.
        zip_path=folder.with_name(f"{folder.name}.zip") if args.export_zip else None,
        **values_of(args, ("n_hidden", "export_uri", *_FORMS)),
    )
    for name, comparison in result.comparisons.items():
        print(f"{name}: {comparison}")
    print(f"export: {result.directory}")
    if args.export_uri:
        print(
            f"copied to {args.export_uri}"
            if args.released
            else f"not copied to {args.export_uri}: the model is not released"
        )
