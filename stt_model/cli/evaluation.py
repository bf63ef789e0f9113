"""The command ``evaluate``, and what ``train`` shares with it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model import jobs
from stt_model.base import GateError
from stt_model.cli.coqui_flags import add_coqui_flags
from stt_model.cli.flags import (
    add_checkpoint,
    add_files,
    add_parameters,
    add_path,
    check_audio_flags,
    given_alphabet,
    show_log,
    show_tensorflow,
    values_of,
)
from stt_model.evaluation import EvaluationConfig

if TYPE_CHECKING:
    from stt_model.checkpoint import Checkpoint
    from stt_model.evaluation import EvaluationResult, Gate
    from stt_model.evaluation.samples import EvaluatedSample
    from stt_model.text import Alphabet


def evaluate_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``evaluate``."""
    add_files(parser, "--test_files", "manifests to test on", required=True)
    add_checkpoint(parser, "checkpoint to test")
    add_parameters(parser, EvaluationConfig, "test_batch_size", "mixed_precision", *_LIMITS)
    report_flags(parser)
    add_coqui_flags(parser)


_LIMITS = ("limit_test", "reverse_test")


def report_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of decoding, reports and the gate."""
    decoding_flags(parser.add_argument_group("decoding"))
    output = parser.add_argument_group("output")
    add_path(
        output,
        "--test_output_file",
        "FILE",
        "write every tested utterance to this JSON file, as Coqui does",
    )
    add_path(output, "--report_file", "FILE", "write the Markdown report here")
    add_path(
        output,
        "--html_report_file",
        "FILE",
        "write the test report here as one HTML page, with audio of the worst utterances",
    )
    add_path(
        output,
        "--suspects_file",
        "FILE",
        "write the clips whose text and audio may not match to this CSV file",
    )
    add_parameters(output, EvaluationConfig, "report_count", "show_progressbar")
    gate = parser.add_argument_group("gate")
    add_path(
        gate,
        "--source_checkpoint_dir",
        "DIR",
        "checkpoint that the model was made from; it is tested too, for comparison",
    )
    add_parameters(gate, EvaluationConfig, "max_wer", "must_beat_source")


_DECODING = ("beam_width", "lm_alpha", "lm_beta", "cutoff_prob", "cutoff_top_n")


def decoding_flags(parser: argparse._ActionsContainer) -> None:
    """Add the flags of decoding."""
    add_path(parser, "--scorer_path", "FILE", "language model to use")
    vocab_flag(parser)
    add_parameters(parser, EvaluationConfig, *_DECODING)


def vocab_flag(parser: argparse._ActionsContainer) -> None:
    """Add the flag that names a scorer's words."""
    add_path(
        parser,
        "--vocab_file",
        "FILE",
        "words that the scorer may write, in place of those in its file",
    )


def decoding_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the flags of decoding by name, except the scorer."""
    return values_of(args, (*_DECODING, "vocab_file"))


def evaluate(args: argparse.Namespace) -> int:
    """Test a checkpoint."""
    show_log()
    show_tensorflow(args)
    result = test(args, args.checkpoint_dir, args.load_evaluate, given_alphabet(args))
    jobs.write_report(args.report_file, result.to_markdown())
    if args.report_file:
        print(f"report: {args.report_file}")
    print(f"verdict: {result.verdict}")
    check_gate(result.gate)
    return 0


def suspects_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``suspects``."""
    add_files(parser, "--files", "manifests of all splits", required=True)
    add_checkpoint(parser, "model for the language, preferably trained on these files")
    add_path(parser, "--suspects_file", "FILE", "where the list goes, as CSV", required=True)
    parser.add_argument(
        "--known",
        nargs="+",
        type=Path,
        default=[],
        metavar="JSON",
        help="files written by --test_output_file with the same model: manifests whose clips are"
        " all in them are not transcribed again",
    )
    add_path(parser, "--report_file", "FILE", "write a Markdown report here")
    add_path(
        parser,
        "--html_report_file",
        "FILE",
        "write the report here as one HTML page, with audio of the most suspicious clips",
    )
    add_parameters(parser, EvaluationConfig, "test_batch_size", "report_count", "show_progressbar")


def suspects(args: argparse.Namespace) -> int:
    """List the clips whose text and audio may not match."""
    show_log()
    check_audio_flags(args, args.checkpoint_dir, args.load_evaluate, given_alphabet(args))
    show_tensorflow(args)
    result = jobs.find_suspects(
        args.files,
        args.checkpoint_dir,
        args.suspects_file,
        known=args.known,
        report=args.report_file,
        html_report=args.html_report_file,
        load_evaluate=args.load_evaluate,
        alphabet=given_alphabet(args),
        n_hidden=args.n_hidden,
        **values_of(args, ("test_batch_size", "report_count", "show_progressbar")),
    )
    reasons = sum(bool(each.reasons) for each in result.suspects)
    dropped = sum(each.drop for each in result.suspects)
    print(
        f"{len(result.samples)} utterances, {reasons} of them suspect, {dropped} marked to be"
        f" dropped: {args.suspects_file}"
    )
    print("listen to them, then: stt-bootstrap validate … --drop_suspects FILE")
    return 0


def test(
    args: argparse.Namespace, checkpoint_dir: Path, which: str, alphabet: Alphabet | None
) -> EvaluationResult:
    """Test a checkpoint with the given flags, and print the error rates."""
    from stt_model.checkpoint import open_checkpoint

    check_audio_flags(args, checkpoint_dir, which, alphabet)
    announce(open_checkpoint(checkpoint_dir, which=which, alphabet=alphabet))
    result = jobs.evaluate(
        args.test_files,
        checkpoint_dir,
        load_evaluate=which,
        alphabet=alphabet,
        n_hidden=args.n_hidden,
        scorer_uri=args.scorer_path or "",
        html_report=args.html_report_file,
        train_files=getattr(args, "train_files", ()),
        **values_of(
            args,
            (
                "source_checkpoint_dir",
                "test_output_file",
                "suspects_file",
                "test_batch_size",
                "mixed_precision",
                *_LIMITS,
                "report_count",
                "show_progressbar",
                "max_wer",
                "must_beat_source",
            ),
        ),
        **decoding_of(args),
    )
    for line in by_file(args.test_files, result.samples):
        print(line)
    print(
        f"{len(result.samples)} utterances: WER {result.wer:.4f}, CER {result.cer:.4f},"
        f" loss {result.loss:.4f}"
    )
    if args.html_report_file:
        print(f"page: {args.html_report_file}")
    return result


def announce(checkpoint: Checkpoint) -> None:
    """Print which checkpoint is used, in the words that scripts for Coqui look for."""
    kind = "best validating" if checkpoint.which == "best" else "most recent"
    print(f"Loading {kind} checkpoint from {checkpoint.prefix}", flush=True)


def by_file(files: Iterable[Path], samples: Sequence[EvaluatedSample]) -> Iterator[str]:
    """Yield the line that Coqui prints for each test file; no rate is above 1, as there."""
    for file in dict.fromkeys(files):
        tested = [each for each in samples if Path(each.manifest) == file.absolute()]
        if not tested:
            continue
        wer = sum(each.word_distance for each in tested) / sum(each.word_length for each in tested)
        cer = sum(each.char_distance for each in tested) / sum(each.char_length for each in tested)
        loss = sum(each.loss for each in tested) / len(tested)
        yield f"Test on {file} - WER: {min(wer, 1):f}, CER: {min(cer, 1):f}, loss: {loss:f}"


def check_gate(gate: Gate) -> None:
    """Raise GateError for a model that does not pass."""
    if gate.asked and not gate.passed:
        raise GateError(f"the model does not pass: {'; '.join(gate.reasons)}")
