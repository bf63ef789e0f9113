"""``stt-bootstrap STEP …``: one parser a command, and nothing heavy imported until a command runs.

Flags that Coqui STT has keep Coqui's names. ``pipelines.cli`` adds the commands that need Kubeflow.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from stt_model.base import BootstrapError
from stt_model.decoding import DEFAULT_LM_ALPHA, DEFAULT_LM_BETA
from stt_model.export import ModelIdentity

# argparse has no public name for what ``add_subparsers`` returns.
Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"

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
    except (BootstrapError, OSError, ModuleNotFoundError) as error:
        if debug:
            raise
        print(f"error: {' '.join(_describe(error).split())}", file=sys.stderr)
        return error.exit_code if isinstance(error, BootstrapError) else 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130


def _describe(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{error.name} is not installed; install {PROGRAM} with its extras train and pipeline"
        )
    if isinstance(error, OSError) and error.filename:
        # Of a full disk or a folder without permission the operating system's own words will do.
        return f"{error.filename}: {error.strerror}"
    return str(error)


class _Parser(argparse.ArgumentParser):
    """Refuses wrong usage in one line, in the form of all other errors."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def build_parser() -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser with every step, and where more commands can be added."""
    parser = _Parser(prog=PROGRAM, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show tracebacks and TensorFlow's log")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for name, (summary, function, add_flags) in STEPS.items():
        add_command(commands, name, summary, f"stt_model.cli.commands:{function}", add_flags)
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


def _reader(
    kind: Callable[[str], Any], expected: str, allowed: Callable[[Any], bool]
) -> Callable[[str], Any]:
    """Return what reads a flag's value and refuses, as wrong usage, one that cannot work."""

    def read(text: str) -> Any:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if allowed(value):
                return value
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")

    return read


def _whole(least: int, most: int | None = None) -> Callable[[str], Any]:
    expected = f"a whole number, {least} or more" if most is None else f"{least} to {most}"
    return _reader(int, expected, lambda number: least <= number <= (most or number))


VALUES: dict[str, Callable[[str], Any]] = {
    "epochs": _whole(1),
    "train_batch_size": _whole(1),
    "dev_batch_size": _whole(1),
    "test_batch_size": _whole(1),
    "n_hidden": _whole(1),
    "beam_width": _whole(0),
    "export_beam_width": _whole(1),
    "report_count": _whole(0),
    "size_limit": _whole(1),
    "feature_cache_size": _whole(1),
    "unpacked_limit": _whole(1),
    "random_seed": _whole(0, 2**32 - 1),
    "drop_source_layers": _whole(1, 5),
    "learning_rate": _reader(float, "a number above 0", lambda rate: 0 < rate < math.inf),
    "lm_alpha": _reader(float, "a number, 0 or more", lambda weight: 0 <= weight < math.inf),
    "lm_beta": _reader(float, "a number", math.isfinite),
    "max_wer_change": _reader(float, "a number, 0 or more", lambda rate: 0 <= rate < math.inf),
    "dropout_rate": _reader(float, "a number from 0 to below 1", lambda rate: 0 <= rate < 1),
    "clip_norm": _reader(float, "a number, 0 or more", lambda norm: 0 <= norm < math.inf),
    "es_epochs": _whole(1),
    "es_min_delta": _reader(float, "a number, 0 or more", lambda delta: 0 <= delta < math.inf),
    "plateau_epochs": _whole(1),
    "plateau_reduction": _reader(float, "a number between 0 and 1", lambda rate: 0 < rate < 1),
    "freeze_source_epochs": _whole(0),
    "max_non_finite_steps": _whole(1),
    "checkpoint_secs": _reader(float, "seconds, 0 or more", lambda secs: 0 <= secs < math.inf),
    "lm_alpha_max": _reader(float, "a number above 0", lambda weight: 0 < weight < math.inf),
    "lm_beta_max": _reader(float, "a number above 0", lambda reward: 0 < reward < math.inf),
    "n_trials": _whole(1),
    "top_k": _whole(1),
    "arpa_order": _whole(2, 6),
    "arpa_prune": _reader(
        str, "counts such as 0|0|1", lambda text: all(each.isdigit() for each in text.split("|"))
    ),
    "binary_a_bits": _whole(0, 255),
    "binary_q_bits": _whole(2, 25),
    "default_alpha": _reader(float, "a number, 0 or more", lambda weight: 0 <= weight < math.inf),
    "default_beta": _reader(float, "a number", math.isfinite),
    "cutoff_prob": _reader(float, "a number above 0, up to 1", lambda share: 0 < share <= 1),
    "cutoff_top_n": _whole(1),
    "max_wer": _reader(float, "a number, 0 or more", lambda rate: 0 <= rate < math.inf),
    "mode": _reader(
        str, "auto, fine-tune or transfer", lambda mode: mode in ("auto", "fine-tune", "transfer")
    ),
}
"""How a flag's value is read, whichever command the flag belongs to."""


def boolean(text: str) -> bool:
    """Read a flag's value as Coqui writes it: true/false, yes/no, on/off, 1/0."""
    values = {"true": True, "yes": True, "on": True, "1": True}
    values |= {"false": False, "no": False, "off": False, "0": False}
    try:
        return values[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"expected true or false, found {text!r}") from None


def _add_value(
    parser: argparse._ActionsContainer, name: str, default: object, metavar: str, text: str
) -> None:
    parser.add_argument(f"--{name}", type=VALUES[name], default=default, metavar=metavar, help=text)


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
        "dataset", help="folder (path, file:// or s3:// URI) with train.csv, dev.csv and test.csv"
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


def _pack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dataset", help="folder (path, file:// or s3:// URI) with train.csv, dev.csv and test.csv"
    )
    parser.add_argument("target", metavar="out", help="folder to make, as any such path or URI")
    parser.add_argument(
        "--shard_size",
        type=_whole(1),
        default=256,
        metavar="MIB",
        help="how large a shard may be; a clip is never divided",
    )


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
    _add_value(parser, "mode", "auto", "MODE", "auto, fine-tune or transfer")
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
        "uri",
        help="folder or .tar.gz, .tar.xz, .zip archive: a path, file://, s3:// or http(s)://",
    )
    parser.add_argument("target", type=Path, help="folder to make")
    parser.add_argument(
        "--sha256", default="", help="digest that the archive, or the folder, must have"
    )
    _add_value(parser, "size_limit", 20, "GIB", "most that may be fetched, in GiB")
    _add_value(parser, "unpacked_limit", 40, "GIB", "most that may come out of it, in GiB")


def _surgery(parser: argparse.ArgumentParser) -> None:
    _directories(parser, required=True)
    _add_value(
        parser,
        "drop_source_layers",
        1,
        "N",
        "layers to replace, counted from the output: 1 to 5",
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
    _add_value(
        parser,
        "random_seed",
        4568,
        "N",
        "seed of the new weights, of dropout and of the order of batches",
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
    data.add_argument(
        "--feature_cache",
        type=Path,
        metavar="DIR",
        help="keep the features of clips in DIR, for later epochs and runs; several may share it",
    )
    _add_value(data, "feature_cache_size", 20, "GIB", "most that --feature_cache may take, in GiB")
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
        help="checkpoint to start from; auto: best, else last; init: none, from scratch",
    )
    checkpoints.add_argument(
        "--load_cudnn",
        type=boolean,
        nargs="?",
        const=True,
        metavar="BOOL",
        help="no longer needed: checkpoints trained with cuDNN load everywhere",
    )
    _add_value(
        checkpoints,
        "checkpoint_secs",
        600,
        "S",
        "seconds between saves within an epoch; 0: at the end of epochs only",
    )
    add_switch(
        checkpoints,
        "--restart",
        False,
        "begin anew where the directory holds a run, which would go on otherwise",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--drop_source_layers",
        type=_whole(0, 5),
        default=0,
        metavar="N",
        help="transfer-learning: layers to replace, counted from the output: 1 to 5; 0 fine-tunes",
    )
    _alphabet_flags(model, "alphabet of the transcripts, where it is not the checkpoint's")
    _add_value(
        model,
        "n_hidden",
        None,
        "N",
        "width of the layers; a checkpoint brings its own (from scratch: 2048)",
    )
    add_switch(model, "--layer_norm", False, "from scratch: normalise the layers")
    _surgery_options(model)
    training = parser.add_argument_group("training")
    _add_value(training, "epochs", 75, "N", "passes over the training data")
    _add_value(training, "train_batch_size", 16, "N", "utterances in a batch, over all GPUs")
    _add_value(training, "dev_batch_size", 16, "N", "the same for the dev set")
    _add_value(training, "test_batch_size", 16, "N", "the same for the test set")
    _add_value(
        training,
        "learning_rate",
        0.0001,
        "R",
        "of Adam; always this one, never one stored in a checkpoint",
    )
    _add_value(training, "dropout_rate", 0.05, "R", "of layers 1, 2, 3 and 5")
    training.add_argument(
        "--augment",
        nargs="+",
        action="extend",
        default=[],
        metavar="SPEC",
        help="change the training set anew in each epoch, as in Coqui: NAME[p=P,PARAMETER=RANGE,…],"
        " such as tempo[p=0.5,factor=1~0.2]",
    )
    _add_value(
        training, "clip_norm", 0, "R", "longest that the whole gradient may be; 0: any length"
    )
    _add_value(
        training,
        "freeze_source_epochs",
        0,
        "N",
        "after surgery: first epochs that train the new layers only",
    )
    training.add_argument(
        "--mixed_precision",
        choices=("off", "float16", "bfloat16"),
        default="off",
        help="what to compute in where 16 bits are faster; the weights stay float32",
    )
    training.add_argument(
        "--automatic_mixed_precision",
        dest="mixed_precision",
        type=lambda text: "float16" if boolean(text) else "off",
        nargs="?",
        const="true",
        default=argparse.SUPPRESS,
        metavar="BOOL",
        help="Coqui's name for --mixed_precision float16",
    )
    _add_value(
        training, "max_non_finite_steps", 5, "N", "skipped steps in a row that end the training"
    )
    _schedule(parser.add_argument_group("ending and learning rate, by the dev loss"))
    training.add_argument(
        "--train_cudnn",
        type=boolean,
        nargs="?",
        const=True,
        metavar="BOOL",
        help="no longer needed: a GPU uses cuDNN by itself",
    )
    parser.add_argument(
        "--summary_dir",
        type=Path,
        metavar="DIR",
        help="scalars for TensorBoard; by default the folder summaries beside the checkpoints",
    )
    _report_options(parser)


def _schedule(group: argparse._ActionsContainer) -> None:
    add_switch(group, "--early_stop", False, "stop when epochs bring no improvement")
    _add_value(group, "es_epochs", 25, "N", "that many epochs")
    _add_value(group, "es_min_delta", 0.05, "R", "what the dev loss must fall by to be better")
    add_switch(
        group,
        "--reduce_lr_on_plateau",
        False,
        "lower the learning rate when epochs bring no improvement, and go back to the run's best",
    )
    _add_value(group, "plateau_epochs", 10, "N", "that many epochs")
    _add_value(group, "plateau_reduction", 0.1, "R", "what the learning rate is multiplied by")


def _report_options(parser: argparse.ArgumentParser) -> None:
    decoding = parser.add_argument_group("decoding")
    _decoding_flags(decoding)
    _search_flags(decoding)
    output = parser.add_argument_group("output")
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
        "--html_report_file",
        type=Path,
        metavar="FILE",
        help="write the test report here as one HTML page, with the sound of the worst utterances",
    )
    _add_value(
        output,
        "report_count",
        5,
        "N",
        "utterances shown in each part of the report; the HTML page has four times as many",
    )
    add_switch(output, "--show_progressbar", True, "show progress on a terminal")
    gate = parser.add_argument_group("gate")
    gate.add_argument(
        "--source_checkpoint_dir",
        type=Path,
        metavar="DIR",
        help="checkpoint that the model was made from: tested too, to compare with",
    )
    _add_value(
        gate,
        "max_wer",
        0.0,
        "R",
        "fail after the reports are written if the WER is above this; 0: any will do",
    )
    add_switch(
        gate,
        "--must_beat_source",
        False,
        "the same if the WER is not below the source checkpoint's",
    )


def _search_flags(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--vocab_file",
        type=Path,
        metavar="FILE",
        help="words that the scorer may write, where its file has none or others",
    )
    _add_value(
        parser, "cutoff_prob", 1.0, "R", "only the labels that together are so probable; 1: all"
    )
    _add_value(parser, "cutoff_top_n", 300, "N", "and at most so many, if that is below 1")


def _lm_optimize(parser: argparse.ArgumentParser) -> None:
    _files(parser, "--test_files", "manifests to make few errors on: a dev set", required=True)
    _checkpoint_flags(parser, "checkpoint to decode with")
    parser.add_argument(
        "--scorer_path", type=Path, metavar="FILE", required=True, help="language model to weigh"
    )
    search = parser.add_argument_group("search")
    _add_value(search, "lm_alpha_max", 5.0, "R", "highest weight of the language model to try")
    _add_value(search, "lm_beta_max", 5.0, "R", "highest reward for each word to try")
    _add_value(search, "n_trials", 100, "N", "pairs of weights to try, the scorer's own first")
    _add_value(search, "random_seed", 4568, "N", "seed of what is tried")
    decoding = parser.add_argument_group("decoding")
    _add_value(decoding, "beam_width", 0, "N", "prefixes kept by the beam search; 0: 1024")
    _search_flags(decoding)
    _add_value(decoding, "test_batch_size", 16, "N", "utterances in a batch")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--package",
        type=Path,
        metavar="FILE",
        help="write the scorer here with the weights that were found as its own",
    )
    add_switch(output, "--show_progressbar", True, "show progress on a terminal")


def _build_scorer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--package", type=Path, required=True, metavar="FILE", help="the .scorer to write"
    )
    parser.add_argument(
        "--checkpoint",
        dest="checkpoint_dir",
        type=Path,
        metavar="DIR",
        help="checkpoint whose alphabet the scorer is for",
    )
    _alphabet_flags(parser, "that alphabet, where there is no checkpoint")
    text = parser.add_argument_group("from text, with KenLM's programs")
    text.add_argument(
        "--input_txt", type=Path, metavar="FILE", help="sentences, one a line; plain or .gz"
    )
    text.add_argument(
        "--kenlm_bins",
        type=Path,
        metavar="DIR",
        help="folder with lmplz, filter and build_binary, where they are not on the PATH",
    )
    _add_value(text, "top_k", 500_000, "N", "most frequent words that make up the vocabulary")
    _add_value(text, "arpa_order", 5, "N", "longest sequence of words that is counted, 2 to 6")
    _add_text(text, "max_arpa_memory", "2G", "memory for counting, such as 4G or 50%%")
    _add_value(
        text, "arpa_prune", "0|0|1", "N|N|N", "for each order, the counts up to which are left out"
    )
    _add_value(text, "binary_a_bits", 255, "N", "pointer compression of the type trie")
    _add_value(text, "binary_q_bits", 8, "N", "bits of a probability in the type trie")
    text.add_argument(
        "--binary_type",
        choices=("trie", "probing"),
        default="trie",
        help="trie is small, probing is fast",
    )
    add_switch(text, "--discount_fallback", False, "go on with text too small to smooth")
    ready = parser.add_argument_group("from a language model")
    ready.add_argument(
        "--lm", type=Path, metavar="FILE", help="language model in KenLM's binary form"
    )
    ready.add_argument("--vocab", type=Path, metavar="FILE", help="its words, by white space")
    weights = parser.add_argument_group("default weights")
    _add_value(weights, "default_alpha", DEFAULT_LM_ALPHA, "R", "weight of the language model")
    _add_value(weights, "default_beta", DEFAULT_LM_BETA, "R", "reward for each word")


def _evaluate(parser: argparse.ArgumentParser) -> None:
    _files(parser, "--test_files", "manifests to test on", required=True)
    _checkpoint_flags(parser, "checkpoint to test")
    _add_value(parser, "test_batch_size", 16, "N", "utterances in a batch")
    _report_options(parser)


def _checkpoint_flags(parser: argparse._ActionsContainer, text: str) -> None:
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
    _alphabet_flags(parser, "the checkpoint's alphabet, where it lies elsewhere")
    _add_value(parser, "n_hidden", None, "N", "checked against the checkpoint's")


def _export(parser: argparse.ArgumentParser) -> None:
    _checkpoint_flags(parser, "checkpoint to export")
    what = parser.add_argument_group("what to make")
    what.add_argument(
        "--export_dir", type=Path, required=True, metavar="DIR", help="a new or empty folder"
    )
    _add_text(what, "export_uri", "", "path, file:// or s3:// URI to copy the folder to")
    add_switch(what, "--remove_export", False, "replace an earlier export in that folder")
    _add_text(what, "export_file_name", "output_graph", "name of the .tflite file")
    add_switch(what, "--export_tflite", True, "a .tflite file for Coqui STT's runtime 1.4")
    add_switch(what, "--export_quantize", True, "a quarter of its size, in 8-bit integers")
    add_switch(what, "--export_savedmodel", False, "also a TensorFlow SavedModel")
    add_switch(what, "--export_zip", False, "also all of it in a zip beside the folder")
    _add_value(what, "export_beam_width", 500, "N", "beam width that the runtime starts with")
    what.add_argument(
        "--scorer_path", type=Path, metavar="FILE", help="language model to put beside the model"
    )
    check = parser.add_argument_group("check")
    _files(check, "--test_files", "utterances to compare export and checkpoint on")
    _add_value(
        check, "max_wer_change", 0.02, "R", "how much higher a quantised model's WER may be there"
    )
    card = parser.add_argument_group("model card")
    for field in dataclasses.fields(ModelIdentity):
        _add_text(card, f"export_{field.name}", field.default, CARD_FIELDS[field.name])
    add_switch(card, "--released", True, "whether the card says that the model may be used")


CARD_FIELDS = {
    "author_id": "who made the model, in one word",
    "model_name": "what it is called",
    "model_version": "as https://semver.org has it",
    "language": "BCP 47 tag, such as sw-Latn-KE",
    "license": "SPDX identifier",
    "contact_info": "where its authors can be reached",
    "min_stt_version": "the oldest version of Coqui STT that runs it",
    "max_stt_version": "the newest one",
    "description": "what else users should know, in Markdown",
}


def _decoding_flags(parser: argparse._ActionsContainer) -> None:
    _add_value(
        parser,
        "beam_width",
        0,
        "N",
        "prefixes kept by the beam search; 0: the best label of each frame, or with a scorer 1024",
    )
    parser.add_argument("--scorer_path", type=Path, metavar="FILE", help="language model to use")
    _add_value(parser, "lm_alpha", None, "R", "weight of the language model")
    _add_value(parser, "lm_beta", None, "R", "reward for each word")


def _add_text(parser: argparse._ActionsContainer, name: str, default: object, text: str) -> None:
    parser.add_argument(f"--{name}", default=default, metavar="TEXT", help=text)


def _transcribe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "audio", nargs="+", type=Path, metavar="FILE|DIR", help="audio, or folders of it"
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--checkpoint_dir", type=Path, metavar="DIR", help="checkpoint to use")
    model.add_argument("--model", type=Path, metavar="FILE", help="exported .tflite to use")
    _add_value(parser, "test_batch_size", 16, "N", "files that go through the network together")
    _decoding_flags(parser)
    _search_flags(parser)
    add_switch(parser, "--json", False, "print a JSON list in place of lines")


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
    "pack": ("put the clips of a dataset into tar shards, which are read faster", "pack", _pack),
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
    "build_scorer": (
        "make a scorer out of text, or out of a language model and its words",
        "build_scorer",
        _build_scorer,
    ),
    "lm_optimize": (
        "search for the weights of a scorer that make the fewest errors",
        "lm_optimize",
        _lm_optimize,
    ),
    "export": (
        "write a checkpoint as what deployed runtimes load, and check it against the checkpoint",
        "export",
        _export,
    ),
    "transcribe": (
        "say what a checkpoint or an exported model understands in audio files",
        "transcribe",
        _transcribe,
    ),
    "inspect": (
        "show a checkpoint's geometry, alphabet, mode and lineage as JSON",
        "inspect",
        _inspect,
    ),
}


if __name__ == "__main__":
    sys.exit(main())
