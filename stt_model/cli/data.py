"""The commands on a corpus: validate, pack, alphabet."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from stt_model import jobs
from stt_model.base import RefusedError, check_output, redact
from stt_model.cli.flags import (
    DATASET_HELP,
    add_alphabet,
    add_files,
    add_parameters,
    add_path,
    given_alphabet,
    values_of,
)

if TYPE_CHECKING:
    from stt_model.corpus import Finding

_SHOWN = 5
"""Maximum number of findings printed per check; the report counts all and shows more."""


def validate_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``validate``."""
    parser.add_argument("dataset", help=DATASET_HELP)
    add_path(
        parser,
        "--output",
        "DIR",
        "where the clean manifests, rejected.csv and report.md go",
        required=True,
    )
    add_alphabet(parser, "also check that transcripts use only this alphabet")
    add_parameters(parser, jobs.ValidationSettings, "strict")
    # Without a value it means the generic rules.
    add_parameters(parser, jobs.ValidationSettings, "normalise", nargs="?", const="generic")
    add_parameters(parser, jobs.ValidationSettings, "numbers", "drop_suspects", "check_audio")


def validate(args: argparse.Namespace) -> int:
    """Check a dataset and write manifests of the usable rows."""
    shown = _Findings(args.output / "report.md")
    with shown:
        result = jobs.validate(
            args.dataset,
            args.output,
            alphabet=given_alphabet(args),
            **values_of(args, ("strict", "normalise", "numbers", "drop_suspects", "check_audio")),
            show=shown.show,
        )
    print(result.summary())
    if result.normalisation:
        print(result.normalisation.summary())
    if advice := result.advice():
        print(f"warning: {advice}", file=sys.stderr)
    if unread := result.unread():
        print(f"warning: {unread}", file=sys.stderr)
    print(f"manifests, rejected.csv and report.md: {args.output}")
    return 0


class _Findings:
    """Prints the first findings of each check, and finally how many more there are."""

    def __init__(self, report: Path) -> None:
        self._report = report
        self._counts: Counter[tuple[str, str]] = Counter()

    def show(self, finding: Finding) -> None:
        """Print a finding, unless enough of its kind have been printed."""
        kind = (finding.severity, finding.check)
        self._counts[kind] += 1
        if self._counts[kind] <= _SHOWN:
            print(f"{finding.severity}: {finding}", file=sys.stderr)

    def __enter__(self) -> _Findings:
        return self

    def __exit__(self, *_: object) -> None:
        for (severity, check), count in self._counts.items():
            if count > _SHOWN:
                print(
                    f"{severity}: {check}: and {count - _SHOWN} more rows; see {self._report} and"
                    " rejected.csv",
                    file=sys.stderr,
                )


def pack_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``pack``."""
    parser.add_argument("dataset", help=DATASET_HELP)
    parser.add_argument(
        "target", metavar="out", help="folder to create (path, file:// or s3:// URI)"
    )
    add_parameters(parser, jobs.PackSettings, "shard_size")


def pack(args: argparse.Namespace) -> int:
    """Put the clips of a dataset into tar shards."""
    clips = jobs.pack(args.dataset, args.target, shard_size=args.shard_size)
    print(f"{clips} clips packed: {redact(args.target)}")
    return 0


def alphabet_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``alphabet``."""
    add_files(parser, "--train_files", "manifests whose transcripts are read", required=True)
    add_files(parser, "--dev_files", "more manifests")
    add_files(parser, "--test_files", "more manifests")
    add_path(
        parser,
        "--checkpoint_dir",
        "DIR",
        "checkpoint to compare with, to choose between fine-tuning and transfer",
    )
    add_parameters(parser, jobs.DecisionSettings, "mode", "keep_source_labels")
    add_alphabet(parser, "alphabet to use instead of one built from the transcripts")
    parser.add_argument(
        "--order",
        choices=("codepoint", "frequency"),
        default="codepoint",
        help="order of the labels of a built alphabet",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the resulting alphabet here"
    )


def alphabet(args: argparse.Namespace) -> int:
    """Build an alphabet, or compare a checkpoint's alphabet with the transcripts."""
    from stt_model.text import build_alphabet, write_alphabet

    check_output(args.output)
    manifests = [*args.train_files, *args.dev_files, *args.test_files]
    transcripts = jobs.transcripts_of(manifests)
    given = given_alphabet(args)
    if args.checkpoint_dir:
        decision = jobs.decide(
            transcripts,
            args.checkpoint_dir,
            alphabet=given,
            **values_of(args, ("mode", "keep_source_labels")),
        )
        print(decision.to_markdown())
        for warning in decision.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if decision.mode == "refuse":
            raise RefusedError(decision.reason)
        chosen = decision.alphabet
    else:
        chosen = given or build_alphabet(transcripts, order=args.order)
        print("\n".join(repr(label) for label in chosen.labels))
    if args.output and chosen and not chosen.is_bytes:
        write_alphabet(chosen, args.output)
        print(f"alphabet: {args.output}")
    return 0
