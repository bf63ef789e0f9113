"""A sweep whose members each train in their own pod, and share results below a URI."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stt_model.base import DataError, StorageError
from stt_model.corpus import find_splits
from stt_model.jobs.reports import write_report
from stt_model.jobs.sweep_plan import Member, read_plan
from stt_model.jobs.sweeping import (
    FEATURES,
    MEMBERS,
    TO_THE_END,
    latest_result,
    make_leaderboard,
    result_stem,
    run_member,
    survivors,
    test_and_export,
    training_arguments,
)
from stt_model.jobs.training import train
from stt_model.jobs.trials import MODEL, Trial, read_trial
from stt_model.storage import check_readable, local_file, put

if TYPE_CHECKING:
    from stt_model.evaluation import EvaluationResult, Leaderboard

log = logging.getLogger(__name__)


def train_member(prepared: Path, key: str, rung: int, sweep_uri: str) -> Trial:
    """Train one member up to an epoch, or to its end at rung 0, unless that was done before.

    Args:
        prepared: folder of ``prepare_sweep``, with the features in ``features``.
        key: of the member.
        rung: epoch to stop after; 0 trains to the end.
        sweep_uri: folder for the results of all members: a path, ``file://`` or ``s3://``.
    """
    member = _members(prepared, [key])[0]
    with _results(sweep_uri, key, [rung]) as place:
        before = read_trial(place, result_stem(rung))
        state = _place_of(sweep_uri, key, "state")
        trial = run_member(prepared, member, rung, place, prepared / FEATURES, state)
        if before != trial:
            name = f"{result_stem(rung)}.json"
            put(place / name, _place_of(sweep_uri, key, name))
    log.info("%s: CER %s, WER %s on dev", member.name, trial.counts.cer, trial.counts.wer)
    return trial


def choose_members(
    prepared: Path, keys: Sequence[str], rung: int, sweep_uri: str, *, keep: float, choose_by: str
) -> list[str]:
    """Return the keys of the best-ranked members of those that have reached a rung."""
    reached = {key: _trial(sweep_uri, key, [rung]) for key in keys}
    remaining = survivors(_members(prepared, keys), reached, keep, choose_by)
    names = "; ".join(each.name for each in remaining)
    log.info("continuing with %d: %s", len(remaining), names)
    return [each.key for each in remaining]


def finish_sweep(
    prepared: Path,
    finished: Sequence[str],
    rungs: Sequence[int],
    sweep_uri: str,
    *,
    choose_by: str,
    checkpoint: Path,
    export: Path,
    leaderboard: Path,
    page: Path,
    report: Path | None = None,
) -> tuple[Leaderboard, EvaluationResult]:
    """Rank all members, and test and export the winner.

    Args:
        prepared: folder of ``prepare_sweep``.
        finished: keys of the members that were trained to their end.
        rungs: epochs after which the others were stopped.
        sweep_uri: see ``train_member``.
        choose_by: ``cer`` or ``wer``.
        checkpoint: folder for the winner.
        export: folder for its export.
        leaderboard: HTML file.
        page: HTML file for the test of the winner.
        report: Markdown file for the leaderboard.
    """
    plan = read_plan(prepared)
    steps = [*rungs, TO_THE_END]
    results = {each.key: _trial(sweep_uri, each.key, steps) for each in plan.members}
    corpus = plan.members[0].corpus
    board = make_leaderboard(corpus, plan.members, results, choose_by, finished)
    winner = next(each for each in plan.members if each.key == board.rows[0].key)
    splits = find_splits(str(prepared / "corpora" / corpus))
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
        # Its training is finished, so this only fetches the checkpoint.
        model = Path(folder) / MODEL
        train(
            [splits["train"]],
            [splits["dev"]],
            save_checkpoint_dir=model,
            run_state_uri=_place_of(sweep_uri, winner.key, "state"),
            feature_cache=prepared / FEATURES,
            **training_arguments(prepared, winner, TO_THE_END),
        )
        shutil.copytree(model, checkpoint, dirs_exist_ok=True)
    tested = test_and_export(prepared, winner, checkpoint, export, page)
    write_report(leaderboard, board.to_html())
    write_report(report, board.to_markdown())
    return board, tested


def _members(prepared: Path, keys: Sequence[str]) -> list[Member]:
    planned = {each.key: each for each in read_plan(prepared).members}
    if missing := [key for key in keys if key not in planned]:
        raise DataError(f"{prepared}: expected a training {missing[0]} in the plan, found none")
    return [planned[key] for key in keys]


def _place_of(sweep_uri: str, key: str, name: str) -> str:
    return f"{sweep_uri.rstrip('/')}/{MEMBERS}/{key}/{name}"


@contextmanager
def _results(sweep_uri: str, key: str, rungs: Sequence[int]) -> Iterator[Path]:
    """Yield a folder with a copy of a member's results so far."""
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
        for rung in rungs:
            name = f"{result_stem(rung)}.json"
            uri = _place_of(sweep_uri, key, name)
            try:
                check_readable(uri)
            except StorageError:
                # Not there yet; a store that fails is noticed when training asks for its state.
                continue
            with local_file(uri) as path:
                shutil.copyfile(path, Path(folder) / name)
        yield Path(folder)


def _trial(sweep_uri: str, key: str, rungs: Sequence[int]) -> Trial:
    with _results(sweep_uri, key, rungs) as place:
        return latest_result(place, rungs, _place_of(sweep_uri, key, ""))
