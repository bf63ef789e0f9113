"""``stt-bootstrap STEP …``: one parser a command, and nothing heavy imported until a command runs.

Flags that Coqui STT has keep Coqui's names. ``pipelines.cli`` adds the commands that need Kubeflow.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from stt_model.errors import BootstrapError

# argparse has no public name for what ``add_subparsers`` returns.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

PROGRAM = "stt-bootstrap"
DESCRIPTION = (
    "Bring a pre-trained Coqui STT or DeepSpeech checkpoint to your own language: check a dataset,"
    " decide between fine-tuning and transfer-learning, train, evaluate."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; return the exit code (0 done, 1 refused with one line, 2 wrong usage)."""
    return run(build_parser()[0], arguments)


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse the arguments and call the function of the command that they name."""
    parsed = parser.parse_args(arguments)
    module, function = parsed.command.split(":")

    def command() -> int:
        return int(getattr(importlib.import_module(module), function)(parsed))

    return guard(command, parsed.debug)


def guard(action: Callable[[], int], debug: bool) -> int:
    """Return what ``action`` returns, or 1 after one line about an error that a user can mend."""
    try:
        return action()
    except (BootstrapError, OSError) as error:
        # The operating system's own words, of a full disk or a folder without permission, will do.
        if debug:
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


def build_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser with every step, and where more commands can be added."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show tracebacks and TensorFlow's log")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for name, (summary, function, add_flags) in STEPS.items():
        add_command(commands, name, summary, f"stt_model.commands:{function}", add_flags)
    return parser, commands


def add_command(
    commands: Commands,
    name: str,
    summary: str,
    function: str,
    add_flags: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add one command, whose work is done by ``function``, written as ``module:name``."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        allow_abbrev=False,
        formatter_class=_HelpFormatter,
    )
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    parser.set_defaults(command=function)
    add_flags(parser)


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default only where there is something to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, "", []):
            return action.help
        return super()._get_help_string(action)


def boolean(text: str) -> bool:
    """Read a flag's value as Coqui writes it: true/false, yes/no, on/off, 1/0."""
    values = {"true": True, "yes": True, "on": True, "1": True}
    values |= {"false": False, "no": False, "off": False, "0": False}
    try:
        return values[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}") from None


def add_switch(parser: argparse._ActionsContainer, name: str, default: bool, text: str) -> None:
    """Add a flag that takes true or false, and means true when it stands alone."""
    parser.add_argument(
        name, type=boolean, nargs="?", const=True, default=default, metavar="BOOL", help=text
    )


def _files(
    parser: argparse._ActionsContainer, name: str, text: str, required: bool = False
) -> None:
    parser.add_argument(
        name, nargs="+", type=Path, default=[], metavar="CSV", required=required, help=text
    )


def _alphabet_flags(parser: argparse._ActionsContainer, text: str) -> None:
    parser.add_argument("--alphabet_config_path", type=Path, metavar="FILE", help=text)
    add_switch(
        parser, "--bytes_output_mode", False, "the alphabet is the bytes of UTF-8, not a file"
    )


def _validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dataset", help="folder (path or file:// URI) with train.csv, dev.csv and test.csv"
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="where the clean manifests, rejected.csv and report.md go",
    )
    _alphabet_flags(parser, "also check that transcripts keep to this alphabet")
    add_switch(parser, "--strict", False, "stop at any error instead of setting the row aside")


def _alphabet(parser: argparse.ArgumentParser) -> None:
    _files(parser, "--train_files", "manifests whose transcripts count", required=True)
    _files(parser, "--dev_files", "more manifests")
    _files(parser, "--test_files", "more manifests")
    parser.add_argument(
        "--checkpoint_dir",
        type=Path,
        metavar="DIR",
        help="checkpoint to compare with: says whether to fine-tune or to transfer",
    )
    parser.add_argument("--mode", default="auto", help="auto, fine-tune or transfer")
    _alphabet_flags(parser, "alphabet to use instead of one built from the transcripts")
    parser.add_argument(
        "--order",
        choices=("codepoint", "frequency"),
        default="codepoint",
        help="order of the labels of a built alphabet",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the resulting alphabet here"
    )


def _fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "uri", help="folder or .tar.gz, .tar.xz, .zip archive: a path, file:// or http(s)://"
    )
    parser.add_argument("target", type=Path, help="folder to make")
    parser.add_argument(
        "--sha256", default="", help="digest that the archive, or the folder, must have"
    )
    limits = {"--size_limit": "size of what is fetched", "--unpacked_limit": "size once unpacked"}
    for (name, text), gibibytes in zip(limits.items(), (20, 40), strict=True):
        parser.add_argument(
            name, type=int, default=gibibytes, metavar="GIB", help=f"{text}, in GiB"
        )


def _surgery(parser: argparse.ArgumentParser) -> None:
    _directories(parser, required=True)
    parser.add_argument(
        "--drop_source_layers",
        type=int,
        default=1,
        metavar="N",
        help="layers to replace, counted from the output: 1 to 5",
    )
    parser.add_argument(
        "--alphabet_config_path",
        type=Path,
        metavar="FILE",
        required=True,
        help="alphabet of the new output layer",
    )
    _surgery_options(parser)


def _surgery_options(parser: argparse._ActionsContainer) -> None:
    add_switch(
        parser,
        "--warm_start",
        True,
        "with --drop_source_layers 1: keep the outputs of the characters that both alphabets share",
    )
    parser.add_argument(
        "--random_seed",
        type=int,
        default=4568,
        metavar="N",
        help="seed of the new weights, of dropout and of the order of batches",
    )


def _directories(parser: argparse._ActionsContainer, required: bool) -> None:
    parser.add_argument(
        "--load_checkpoint_dir",
        type=Path,
        metavar="DIR",
        required=required,
        help="checkpoint to start from",
    )
    parser.add_argument(
        "--save_checkpoint_dir",
        type=Path,
        metavar="DIR",
        required=required,
        help="where the new checkpoint goes",
    )


def _train(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    _files(data, "--train_files", "manifests to train on", required=True)
    _files(data, "--dev_files", "manifests that decide which epoch is the best")
    _files(data, "--test_files", "manifests that the trained model is tested on")
    checkpoints = parser.add_argument_group("checkpoints")
    checkpoints.add_argument(
        "--checkpoint_dir",
        type=Path,
        metavar="DIR",
        help="both of the next two: fine-tune the checkpoint in DIR, in place",
    )
    _directories(checkpoints, required=False)
    checkpoints.add_argument(
        "--load_train",
        choices=("auto", "best", "last", "init"),
        default="auto",
        help="checkpoint to start from; init: none, from scratch; auto: best, else last, else none",
    )
    checkpoints.add_argument(
        "--load_cudnn",
        type=boolean,
        nargs="?",
        const=True,
        metavar="BOOL",
        help="no longer needed: checkpoints trained with cuDNN load everywhere",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--drop_source_layers",
        type=int,
        default=0,
        metavar="N",
        help="transfer-learning: layers to replace, counted from the output: 1 to 5; 0 fine-tunes",
    )
    _alphabet_flags(model, "alphabet of the transcripts, where it is not the checkpoint's")
    model.add_argument(
        "--n_hidden",
        type=int,
        metavar="N",
        help="width of the layers; a checkpoint brings its own (from scratch: 2048)",
    )
    add_switch(model, "--layer_norm", False, "from scratch: normalise the layers")
    _surgery_options(model)
    training = parser.add_argument_group("training")
    training.add_argument(
        "--epochs", type=int, default=75, metavar="N", help="passes over the training data"
    )
    training.add_argument(
        "--train_batch_size",
        type=int,
        default=16,
        metavar="N",
        help="utterances in a batch, over all GPUs",
    )
    training.add_argument(
        "--dev_batch_size", type=int, default=16, metavar="N", help="the same for the dev set"
    )
    training.add_argument(
        "--test_batch_size", type=int, default=16, metavar="N", help="the same for the test set"
    )
    training.add_argument(
        "--learning_rate",
        type=float,
        default=0.0001,
        metavar="R",
        help="of Adam; always this one, never one stored in a checkpoint",
    )
    training.add_argument(
        "--dropout_rate", type=float, default=0.05, metavar="R", help="of layers 1, 2, 3 and 5"
    )
    training.add_argument(
        "--train_cudnn",
        type=boolean,
        nargs="?",
        const=True,
        metavar="BOOL",
        help="no longer needed: a GPU uses cuDNN by itself",
    )
    _report_options(parser)


def _report_options(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "--beam_width",
        type=int,
        default=0,
        metavar="N",
        help="prefixes kept by the beam search; 0: the best label of each frame",
    )
    output.add_argument(
        "--test_output_file",
        type=Path,
        metavar="FILE",
        help="write every tested utterance to this JSON file, as Coqui does",
    )
    output.add_argument(
        "--report_file", type=Path, metavar="FILE", help="write the Markdown report here"
    )
    output.add_argument(
        "--report_count",
        type=int,
        default=5,
        metavar="N",
        help="utterances shown in each part of the report",
    )
    add_switch(output, "--show_progressbar", True, "show progress on a terminal")


def _evaluate(parser: argparse.ArgumentParser) -> None:
    _files(parser, "--test_files", "manifests to test on", required=True)
    parser.add_argument(
        "--checkpoint_dir",
        "--load_checkpoint_dir",
        dest="checkpoint_dir",
        type=Path,
        metavar="DIR",
        required=True,
        help="checkpoint to test",
    )
    parser.add_argument(
        "--load_evaluate",
        choices=("auto", "best", "last"),
        default="auto",
        help="which checkpoint of the directory; auto: best, else last",
    )
    _alphabet_flags(parser, "the checkpoint's alphabet, where it lies elsewhere")
    parser.add_argument(
        "--n_hidden", type=int, metavar="N", help="checked against the checkpoint's"
    )
    parser.add_argument(
        "--test_batch_size", type=int, default=16, metavar="N", help="utterances in a batch"
    )
    _report_options(parser)


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint_dir", type=Path, metavar="DIR", help="checkpoint directory")
    parser.add_argument(
        "--which", choices=("auto", "best", "last"), default="auto", help="auto: best, else last"
    )
    _alphabet_flags(parser, "the checkpoint's alphabet, where it lies elsewhere")


STEPS: dict[str, tuple[str, str, Callable[[argparse.ArgumentParser], None]]] = {
    "validate": (
        "check a dataset and write manifests without the rows that cannot be used",
        "validate",
        _validate,
    ),
    "alphabet": (
        "build an alphabet from transcripts, or compare them with a checkpoint's",
        "alphabet",
        _alphabet,
    ),
    "fetch": ("bring a checkpoint here: download, check, unpack", "fetch", _fetch),
    "surgery": ("replace a checkpoint's last layers to fit a new alphabet", "surgery", _surgery),
    "train": (
        "fine-tune a checkpoint, or transfer it to a new alphabet; then test it",
        "train",
        _train,
    ),
    "evaluate": ("test a checkpoint: loss, word and character error rate", "evaluate", _evaluate),
    "inspect": (
        "show a checkpoint's geometry, alphabet, mode and lineage as JSON",
        "inspect",
        _inspect,
    ),
}


if __name__ == "__main__":
    sys.exit(main())
