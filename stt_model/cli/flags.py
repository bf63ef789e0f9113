"""Flags made from the parameters of configurations, and flags that commands share."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import Parameter, parameters_of, read_boolean
from stt_model.base.errors import AlphabetError

if TYPE_CHECKING:
    from stt_model.text import Alphabet

DATASET_HELP = "folder (path, file:// or s3:// URI) with train.csv, dev.csv and test.csv"


def add_parameters(
    parser: argparse._ActionsContainer, config: type, *names: str, **changes: Any
) -> None:
    """Add flags for parameters of a configuration, with their ranges, defaults and help.

    ``changes`` override the arguments of ``add_argument`` for all of them.
    """
    declared = parameters_of(config)
    for name in names:
        add_parameter(parser, declared[name], **changes)


def add_parameter(
    parser: argparse._ActionsContainer, parameter: Parameter, *, flag: str = "", **changes: Any
) -> None:
    """Add the flag of one parameter, under the name ``flag`` if given."""
    options: dict[str, Any] = {
        "type": reader(parameter),
        "default": parameter.default,
        "metavar": parameter.metavar,
        "help": parameter.help.replace("%", "%%"),
    }
    if parameter.type is bool:
        options |= {"nargs": "?", "const": True}
    if parameter.choices:
        options |= {"metavar": "|".join(parameter.choices)}
    parser.add_argument(flag or f"--{parameter.name}", **(options | changes))


def reader(parameter: Parameter) -> Callable[[str], Any]:
    """Return a function that reads a flag's value; invalid values are wrong usage."""
    return _refusing(parameter.read)


def boolean(text: str) -> bool:
    """Read a boolean flag's value as in Coqui: true/false, yes/no, on/off, 1/0."""
    return bool(_refusing(read_boolean)(text))


def _refusing(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def read_or_refuse(text: str) -> Any:
        try:
            return read(text)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return read_or_refuse


def add_switch(parser: argparse._ActionsContainer, name: str, default: bool, text: str) -> None:
    """Add a flag that takes true or false, and means true without a value."""
    parser.add_argument(
        name, type=boolean, nargs="?", const=True, default=default, metavar="BOOL", help=text
    )


def add_files(
    parser: argparse._ActionsContainer, name: str, text: str, required: bool = False
) -> None:
    """Add a flag that takes manifests."""
    parser.add_argument(
        name,
        nargs="*",
        type=split_files,
        action=_ExtendFlat,
        default=[],
        metavar="FILE",
        required=required,
        help=text,
    )


def split_files(text: str) -> list[Path]:
    """Read a value that names files, separated by commas as in DeepSpeech; it may be empty."""
    names = [text] if Path(text).exists() else text.split(",")
    return [Path(name) for name in names if name]


class _ExtendFlat(argparse.Action):
    """Concatenates the lists of all values of a flag, also if it is repeated."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        found = [path for paths in values for path in paths]
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), *found])


def add_path(
    parser: argparse._ActionsContainer, name: str, metavar: str, text: str, required: bool = False
) -> None:
    """Add a flag that takes the path of a file or a folder."""
    parser.add_argument(name, type=optional_path, metavar=metavar, required=required, help=text)


def optional_path(text: str) -> Path | None:
    """Read the path of a file or folder; None if empty."""
    return Path(text) if text else None


def add_alphabet(parser: argparse._ActionsContainer, text: str) -> None:
    """Add the two flags for an alphabet."""
    add_path(parser, "--alphabet_config_path", "FILE", text)
    add_switch(
        parser, "--bytes_output_mode", False, "the alphabet is the bytes of UTF-8, not a file"
    )


def add_checkpoint(parser: argparse._ActionsContainer, text: str) -> None:
    """Add the flags that choose a checkpoint of a directory."""
    from stt_model.jobs import ScratchSettings

    parser.add_argument(
        "--checkpoint_dir",
        "--load_checkpoint_dir",
        dest="checkpoint_dir",
        type=Path,
        metavar="DIR",
        required=True,
        help=text,
    )
    parser.add_argument(
        "--load_evaluate",
        choices=("auto", "best", "last"),
        default="auto",
        help="which checkpoint of the directory; auto: best, else last",
    )
    add_alphabet(parser, "the checkpoint's alphabet, if it is stored elsewhere")
    add_parameters(
        parser,
        ScratchSettings,
        "n_hidden",
        *AUDIO_FLAGS,
        help="not needed; refused if it differs from the checkpoint's",
    )


AUDIO_FLAGS = ("audio_sample_rate", "feature_win_len", "feature_win_step")


def add_aggressiveness(parser: argparse._ActionsContainer) -> None:
    """Add the flag for cutting recordings at silence."""
    parser.add_argument(
        "--vad_aggressiveness",
        type=int,
        choices=range(4),
        default=3,
        help="how readily the voice activity detector takes sound for silence, 3 the most",
    )


def check_audio_flags(
    args: argparse.Namespace,
    directory: Path,
    which: str = "auto",
    alphabet: Alphabet | None = None,
) -> None:
    """Raise CheckpointError if a flag contradicts the checkpoint's audio settings."""
    from stt_model.checkpoint import open_checkpoint, settle_audio

    asked = values_of(args, AUDIO_FLAGS)
    if any(asked.values()):
        opened = open_checkpoint(directory, which=which, alphabet=alphabet)
        settle_audio(asked, opened.audio, str(opened.prefix))


def given_alphabet(args: argparse.Namespace) -> Alphabet | None:
    """Return the alphabet given by the flags, if any."""
    from stt_model.text import BytesAlphabet, read_alphabet

    if args.bytes_output_mode and args.alphabet_config_path:
        raise AlphabetError(
            "expected --alphabet_config_path or --bytes_output_mode, found both; leave one out"
        )
    if args.bytes_output_mode:
        return BytesAlphabet()
    return read_alphabet(args.alphabet_config_path) if args.alphabet_config_path else None


def values_of(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Return the values of some flags by name."""
    return {name: getattr(args, name) for name in names}


def print_json(value: object) -> None:
    """Print a value as readable JSON."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def show_log() -> None:
    """Print log messages to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Formatter(logging.Formatter):
    """Prefixes warnings and errors with their level."""

    def format(self, record: logging.LogRecord) -> str:
        word = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"{word}{super().format(record)}"


def show_tensorflow(args: argparse.Namespace) -> None:
    """With ``--debug``, import TensorFlow now, showing all its messages."""
    if args.debug:
        import tensorflow  # noqa: F401


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows every help as a sentence, and defaults only if they are not empty."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = super()._get_help_string(action) or ""
        if action.default in (None, "", []):
            shown = action.help or ""
        text, mark, default = shown.partition(" (default: ")
        if not text.strip():
            return shown
        return f"{text[0].upper()}{text[1:].removesuffix('.')}.{mark}{default}"
