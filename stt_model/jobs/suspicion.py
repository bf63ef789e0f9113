"""The job of finding clips whose text and audio may not match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import DataError, check_output
from stt_model.checkpoint import open_checkpoint
from stt_model.corpus import audio_info, read_manifest
from stt_model.jobs.evaluation import evaluate
from stt_model.jobs.reports import write_report

if TYPE_CHECKING:
    from stt_model.corpus import Utterance
    from stt_model.evaluation import EvaluationResult


def find_suspects(
    manifests: Sequence[str | Path],
    checkpoint: str | Path,
    suspects_file: Path,
    *,
    known: Sequence[Path] = (),
    report: Path | None = None,
    html_report: Path | None = None,
    **settings: Any,
) -> EvaluationResult:
    """Rank the clips of a corpus by how suspicious they are to a model, with reasons.

    Args:
        manifests: those of all splits, CSV files in Coqui's format, since all define what is usual.
        checkpoint: a model for their language, preferably trained on them.
        suspects_file: CSV file for the list.
        known: JSON files of earlier evaluations of the same checkpoint (``test_output_file``);
            manifests whose clips are all in them are not transcribed again.
        report: Markdown file for the report.
        html_report: HTML page for the report, with audio of the most suspicious clips.
        settings: further settings of ``evaluate``.

    Raises:
        BootstrapError: the checkpoint, a manifest or a file of ``known`` cannot be read.
    """
    from stt_model.evaluation import (
        EvaluationResult,
        known_samples,
        write_html_report,
        write_suspects,
    )
    from stt_model.evaluation import find_suspects as rank

    if not manifests:
        raise DataError("expected at least one manifest to look for suspects in, found none")
    for output in (suspects_file, report, html_report):
        check_output(output)
    opened = open_checkpoint(checkpoint)
    samples, missing = [], []
    for path in map(Path, manifests):
        utterances = read_manifest(path)
        found = (known_samples(file, utterances, _seconds) for file in known)
        if (reused := next((each for each in found if each is not None), None)) is None:
            missing.append(path)
        else:
            samples += reused
    result = EvaluationResult(opened.prefix.name)
    if missing:
        result = evaluate(missing, checkpoint, **settings)
    every = sorted([*result.samples, *samples], key=lambda each: (each.wer, -each.loss))
    result = replace(result, samples=every, suspects=rank(every))
    write_suspects(result.suspects, suspects_file)
    write_report(report, result.to_markdown())
    if html_report:
        write_html_report(result, html_report)
    return result


def _seconds(utterance: Utterance) -> float:
    return audio_info(utterance.place).duration
