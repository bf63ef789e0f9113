"""The jobs of a sweep: train its members in rungs, rank them, take the winner.

Successive halving by epochs (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and
Hyperparameter Optimization", 2016): all members train for a few epochs, the best-ranked of them
for some more, and the best-ranked of these to the end. Each resumes where it stopped, so that
nothing is trained twice. A member's result is a file below ``members/KEY``, where KEY is the digest
of everything that determines it: a restarted sweep reads the result there.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import check_output, check_parameters
from stt_model.base.errors import DataError
from stt_model.checkpoint import open_checkpoint
from stt_model.corpus import find_splits
from stt_model.jobs import startup
from stt_model.jobs.checkpoints import read_model_alphabet
from stt_model.jobs.data import check_destinations
from stt_model.jobs.evaluation import evaluate, test_split
from stt_model.jobs.exporting import export_model
from stt_model.jobs.settings import SweepSettings
from stt_model.jobs.sweep_plan import Member, SweepPlan, alphabet_of, prepare_sweep, read_rungs
from stt_model.jobs.trials import MODEL, Trial, read_trial, run_trial
from stt_model.training import TrainingConfig

if TYPE_CHECKING:
    from stt_model.evaluation import EvaluationResult, Leaderboard

log = logging.getLogger(__name__)

FEATURES = "features"
MEMBERS = "members"
TO_THE_END = 0
"""Stands for the last rung, at which training ends by itself."""


@dataclass(frozen=True)
class Sweep:
    """The outcome of a sweep on one corpus."""

    corpus: str
    leaderboard: Leaderboard
    winner: Member
    model: Path
    """The winner's checkpoint."""
    tested: EvaluationResult
    """The winner on the test split."""
    export: Path


def sweep(
    dataset_uris: Sequence[str],
    checkpoint_uris: Sequence[str],
    output: str | Path,
    *,
    drop_depths: str = SweepSettings.drop_depths,
    learning_rates: str = SweepSettings.learning_rates,
    rungs: str = SweepSettings.rungs,
    keep: float = SweepSettings.keep,
    choose_by: str = SweepSettings.choose_by,
    normalise: str = "",
    strict: bool = False,
    **settings: Any,
) -> list[Sweep]:
    """Train all sources, depths and rates on each dataset, rank them, test and export the winner.

    Datasets are validated, sources fetched and features computed once. A restarted sweep with the
    same folder repeats nothing that was finished.

    Args:
        dataset_uris: folders with train.csv, dev.csv and test.csv.
        checkpoint_uris: checkpoints, archives of them, or deployed models.
        output: folder for all results: ``leaderboard-CORPUS.html`` and ``.md``, ``winner/CORPUS``
            with ``export`` and ``report.html``.
        drop_depths: numbers of layers to replace; 0 fine-tunes.
        learning_rates: auto and numbers.
        rungs: epochs after which only the best-ranked members continue.
        keep: share of the members that continue.
        choose_by: ``cer`` or ``wer`` of the dev split.
        normalise: see ``validate``.
        strict: see ``validate``.
        settings: fields of ``TrainingConfig``, applied to every member.

    Raises:
        BootstrapError: a dataset or a source cannot be used, or a training fails.
    """
    folder = Path(output).resolve()
    check_output(folder, is_folder=True)
    check_parameters(SweepSettings(drop_depths, learning_rates, rungs, keep, choose_by), DataError)
    steps = [*read_rungs(rungs), TO_THE_END]
    plan = prepare_members(
        dataset_uris,
        checkpoint_uris,
        folder,
        drop_depths=drop_depths,
        learning_rates=learning_rates,
        normalise=normalise,
        strict=strict,
        **settings,
    )
    corpora = dict.fromkeys(each.corpus for each in plan.members)
    return [_sweep_one(folder, plan, corpus, steps, keep, choose_by) for corpus in corpora]


def _sweep_one(
    folder: Path, plan: SweepPlan, corpus: str, steps: Sequence[int], keep: float, choose_by: str
) -> Sweep:
    members = [each for each in plan.members if each.corpus == corpus]
    remaining = members
    for step in steps:
        reached: dict[str, Trial] = {}
        for number, member in enumerate(remaining, 1):
            until = f"to epoch {step}" if step else "to the end"
            log.info("%d of %d %s: %s", number, len(remaining), until, member.name)
            place = folder / MEMBERS / member.key
            reached[member.key] = run_member(folder, member, step, place, folder / FEATURES)
        if step:
            # Ranked at this rung, even if an earlier run trained some members further.
            remaining = survivors(remaining, reached, keep, choose_by)
            names = "; ".join(each.name for each in remaining)
            log.info("continuing with %d: %s", len(remaining), names)
    results = {each.key: latest_result(folder / MEMBERS / each.key, steps) for each in members}
    finished = {each.key for each in remaining}
    board = make_leaderboard(corpus, members, results, choose_by, finished)
    board.write(folder / f"leaderboard-{corpus}.html", folder / f"leaderboard-{corpus}.md")
    winner = next(each for each in members if each.key == board.rows[0].key)
    log.info("the winner is %s", winner.name)
    return _finish(folder, corpus, board, winner)


def prepare_members(
    dataset_uris: Sequence[str],
    checkpoint_uris: Sequence[str],
    folder: Path,
    *,
    sweep_uri: str = "",
    **options: Any,
) -> SweepPlan:
    """Call ``prepare_sweep``, and compute the features of all clips for all members.

    ``sweep_uri`` is where their results will go; StorageError if it cannot be written to.
    """
    check_destinations(sweep_uri=sweep_uri)
    plan = prepare_sweep(dataset_uris, checkpoint_uris, folder, **options)
    make_features(folder, plan, folder / FEATURES)
    return plan


def make_features(folder: Path, plan: SweepPlan, cache: Path) -> int:
    """Compute the features of all train and dev clips once, for all members; return how many."""
    startup.start_tensorflow()
    from stt_model.corpus import read_samples
    from stt_model.features import FeatureStore, open_cache

    made = 0
    for member in {(each.corpus, each.source): each for each in plan.members}.values():
        checkpoint = open_checkpoint(folder / "sources" / member.source)
        splits = find_splits(str(folder / "corpora" / member.corpus))
        manifests = [splits["train"], splits["dev"]]
        samples = read_samples(manifests, _alphabet(folder, member), checkpoint.audio)
        gib = TrainingConfig.feature_cache_size
        store = FeatureStore(samples, cache=open_cache(cache, gib, checkpoint.audio))
        for row in range(len(samples)):
            store[row]
        made += len(samples)
    return made


def run_member(
    folder: Path,
    member: Member,
    rung: int,
    place: Path,
    cache: Path | None,
    run_state_uri: str = "",
) -> Trial:
    """Train a member up to an epoch, or to its end, and measure it on the dev split.

    Args:
        folder: of the prepared sweep.
        member: what to train.
        rung: the epoch, or ``TO_THE_END``.
        place: folder of this member alone, where its training resumes.
        cache: folder with the features.
        run_state_uri: folder for the state of its training, if not ``place``.
    """
    splits = find_splits(str(folder / "corpora" / member.corpus))
    return run_trial(
        place,
        [splits["train"]],
        [splits["dev"]],
        [splits["dev"]],
        name=result_stem(rung),
        keep_model=True,
        feature_cache=cache,
        run_state_uri=run_state_uri,
        **training_arguments(folder, member, rung),
    )


def training_arguments(folder: Path, member: Member, rung: int) -> dict[str, Any]:
    """Return the arguments of ``train`` for a member, except the splits and folders."""
    settings = dict(member.settings)
    if rung:
        settings["epochs"] = min(rung, settings["epochs"])
    return {
        "load_checkpoint_dir": folder / "sources" / member.source,
        "alphabet": _alphabet(folder, member),
        "drop_source_layers": member.drop_source_layers,
        "show_progressbar": False,
        **settings,
    }


def latest_result(place: Path, steps: Sequence[int], label: str = "") -> Trial:
    """Return a member's result at the last rung that it reached.

    ``label`` is what messages call the place, if it is a copy.
    """
    found = [trial for step in steps if (trial := read_trial(place, result_stem(step)))]
    if not found:
        raise DataError(f"{label or place}: expected the result of a training, found none")
    return found[-1]


def survivors(
    members: Sequence[Member], results: Mapping[str, Trial], keep: float, choose_by: str
) -> list[Member]:
    """Return the share ``keep`` of the members that ranks best, the best first."""
    ranked = sorted(members, key=lambda each: (_rate(results[each.key], choose_by), each.key))
    return ranked[: max(1, math.ceil(keep * len(ranked)))]


def make_leaderboard(
    corpus: str,
    members: Sequence[Member],
    results: Mapping[str, Trial],
    choose_by: str,
    finished: Container[str],
) -> Leaderboard:
    """Rank the members; ``finished`` has the keys of those that were trained to the end."""
    from stt_model.evaluation import Candidate, rank_candidates

    candidates = [
        Candidate(
            key=each.key,
            source=each.source,
            depth=each.drop_source_layers,
            rate=each.learning_rate,
            rate_given=each.rate_given,
            epochs=trial.epochs,
            best_epoch=trial.best_epoch,
            seconds=trial.seconds,
            finished=each.key in finished,
            **vars(trial.counts),
        )
        for each in members
        for trial in [results[each.key]]
    ]
    return rank_candidates(corpus, candidates, choose_by)


def _finish(folder: Path, corpus: str, board: Leaderboard, winner: Member) -> Sweep:
    model = folder / MEMBERS / winner.key / MODEL
    place = folder / "winner" / corpus
    place.mkdir(parents=True, exist_ok=True)
    export, page = place / "export", place / "report.html"
    tested = test_and_export(folder, winner, model, export, page, place / "report.md")
    return Sweep(corpus, board, winner, model, tested, export)


def test_and_export(
    folder: Path, winner: Member, model: Path, export: Path, page: Path, report: Path | None = None
) -> EvaluationResult:
    """Test the winner on the test split, which had no part in choosing it, and export it.

    Args:
        folder: of the prepared sweep.
        winner: the member with the best rate.
        model: its checkpoint.
        export: folder for the export; one that is there already is kept.
        page: HTML file on the test.
        report: Markdown file on the test.
    """
    tests, note = test_split(find_splits(str(folder / "corpora" / winner.corpus)))
    tested = evaluate(
        tests,
        model,
        source_checkpoint_dir=folder / "sources" / winner.source,
        html_report=page,
        report=report,
        note=note,
        dataset=winner.corpus,
        show_progressbar=False,
    )
    if not (export / "output_graph.tflite").is_file():
        export_model(model, export, test_files=tests)
    return tested


def _alphabet(folder: Path, member: Member) -> Any:
    place = alphabet_of(folder, member.corpus, member.source, member.drop_source_layers)
    return read_model_alphabet(place)


def result_stem(rung: int) -> str:
    """Return the name, without suffix, of the file with a member's result at a rung."""
    return f"epoch-{rung}" if rung else "end"


def _rate(trial: Trial, choose_by: str) -> float:
    return (trial.counts.cer if choose_by == "cer" else trial.counts.wer).value
