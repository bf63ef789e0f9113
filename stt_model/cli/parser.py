"""``stt-bootstrap COMMAND …``: the parser; only the command that runs is loaded.

Flags of Coqui STT keep their names. ``pipelines.cli`` adds the commands that need Kubeflow.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn, TypeAlias

from stt_model import __version__
from stt_model.base import BootstrapError, have_streams, name_hint, one_line, separate_stderr
from stt_model.cli.coqui_flags import GIVEN, report_coqui_flags
from stt_model.cli.flags import HelpFormatter, show_log
from stt_model.importing import COQUI_IMPORTERS

# argparse has no public name for what ``add_subparsers`` returns.
Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"
AddFlags: TypeAlias = "Callable[[argparse.ArgumentParser], None]"

PROGRAM = "stt-bootstrap"
DESCRIPTION = (
    "Bring a pre-trained Coqui STT or DeepSpeech checkpoint to your own language: check a dataset,"
    " decide between fine-tuning and transfer-learning, train, evaluate."
)

_OPTIONAL = {"av", "docker", "flashlight", "jinja2", "jiwer", "keras", "kfp", "kubernetes"}
_OPTIONAL |= {"numba", "optuna", "tensorflow"}
_OF_SERVING = {"anyio", "starlette", "uvicorn"}
_OPTIONAL |= _OF_SERVING

COMMANDS = {
    "import": (
        "import recordings and texts into a corpus, split by speaker and text",
        "stt_model.cli.importing:import_dataset",
    ),
    "align": (
        "cut long recordings into clips by their text, which needs to match only roughly",
        "stt_model.cli.alignment:align",
    ),
    "validate": (
        "check a dataset and write manifests without the rows that cannot be used",
        "stt_model.cli.data:validate",
    ),
    "pack": (
        "put the clips of a dataset into tar shards, which are read faster",
        "stt_model.cli.data:pack",
    ),
    "alphabet": (
        "build an alphabet from transcripts, or compare them with a checkpoint's",
        "stt_model.cli.data:alphabet",
    ),
    "fetch": (
        "fetch a checkpoint: download, check, unpack",
        "stt_model.cli.checkpoints:fetch",
    ),
    "surgery": (
        "replace a checkpoint's last layers to fit a new alphabet",
        "stt_model.cli.checkpoints:surgery",
    ),
    "train": (
        "fine-tune a checkpoint, or transfer it to a new alphabet; then test it",
        "stt_model.cli.training:train",
    ),
    "sweep": (
        "train several sources, depths and rates on a dataset, rank them, export the winner",
        "stt_model.cli.sweeping:sweep",
    ),
    "forecast": (
        "forecast the benefit of more speech, from trainings on parts of a dataset",
        "stt_model.cli.forecasting:forecast",
    ),
    "evaluate": (
        "test a checkpoint: loss, word and character error rate",
        "stt_model.cli.evaluation:evaluate",
    ),
    "suspects": (
        "list the clips whose text and audio may not match, and why",
        "stt_model.cli.evaluation:suspects",
    ),
    "build_scorer": (
        "make a scorer from text, or from a language model and its words",
        "stt_model.cli.scorers:build_scorer",
    ),
    "generate_scorer_package": (
        "make a scorer from a language model and its words, with the flags of Coqui's program",
        "stt_model.cli.scorers:generate_scorer_package",
    ),
    "lm_optimize": (
        "search for the weights of a scorer with the fewest errors",
        "stt_model.cli.scorers:lm_optimize",
    ),
    "export": (
        "export a checkpoint for deployed runtimes, and compare the export with the checkpoint",
        "stt_model.cli.export:export",
    ),
    "register": (
        "register an export in Kubeflow's Model Registry (alpha, as the registry is)",
        "stt_model.cli.registration:register",
    ),
    "evaluate_export": (
        "test an exported model on the utterances of a manifest",
        "stt_model.cli.transcription:evaluate_export",
    ),
    "transcribe": (
        "transcribe audio files with a checkpoint or an exported model",
        "stt_model.cli.transcription:transcribe",
    ),
    "suggest": (
        "cut recordings into clips and rank them for transcription, with the model's text",
        "stt_model.cli.suggesting:suggest",
    ),
    "serve": (
        "serve a checkpoint or an exported model over HTTP, with a page to try it",
        "stt_model.cli.serving:serve",
    ),
    "inspect": (
        "show a checkpoint's geometry, alphabet, mode and lineage as JSON",
        "stt_model.cli.checkpoints:inspect",
    ),
}
"""Name to summary and function; the function NAME has its flags in ``NAME_flags`` beside it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code (0 done, 1 refused with one line, 2 wrong usage)."""
    return run(build_parser()[0], arguments)


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse the arguments and call the function of the given command."""
    have_streams()
    separate_stderr()
    if not (sys.argv[1:] if arguments is None else arguments):
        parser.print_help(sys.stderr)
        return 2
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        # By the command's own parser, whose help lists the flags.
        parsed.parser.error(f"unrecognized arguments: {' '.join(unknown)}")

    def command() -> int:
        if getattr(parsed, GIVEN, ()):
            show_log()
            report_coqui_flags(parsed)
        return int(load(parsed.command)(parsed))

    return guard(command, parsed.debug)


def load(place: str) -> Callable[..., Any]:
    """Return the function at ``module:name``."""
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def guard(action: Callable[[], int], debug: bool) -> int:
    """Return what ``action`` returns, or 1 after printing an error that a user can fix."""
    try:
        code = action()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader has closed the pipe, as `head` does; discard what Python has left to print.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (BootstrapError, OSError, ImportError, MemoryError) as error:
        if debug:
            raise
        print(f"error: {one_line(_describe(error), 10_000)}", file=sys.stderr)
        return error.exit_code if isinstance(error, BootstrapError) else 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


def _describe(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] in _OPTIONAL:
        extras = "serve" if error.name in _OF_SERVING else "train and pipeline"
        how = f"install {PROGRAM} with its extras {extras}; in a checkout make setup does"
        return f"{error.name} is not installed; {how}"
    if isinstance(error, ImportError):
        # NumPy's long message ends with the actual error.
        reason = str(error).rpartition("Original error was:")[2].strip()
        return (
            f"{error.name or 'a library'} cannot be loaded ({reason}); give the process more memory"
            " (ulimit -v), or reinstall it"
        )
    if isinstance(error, MemoryError):
        return "there is not enough memory; give the process more, or a smaller batch or file"
    if isinstance(error, OSError) and error.filename:
        # For a full disk or missing permissions the operating system's message is clear.
        return f"{error.filename}: {error.strerror}"
    return str(error)


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line, and adds its flags only when it parses.

    Attributes:
        given: what is parsed, for flags that depend on it.
    """

    add_flags: AddFlags | str | None = None
    given: Sequence[str] = ()

    def parse_known_args(self, *arguments: Any, **options: Any) -> Any:
        """Add the flags of this command only, then parse."""
        self.given = (arguments and arguments[0]) or ()
        self._complete()
        return super().parse_known_args(*arguments, **options)

    def full_help(self) -> str:
        """Return the help with all flags, for the documentation."""
        self._complete()
        return self.format_help()

    def _complete(self) -> None:
        add_flags, self.add_flags = self.add_flags, None
        if add_flags:
            (load(add_flags) if isinstance(add_flags, str) else add_flags)(self)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse would list every command, those without a summary included.
        if isinstance(action, argparse._SubParsersAction) and value not in (action.choices or ()):
            hint = name_hint(value, [each.dest for each in action._choices_actions])
            raise argparse.ArgumentError(None, f"unknown command {value!r} ({hint})")
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def build_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser with all commands, and the group to add more to."""
    parser = _Parser(prog=PROGRAM, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks and TensorFlow's log")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for name, (summary, function) in COMMANDS.items():
        add_command(commands, name, summary, function, f"{function}_flags")
    for name in COQUI_IMPORTERS:
        # Without a summary, so that they do not fill the list of commands.
        add_command(
            commands,
            name,
            "",
            "stt_model.cli.importing:import_dataset",
            partial(_add_coqui_flags, name=name),
        )
    return parser, commands


def _add_coqui_flags(parser: argparse.ArgumentParser, *, name: str) -> None:
    load("stt_model.cli.importing:coqui_flags")(parser, name)


def add_command(
    commands: Commands,
    name: str,
    summary: str,
    function: str,
    add_flags: AddFlags | str,
) -> None:
    """Add a command that calls ``function``, written as ``module:name``.

    ``add_flags`` adds its flags; it is a function or the place of one.
    """
    # Commands without a summary are not listed.
    shown: dict[str, Any] = {"help": summary} if summary else {}
    parser = commands.add_parser(
        name,
        **shown,
        description=f"{summary[:1].upper()}{summary[1:]}.",
        allow_abbrev=False,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    parser.set_defaults(command=function, parser=parser)
    parser.add_flags = add_flags


if __name__ == "__main__":
    sys.exit(main())
