"""The job of forecasting: predict the error rate with more speech from trainings on parts."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_model.base import atomic_write, check_output
from stt_model.checkpoint import open_checkpoint
from stt_model.corpus import read_manifest
from stt_model.corpus.manifests import write_manifest
from stt_model.jobs.reports import write_report
from stt_model.jobs.second_training import train_with_unlabelled
from stt_model.jobs.training import train
from stt_model.jobs.trials import Trial, run_trial, test_model

if TYPE_CHECKING:
    from stt_model.corpus import Utterance
    from stt_model.evaluation import Amount, Forecast
    from stt_model.training import TrainingResult

log = logging.getLogger(__name__)

FORECAST = "forecast.json"
PARTS = (8, 4, 2, 1)
"""Divisors of the corpus's size, which give the sizes to train on."""
DRAWS = 2
"""Draws of each size, as long as the draws together are at most half of the corpus."""
FEWEST = 24
"""Minimum number of utterances of a corpus to be divided."""


def forecast(
    train_files: Sequence[str | Path],
    dev_files: Sequence[str | Path],
    test_files: Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path | None = None,
    report: Path | None = None,
    add_to_report: Path | None = None,
    decoding: dict[str, Any] | None = None,
    **settings: Any,
) -> Forecast:
    """Train on parts of a corpus and on all of it, and predict the error rate with more speech.

    The parts are an eighth, a quarter and a half, the smaller ones drawn twice; each is trained on
    separately, with the same settings. Results stay in ``output``, so that an interrupted job
    resumes.

    Args:
        train_files: manifests of the whole training set.
        dev_files: manifests that determine the best epoch.
        test_files: manifests for testing every training; by default the dev set's.
        output: folder for the results of the trainings and ``forecast.json``.
        model: checkpoint that was trained on the whole corpus with these settings, if there is one.
        report: where the report is written.
        add_to_report: report that the forecast is appended to.
        decoding: arguments of ``evaluate``; by default the best label of each frame.
        settings: further arguments of ``train``, ``load_checkpoint_dir`` among them.

    Returns:
        a forecast, without predictions if there is too little speech.

    Raises:
        BootstrapError: what ``train`` and ``evaluate`` raise.
    """
    from stt_model.evaluation import forecast_errors

    folder = Path(output)
    check_output(folder, is_folder=True)
    check_output(report)
    tests = test_files or dev_files
    rows = [row for path in train_files for row in read_manifest(path)]
    seed = int(settings.get("random_seed") or 0)
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    drawn = [rows[place] for place in order]
    reached = []
    sizes = plan(len(rows))
    if model and os.environ.get("TF_CONFIG"):
        log.warning("no forecast on several nodes: it needs trainings on one node")
        sizes = sizes[-1:]
    for size, draw in sizes:
        log.info("forecast: training on %d of %d utterances, draw %d", size, len(rows), draw + 1)
        if model and size == len(rows):
            reached.append(_reached_by(Path(model), train_files, tests, decoding))
        else:
            trial = try_size(folder, drawn, size, draw, dev_files, tests, decoding, **settings)
            reached.append(amount_of(trial))
    found = forecast_errors(reached)
    log.info("forecast: %s", found)
    with atomic_write(folder / FORECAST) as beside:
        beside.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    write_report(report, found.to_markdown())
    if add_to_report:
        before = add_to_report.read_text(encoding="utf-8")
        write_report(add_to_report, f"{before}\n{found.to_markdown()}")
    return found


def train_and_forecast(
    train_files: Sequence[str | Path],
    dev_files: Sequence[str | Path],
    test_files: Sequence[str | Path],
    *,
    save_checkpoint_dir: str | Path,
    is_wanted: bool,
    unlabelled_uri: str = "",
    unlabelled_digest: str = "",
    scorer_uri: str = "",
    scorer_digest: str = "",
    run_state_uri: str = "",
    report: Path | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train, also on recordings without transcripts if given, and forecast if wanted.

    The trainings on parts of the corpus are kept in the folder ``forecast`` of the checkpoint; the
    forecast is added to the report. Arguments and errors are those of ``train``,
    ``train_with_unlabelled`` and ``forecast``. The scorer is used for recordings without
    transcripts alone: without any, it need not fit.
    """
    where: dict[str, Any] = {
        "save_checkpoint_dir": save_checkpoint_dir,
        "run_state_uri": run_state_uri,
    }
    trained_on_labels_alone = True
    if unlabelled_uri:
        result, outcome = train_with_unlabelled(
            train_files,
            dev_files,
            test_files,
            unlabelled_uri=unlabelled_uri,
            unlabelled_digest=unlabelled_digest,
            scorer_uri=scorer_uri,
            scorer_digest=scorer_digest,
            report=report,
            **where,
            **settings,
        )
        trained_on_labels_alone = not outcome.second_is_kept
    else:
        result = train(train_files, dev_files, report=report, **where, **settings)
    if is_wanted and result.is_chief:
        forecast(
            train_files,
            dev_files,
            test_files,
            Path(save_checkpoint_dir, "forecast"),
            model=save_checkpoint_dir if trained_on_labels_alone else None,
            add_to_report=report,
            **settings,
        )
    return result


def amount_of(trial: Trial) -> Amount:
    """Return the point of a trial on the learning curve."""
    from stt_model.evaluation import Amount

    return Amount(trial.hours, trial.utterances, trial.counts.word_errors, trial.counts.words)


def _reached_by(
    model: Path,
    train_files: Sequence[str | Path],
    test_files: Sequence[str | Path],
    decoding: dict[str, Any] | None,
) -> Amount:
    """Return the point on the learning curve of a model that was trained on the whole corpus."""
    from stt_model.corpus import drop_too_short, read_samples
    from stt_model.evaluation import Amount

    checkpoint = open_checkpoint(model)
    counts = test_model(model, test_files, decoding)
    trained_on = drop_too_short(
        read_samples([Path(path) for path in train_files], checkpoint.alphabet, checkpoint.audio)
    )
    hours = float(trained_on.seconds.sum()) / 3600
    return Amount(hours, len(trained_on), counts.word_errors, counts.words)


def plan(utterances: int) -> list[tuple[int, int]]:
    """Return the sizes to train on, in utterances, each with the number of its draw, from 0.

    The last is the whole corpus; it is the only one if the corpus is too small to divide.
    """
    if utterances < FEWEST:
        return [(utterances, 0)]
    sizes = [utterances // part for part in PARTS]
    return [
        (size, draw)
        for size in sizes
        for draw in range(DRAWS if DRAWS * size <= utterances // 2 else 1)
    ]


def try_size(
    folder: Path,
    drawn: Sequence[Utterance],
    size: int,
    draw: int,
    dev_files: Sequence[str | Path],
    test_files: Sequence[str | Path],
    decoding: dict[str, Any] | None = None,
    **settings: Any,
) -> Trial:
    """Train on ``size`` utterances of a shuffled corpus; each draw takes different ones.

    The first draw of a size holds the first draw of each smaller one.
    """
    name = f"{size}-{draw}"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / f"{name}.csv"
    write_manifest(manifest, drawn[draw * size : (draw + 1) * size])
    return run_trial(
        folder / name,
        [manifest],
        dev_files,
        test_files,
        decoding=decoding,
        **settings,
    )
