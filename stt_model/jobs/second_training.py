"""A second training with recordings without transcripts, kept only if the model becomes better.

A first model is trained as usual. The clips of which it is certain (see ``pseudo_labels``) are
added to the training split with its text, and a second model is trained from the same source on
both. It replaces the first only if it makes significantly fewer errors on the dev split.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import OtherRunError, TrainingError, atomic_write, build, read_json
from stt_model.checkpoint import replace_checkpoint
from stt_model.corpus import AUDIO_SUFFIXES, digest_source, find_audio, iter_utterances
from stt_model.jobs import startup
from stt_model.jobs.listening import Listener
from stt_model.jobs.pseudo_labels import (
    PseudoLabel,
    label_recordings,
    leave_out_known,
    measure_threshold,
    read_list,
    write_clips,
    write_list,
)
from stt_model.jobs.reports import given_file, write_report
from stt_model.jobs.starting_point import same_place
from stt_model.jobs.training import prepare_training
from stt_model.jobs.trials import MODEL, Counts, identify, test_model
from stt_model.storage import check_readable, fetch, is_remote, local_path, split_root
from stt_model.training import RUN_ID_VARIABLE

if TYPE_CHECKING:
    from stt_model.jobs.training import PreparedTraining
    from stt_model.training import TrainingResult

log = logging.getLogger(__name__)

FOLDER = "pseudo-labels"
LIST = "pseudo-labels.csv"
OUTCOME = "outcome.json"
FEWEST_DEV = 30
"""Dev clips below which no difference between two models is significant."""
FEWEST_LABELS = 10
"""Clips below which a second training is not worth its time."""


@dataclass(frozen=True)
class Outcome:
    """Which of the two models was kept, and why."""

    identity: str
    """Digest of everything that determines the outcome."""
    second_is_kept: bool
    summary: str
    """One sentence."""
    clips: int = 0
    """Clips that were added, of ``clips_found``."""
    hours: float = 0.0
    clips_found: int = 0
    uncertainty: float | None = None
    """Highest uncertainty of an added clip, in nats per character."""
    first: Counts | None = None
    """Errors on the dev split."""
    second: Counts | None = None

    def to_markdown(self) -> str:
        """Return a section of the training report."""
        lines = ["## Pseudo-labels", "", self.summary, ""]
        if self.clips_found:
            limit = "" if self.uncertainty is None else f", up to {self.uncertainty:.3g} nats"
            lines += [
                f"{self.clips} of {self.clips_found} clips taken ({self.hours:.2f} h){limit};"
                f" `{FOLDER}/{LIST}` lists them.",
                "",
            ]
        if self.first and self.second:
            lines += ["| dev split | WER | CER |", "| --- | ---: | ---: |"]
            for name, counts in (("first model", self.first), ("second model", self.second)):
                lines.append(f"| {name} | {counts.wer} | {counts.cer} |")
        return "\n".join(lines).rstrip() + "\n"


def train_with_unlabelled(
    train_files: Sequence[str | Path],
    dev_files: Sequence[str | Path],
    test_files: Sequence[str | Path] = (),
    *,
    save_checkpoint_dir: str | Path,
    unlabelled_uri: str,
    unlabelled_digest: str = "",
    run_state_uri: str = "",
    scorer_uri: str | Path = "",
    scorer_digest: str = "",
    report: Path | None = None,
    **settings: Any,
) -> tuple[TrainingResult, Outcome]:
    """Train, then train again with pseudo-labels of recordings without transcripts.

    Called again with the same arguments, it resumes. The added clips are listed in the folder
    ``pseudo-labels`` of the checkpoint; the report has a section about them.

    Args:
        train_files: manifests to train on.
        dev_files: manifests of at least 30 clips, on which the two models are compared.
        test_files: manifests whose clips are never trained on; see ``train`` too.
        save_checkpoint_dir: folder for the checkpoint of the better model.
        unlabelled_uri: recordings of any length: a folder, archive or file, as a path or URI.
        unlabelled_digest: digest of their content; by default it is computed.
        run_state_uri: see ``train``; the second training is kept beside the first.
        scorer_uri: language model for the texts, used with its own weights.
        scorer_digest: digest of its content; by default it is computed.
        report: where the report is written.
        settings: further arguments of ``train``.

    Raises:
        TrainingError: too few dev clips, or training in place.
        ScorerError: there is no such scorer, or it does not fit the model.
        BootstrapError: what ``train`` raises.
    """
    target = Path(save_checkpoint_dir)
    folder = target / FOLDER
    _check(dev_files, target, unlabelled_uri, run_state_uri, settings)
    prepared = prepare_training(
        train_files,
        dev_files,
        test_files=test_files,
        save_checkpoint_dir=target,
        run_state_uri=run_state_uri,
        scorer_uri=scorer_uri,
        report=report,
        **settings,
    )
    digest = unlabelled_digest or digest_source(unlabelled_uri)
    scorer_digest = scorer_digest or digest_source(str(scorer_uri))
    decoding = {"scorer": scorer_digest, "vocab_file": settings.get("vocab_file")}
    identity = hashlib.sha256(
        f"{identify(prepared, settings, decoding)} {digest}".encode()
    ).hexdigest()
    work = _Work(prepared, folder, identity, run_state_uri, scorer_uri, scorer_digest, settings)
    outcome = work.read_outcome()
    with _recordings(unlabelled_uri) as (recordings, root):
        result = None
        if outcome is None or not outcome.second_is_kept:
            result = prepared.run()
        if outcome is None:
            outcome = work.compare(recordings, root)
        if outcome.second_is_kept:
            work.note_lineage(outcome, digest)
            replace_checkpoint(folder / MODEL, target)
            result = work.second(recordings, root, target)
    assert result is not None
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    write_report(report, f"{result.to_markdown()}\n{outcome.to_markdown()}")
    log.info("pseudo-labels: %s", outcome.summary)
    return result, outcome


@dataclass(frozen=True)
class _Work:
    """Both trainings, and the labelling between them."""

    prepared: PreparedTraining
    folder: Path
    identity: str
    run_state_uri: str
    scorer_uri: str | Path
    scorer_digest: str
    settings: dict[str, Any]

    def read_outcome(self) -> Outcome | None:
        """Return the outcome of an earlier call with the same arguments; None if unfinished."""
        path = self.folder / OUTCOME
        try:
            found = build(Outcome, read_json(path))
        except (OSError, ValueError, TypeError):
            return None
        return found if found.identity == self.identity else None

    def compare(self, recordings: Sequence[Path], root: Path) -> Outcome:
        """Label, train the second model, and choose; the outcome is written."""
        startup.start_tensorflow()
        outcome, labels = self._label(recordings, root)
        if labels:
            second = self.second(recordings, root, self.folder / MODEL)
            log.info("pseudo-labels: comparing on the dev split")
            dev_files = self.prepared.config.dev_files
            first_errors = test_model(self.prepared.config.save_checkpoint_dir, dev_files)
            second_errors = test_model(second.checkpoint_dir, dev_files)
            outcome = choose(outcome, first_errors, second_errors)
        with atomic_write(self.folder / OUTCOME) as beside:
            beside.write_text(json.dumps(asdict(outcome)) + "\n", encoding="utf-8")
        return outcome

    def note_lineage(self, outcome: Outcome, digest: str) -> None:
        """Add the second model's further training data to its lineage."""
        path = self.folder / MODEL / "lineage.json"
        if not path.is_file():
            return
        added = {
            "unlabelled_digest": digest,
            "clips": outcome.clips,
            "hours": round(outcome.hours, 4),
            "uncertainty": outcome.uncertainty,
            "scorer_digest": self.scorer_digest,
        }
        lineage = {**read_json(path), "pseudo_labels": added}
        with atomic_write(path) as beside:
            text = json.dumps(lineage, indent=2, ensure_ascii=False)
            beside.write_text(f"{text}\n", encoding="utf-8")

    def _label(self, recordings: Sequence[Path], root: Path) -> tuple[Outcome, list[PseudoLabel]]:
        """Write the list of clips that are added; none if they are too few to train on."""
        config = self.prepared.config
        manifests = [*config.train_files, *config.dev_files, *self.prepared.test_files]
        with given_file(str(self.scorer_uri)) as scorer:
            # Without a scorer the best label of each frame, which is all that can be calibrated
            # at the speed of the network.
            width = 0 if scorer else 1
            words = self.settings.get("vocab_file")
            listener = Listener(
                config.save_checkpoint_dir, scorer, beam_width=width, vocab_file=words
            )
            threshold = measure_threshold(listener, config.dev_files)
            if threshold is None:
                reason = "the model is not right about enough dev clips to tell when it is sure"
                return Outcome(self.identity, False, f"First model kept: {reason}."), []
            new = leave_out_known(recordings, manifests)
            labels, clips = label_recordings(listener, new, root, threshold)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_list(labels, self.folder / LIST)
        outcome = Outcome(
            self.identity,
            False,
            f"First model kept: it is sure of {len(labels)} of {clips} clips, and"
            f" {FEWEST_LABELS} are the least to train again with.",
            clips=len(labels),
            hours=sum(each.end - each.start for each in labels) / 3600,
            clips_found=clips,
            uncertainty=threshold.uncertainty,
        )
        return outcome, labels if len(labels) >= FEWEST_LABELS else []

    def second(self, recordings: Sequence[Path], root: Path, target: Path) -> TrainingResult:
        """Train the second model in ``target``; one that is finished is only read."""
        config = self.prepared.config
        labels = read_list(self.folder / LIST)
        with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as scratch:
            added = write_clips(labels, recordings, root, Path(scratch))

            def train(**further: Any) -> TrainingResult:
                return prepare_training(
                    [*config.train_files, added],
                    config.dev_files,
                    test_files=self.prepared.test_files,
                    save_checkpoint_dir=target,
                    run_state_uri=_second_state(self.run_state_uri),
                    **{**self.settings, **further},
                ).run()

            try:
                return train()
            except OtherRunError as error:
                # Another machine may hear a text differently, and then other clips are added.
                log.warning("pseudo-labels: the second training starts anew: %s", error)
                return train(restart=True)


def choose(outcome: Outcome, first: Counts, second: Counts) -> Outcome:
    """Return the outcome with the errors of both models, and the one that is kept.

    The second is kept if it makes fewer wrong characters, by the matched-pairs test at 5 %, and no
    more wrong words.
    """
    from stt_model.evaluation import compare_rates

    difference = compare_rates(second.character_errors, first.character_errors, first.characters)
    is_better = difference.is_significant and difference.value < 0
    more_words = sum(second.word_errors) > sum(first.word_errors)
    if is_better and not more_words:
        kept = "Second model kept, which was trained with pseudo-labels too"
    elif is_better:
        kept = "First model kept, since the second has more words wrong"
    else:
        kept = "First model kept, since the second is not significantly better"
    return replace(
        outcome,
        second_is_kept=is_better and not more_words,
        summary=f"{kept}: dev CER {difference}.",
        first=first,
        second=second,
    )


def _check(
    dev_files: Sequence[str | Path],
    target: Path,
    unlabelled_uri: str,
    run_state_uri: str,
    settings: dict[str, Any],
) -> None:
    """Refuse arguments that cannot work, before training."""
    if os.environ.get("TF_CONFIG"):
        raise TrainingError("--unlabelled_uri: expected training on one node, found several")
    clips = sum(1 for path in dev_files for _ in iter_utterances(Path(path)))
    if clips < FEWEST_DEV:
        raise TrainingError(
            f"--unlabelled_uri: expected {FEWEST_DEV} clips or more in the dev split, to tell which"
            f" of two models is better, found {clips}; make it larger, or leave the flag out"
        )
    source = settings.get("load_checkpoint_dir")
    if settings.get("load_train") != "init" and (not source or same_place(Path(source), target)):
        raise TrainingError(
            f"{target}: --unlabelled_uri trains twice from the same source, which the first would"
            " change; give --save_checkpoint_dir another folder than --load_checkpoint_dir"
        )
    _second_state(run_state_uri)
    check_readable(unlabelled_uri)
    if _is_folder_or_audio(unlabelled_uri):
        find_audio([local_path(unlabelled_uri)])


def _second_state(uri: str) -> str:
    """Return the folder for the second training's state: not below the first's, which is tidied."""
    if not uri:
        return ""
    if os.environ.get(RUN_ID_VARIABLE):
        return f"{uri.rstrip('/')}/{FOLDER}"
    if is_remote(uri) and not split_root(uri)[1].strip("/"):
        raise TrainingError(f"{uri}: expected a folder for this run alone, found a whole bucket")
    return f"{uri.rstrip('/')}-{FOLDER}"


@contextmanager
def _recordings(uri: str) -> Iterator[tuple[list[Path], Path]]:
    """Yield all recordings behind a URI, and the folder that they are in."""
    if _is_folder_or_audio(uri):
        path = local_path(uri).absolute()
        yield find_audio([path]), path if path.is_dir() else path.parent
        return
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as scratch:
        folder = Path(scratch) / "unlabelled"
        fetch(uri, folder)
        yield find_audio([folder]), folder


def _is_folder_or_audio(uri: str) -> bool:
    """Tell a local folder or recording from what has to be fetched or unpacked."""
    if is_remote(uri):
        return False
    path = local_path(uri)
    return path.is_dir() or path.suffix.lower() in AUDIO_SUFFIXES
