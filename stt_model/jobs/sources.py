"""The job before training: check the sources, choose the mode, make the initial checkpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from stt_model.base import BootstrapError
from stt_model.jobs.checkpoints import (
    FetchedCheckpoint,
    analyse_alphabet,
    fetch,
    read_model_alphabet,
    replace_layers,
)
from stt_model.jobs.data import validate
from stt_model.jobs.reports import write_report

if TYPE_CHECKING:
    from stt_model.corpus import ValidationResult
    from stt_model.text import Decision

NOT_MADE = "not-made.txt"
_First = TypeVar("_First")
_Second = TypeVar("_Second")


@dataclass(frozen=True)
class AnalysedSources:
    """The analysis of a dataset and a checkpoint, and the decision."""

    validation: ValidationResult
    fetched: FetchedCheckpoint
    decision: Decision


def analyse_sources(
    dataset_uri: str,
    checkpoint_uri: str,
    *,
    clean_dataset: Path,
    checkpoint: Path,
    model_alphabet: Path,
    grafted_checkpoint: Path,
    report: Path,
    strict: bool = False,
    sha256: str = "",
    mode: str = "auto",
    alphabet_uri: str = "",
    scorer_uri: str = "",
    drop_source_layers: int = 1,
    warm_start: bool = True,
    random_seed: int = 4568,
    keep_source_labels: bool = False,
    normalise: str = "",
    numbers: str = "set_aside",
    drop_suspects: str = "",
    check_audio: str = "header",
    checkpoint_alphabet_uri: str = "",
    bytes_output_mode: bool = False,
) -> AnalysedSources:
    """Validate a dataset, fetch a checkpoint, choose the mode and replace layers for a transfer.

    This calls ``validate``, ``fetch``, ``analyse_alphabet`` and ``replace_layers`` in turn, and
    writes one report.

    Args:
        dataset_uri: folder with train.csv, dev.csv and test.csv: a path, ``file://``, ``s3://``.
        checkpoint_uri: folder or archive: a path, ``file://``, ``s3://`` or ``http(s)://``.
        clean_dataset: folder for the clean manifests.
        checkpoint: folder for the fetched checkpoint.
        model_alphabet: file for the model's future alphabet.
        grafted_checkpoint: folder for the checkpoint with new layers; without a transfer it holds
            only a note, since each artifact must exist.
        report: Markdown file; after a refusal it holds the part before it.
        strict: refuse a dataset with any error, instead of rejecting the row.
        sha256: expected digest of the checkpoint.
        mode: auto, fine-tune or transfer; auto decides by the characters that the checkpoint's
            alphabet lacks.
        alphabet_uri: alphabet to train with; empty for the checkpoint's, or one that is built.
        scorer_uri: language model that the new model will be tested with.
        drop_source_layers: how many layers a transfer replaces.
        warm_start: whether it keeps the output rows that both alphabets share.
        random_seed: of the new weights.
        keep_source_labels: keep the checkpoint's labels in an alphabet that is built.
        normalise: language whose rules normalise the transcripts; empty for none.
        numbers: what to do with digits then: ``set_aside``, ``spell`` or ``keep``.
        drop_suspects: ``suspects.csv`` of an earlier run, whose marked rows are left out.
        check_audio: whether clips in a store are read ``whole``, or by their ``header`` alone.
        checkpoint_alphabet_uri: the checkpoint's alphabet, if it does not hold its own.
        bytes_output_mode: the checkpoint's labels are the bytes of UTF-8.

    Raises:
        BootstrapError: the dataset or the checkpoint cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
        parts = [Path(folder) / f"{number}.md" for number in range(4)]
        try:
            fetched, validated = _both(
                lambda: fetch(
                    checkpoint_uri,
                    checkpoint,
                    sha256=sha256,
                    alphabet_uri=checkpoint_alphabet_uri,
                    bytes_output_mode=bytes_output_mode,
                    report=parts[2],
                ),
                lambda: validate(
                    dataset_uri,
                    clean_dataset,
                    strict=strict,
                    normalise=normalise,
                    numbers=numbers,
                    drop_suspects=drop_suspects,
                    check_audio=check_audio,
                    report=parts[3],
                ),
            )
            decision = analyse_alphabet(
                clean_dataset,
                checkpoint,
                model_alphabet,
                parts[0],
                mode=mode,
                alphabet_uri=alphabet_uri,
                scorer_uri=scorer_uri,
                keep_source_labels=keep_source_labels,
            )
            if decision.mode == "transfer":
                replace_layers(
                    checkpoint,
                    grafted_checkpoint,
                    alphabet=read_model_alphabet(model_alphabet),
                    drop_source_layers=drop_source_layers,
                    warm_start=warm_start,
                    random_seed=random_seed,
                    report=parts[1],
                )
            else:
                _say_that_nothing_was_replaced(grafted_checkpoint, decision.mode)
        finally:
            _join_reports(parts, report)
    return AnalysedSources(validated, fetched, decision)


def _say_that_nothing_was_replaced(folder: Path, mode: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    why = f"The mode is {mode}: no layer was replaced.\n"
    (folder / NOT_MADE).write_text(why, encoding="utf-8")


def _join_reports(parts: Sequence[Path], report: Path) -> None:
    written = [part.read_text(encoding="utf-8") for part in parts if part.is_file()]
    if written:
        write_report(report, "\n".join(written))


def _both(first: Callable[[], _First], second: Callable[[], _Second]) -> tuple[_First, _Second]:
    """Call both, and raise the errors of both in one line, so that people can fix both at once."""
    problem = None
    try:
        one = first()
    except BootstrapError as error:
        problem = error
    try:
        other = second()
    except BootstrapError as error:
        raise (BootstrapError(f"{problem}; {error}") if problem else error) from error
    if problem:
        raise problem
    return one, other
