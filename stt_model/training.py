"""Training on every device of this machine: the best and the last checkpoint, and going on.

A run that was killed goes on where it was last saved, and ends with the weights that it would have
ended with.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from stt_model.augmentation import Augmenter, parse_augmentations
from stt_model.augmented_features import augment_epoch
from stt_model.batches import (
    Batch,
    BatchPlan,
    batch_dataset,
    failures_of,
    padding_share,
    plan_batches,
)
from stt_model.checkpoint import (
    Checkpoint,
    check_save_directory,
    open_checkpoint,
    read_moments,
    read_weights,
    remove_leftovers,
    state_path,
    weights_digest,
    write_checkpoint,
)
from stt_model.dataset import drop_too_short, read_samples
from stt_model.errors import StoppedError, TrainingError
from stt_model.feature_store import Features, FeatureStore, open_cache
from stt_model.learner import Learner, describe_devices, training_strategy
from stt_model.lineage import describe_run
from stt_model.progress import Progress
from stt_model.summaries import Summaries
from stt_model.training_config import TrainingConfig
from stt_model.training_report import TrainingResult, best_of, write_history
from stt_model.training_state import Epoch, RunState, Totals, find_run, read_state

__all__ = ["Epoch", "TrainingConfig", "TrainingResult", "train"]

log = logging.getLogger(__name__)


def train(config: TrainingConfig, after_save: Callable[[], None] = lambda: None) -> TrainingResult:
    """Train all weights of a checkpoint, and leave the best and the last in Coqui's layout.

    The checkpoint is measured on the dev set before the first step, so the best can be the source
    itself. The optimizer starts afresh, with the learning rate that was asked for. The checkpoint
    that it starts from stays, also where the new ones go into the same directory.

    Where ``save_checkpoint_dir`` holds a run with the same settings, it goes on, and
    ``load_checkpoint_dir`` is not read; one that has ended is left as it is.

    Args:
        config: what to train, on what, and how.
        after_save: called whenever the run could go on from what lies in ``save_checkpoint_dir``.

    Raises:
        BootstrapError: if the checkpoint, the manifests or the numbers cannot be used, or losses
            are not finite.
        StoppedError: SIGTERM came; the state is saved.
    """
    config.check()
    run = None if config.restart else find_run(config.save_checkpoint_dir)
    if run:
        start, state = run
        state.check_same(config.identity(), config.save_checkpoint_dir)
        remove_leftovers(config.save_checkpoint_dir, state.found)
    else:
        start = open_checkpoint(
            config.load_checkpoint_dir, which=config.load_train, alphabet=config.alphabet
        )
        check_save_directory(config.save_checkpoint_dir, start.geometry, start.alphabet)
        state = None
    if config.freeze_source_epochs:
        _check_new_layers(start, state.source["lineage"] if state else start.lineage)
    return _Trainer(config, start, state, after_save).run()


def _check_new_layers(start: Checkpoint, lineage: Mapping[str, Any] | None) -> None:
    made = lineage or {}
    if not (made.get("dropped_layers") and made.get("kept_layers")):
        raise TrainingError(
            f"{start.prefix}: --freeze_source_epochs trains new layers beside those of a source,"
            " but this checkpoint was not made by replacing layers; replace some with"
            " --drop_source_layers, or leave --freeze_source_epochs out"
        )


class _Trainer:
    """One run: the data, the loops over it, and when to save."""

    def __init__(
        self,
        config: TrainingConfig,
        source: Checkpoint,
        state: RunState | None,
        after_save: Callable[[], None],
    ) -> None:
        self.config = config
        self.source = source
        self.directory = Path(config.save_checkpoint_dir)
        self.after_save = after_save
        self.feature_cache = open_cache(config.feature_cache, config.feature_cache_size)
        self.train_store = self._store(config.train_files)
        self.dev_store = self._store(config.dev_files) if config.dev_files else None
        self.augmenter = Augmenter(parse_augmentations(config.augment), config.random_seed)
        self.learner = Learner(source.geometry, config, training_strategy())
        weights = read_weights(source)
        self.learner.load_weights(weights)
        self.resumed = state is not None
        self.state = state or RunState(
            identity=config.identity(),
            source={
                "name": source.prefix.name,
                "digest": weights_digest(weights),
                "lineage": source.lineage,
            },
            found=[path.stem for path in self.directory.glob("*.index")],
            step=source.step,
            learning_rate=config.learning_rate,
            random_state=self.learner.random_state(),
        )
        if state is not None:
            moments = read_moments(source) if state.iterations else None
            self.learner.load_moments(moments, state.iterations)
            self.learner.load_random_state(state.random_state)
            self.learner.loss_scale = state.loss_scale
            self.learner.set_learning_rate(state.learning_rate)
        if self.state.epoch <= config.freeze_source_epochs:
            self.learner.train_only(self.state.source["lineage"]["dropped_layers"])
        self.summaries = Summaries(config.summary_dir or self.directory / "summaries")
        self.stop = threading.Event()
        self.saved = time.monotonic()

    def _store(self, manifests: Sequence[Path]) -> FeatureStore:
        samples = drop_too_short(read_samples(manifests, self.source.alphabet))
        return FeatureStore(samples, cache=self.feature_cache)

    @property
    def is_over(self) -> bool:
        return self.state.stopped_early or self.state.epoch > self.config.epochs

    def run(self) -> TrainingResult:
        self._announce()
        with _termination_noted(self.stop):
            if not self.resumed:
                # Shows before the first step that the directory can be written to.
                self._save("last")
            if self.dev_store and not self.state.history:
                self._measure_source(self.dev_store)
            while not self.is_over:
                self._run_epoch()
        return self._result()

    def _announce(self) -> None:
        result = self._result()
        samples, batch_size = self.train_store.samples, self.config.train_batch_size
        log.info(
            "training %s parameters on %d utterances (%.2f h); %s; batch %d, %.0f %% padding",
            f"{result.parameters:,}",
            result.train_utterances,
            result.train_hours,
            result.devices,
            batch_size,
            100 * padding_share(samples, self._plan(self.train_store, batch_size, None)),
        )
        if self.state.epoch <= self.config.freeze_source_epochs:
            log.info(
                "up to epoch %d only the new layers are trained: %s",
                self.config.freeze_source_epochs,
                ", ".join(self.state.source["lineage"]["dropped_layers"]),
            )
        if self.config.augment:
            log.info("augmenting the training set: %s", self.config.augment)
        if self.resumed and self.is_over:
            log.info(
                "%s: this run is finished, nothing to do; for more, give a larger --epochs, another"
                " --save_checkpoint_dir, or --restart true",
                self.directory,
            )
        elif self.resumed:
            log.info(
                "%s: going on with the run that it holds, in epoch %d after batch %d",
                self.directory,
                self.state.epoch,
                self.state.totals.batches,
            )

    def _result(self) -> TrainingResult:
        seconds = float(self.train_store.samples.seconds.sum())
        return TrainingResult(
            checkpoint_dir=self.directory,
            devices=describe_devices(self.learner.strategy),
            parameters=self.learner.model.count_params(),
            train_utterances=len(self.train_store.samples),
            train_hours=seconds / 3600,
            config=self.config,
            epochs=self.state.history,
            stopped_early=self.state.stopped_early,
        )

    # Epochs

    def _measure_source(self, store: FeatureStore) -> None:
        started = time.monotonic()
        loss = self._dev_loss(store)
        seconds = time.monotonic() - started
        self.state.record.add(0, loss, self.config.es_min_delta)
        speed = float(store.samples.seconds.sum()) / seconds
        rate = self.state.learning_rate
        self.state.history.append(Epoch(0, None, loss, rate, seconds, speed, True))
        self.summaries.add("dev", self.state.step, loss=loss)
        log.info("epoch 0: dev loss %.3f, the source as it is", loss)
        if not self._source_is_best_there():
            self._save("best")

    def _run_epoch(self) -> None:
        state = self.state
        frozen = self.config.freeze_source_epochs
        if frozen and state.epoch == frozen + 1 and not state.totals.batches:
            self.learner.train_all()
            log.info("epoch %d: training all layers from now on", state.epoch)
        # The shortest first, once: early gradients of long utterances are the wildest.
        shuffle_seed = None if state.epoch == 1 else self.config.random_seed + state.epoch
        batches = self._plan(self.train_store, self.config.train_batch_size, shuffle_seed)
        self._train_on(batches)
        totals = state.totals
        if not totals.utterances:
            raise TrainingError(
                f"epoch {state.epoch}: no step gave a finite loss; use a lower --learning_rate"
            )
        dev_loss = self._dev_loss(self.dev_store) if self.dev_store else None
        best = dev_loss is not None and state.record.add(
            state.epoch, dev_loss, self.config.es_min_delta
        )
        epoch = Epoch(
            number=state.epoch,
            train_loss=totals.loss / totals.utterances,
            dev_loss=dev_loss,
            learning_rate=state.learning_rate,
            seconds=totals.seconds,
            audio_seconds_per_second=totals.audio_seconds / totals.seconds,
            best=best,
        )
        _log_epoch(epoch)
        if dev_loss is not None:
            self.summaries.add("dev", state.step, loss=dev_loss)
        self.summaries.add("train", state.step, audio_s_per_s=epoch.audio_seconds_per_second)
        self._finish_epoch(epoch)

    def _finish_epoch(self, epoch: Epoch) -> None:
        """Enter an epoch into the state, with what follows from its dev loss, and save."""
        state = self.state
        state.history.append(epoch)
        state.epoch, state.totals = epoch.number + 1, Totals()
        if epoch.best:
            self._save("best")
        if state.record.is_over(self.config):
            state.stopped_early = True
            log.info("no improvement in %d epochs: stopping early", self.config.es_epochs)
        elif state.record.is_plateau(self.config):
            self._return_to_best()
        self._save("last")

    def _return_to_best(self) -> None:
        """Go back to this run's best weights with a lower learning rate."""
        best = open_checkpoint(self.directory, "best", self.source.alphabet)
        self.learner.load_weights(read_weights(best))
        # The best can be the source, whose moments, if it has any, are not this run's, or be from
        # when some layers were frozen, which have no moments then.
        frozen = self.config.freeze_source_epochs
        trained = self.state.record.best_epoch > (frozen if self.state.epoch > frozen + 1 else 0)
        iterations = read_state(state_path(best.prefix)).iterations if trained else 0
        self.learner.load_moments(read_moments(best) if iterations else None, iterations)
        self.state.learning_rate *= self.config.plateau_reduction
        self.learner.set_learning_rate(self.state.learning_rate)
        log.info(
            "no improvement in %d epochs: back to epoch %d, learning rate %g",
            self.state.record.epochs_without_improvement,
            self.state.record.best_epoch,
            self.state.learning_rate,
        )

    # Passes

    def _plan(self, store: FeatureStore, batch_size: int, shuffle_seed: int | None) -> BatchPlan:
        return plan_batches(
            store.samples,
            batch_size,
            replicas=self.learner.strategy.num_replicas_in_sync,
            shuffle_seed=shuffle_seed,
        )

    def _train_on(self, batches: Sequence[Batch]) -> None:
        """Train on what is left of an epoch's batches."""
        totals, store = self.state.totals, self.train_store
        description, features_of = f"epoch {self.state.epoch}", self._augmented(batches)
        with self._batches(store, batches, description, totals.batches, features_of) as (
            remaining,
            progress,
        ):
            started = time.monotonic()
            for batch, arrays in remaining:
                losses, applied = self.learner.train_step(arrays)
                totals.batches += 1
                if applied:
                    self._count(batch, losses)
                else:
                    self._skip(batch, losses)
                totals.seconds += time.monotonic() - started
                loss = totals.loss / max(totals.utterances, 1)
                progress.update(*_amount(store, batch), f"loss {loss:.3f}")
                self._save_if_due()
                started = time.monotonic()

    def _augmented(self, batches: Sequence[Batch]) -> Callable[[int], Features] | None:
        if not self.augmenter.augmentations:
            return None
        epoch, epochs = self.state.epoch, self.config.epochs
        store = self.train_store
        return augment_epoch(store, self.augmenter, batches, epoch=epoch, epochs=epochs).__getitem__

    def _count(self, batch: Batch, losses: Any) -> None:
        totals = self.state.totals
        loss = float(np.sum(losses * np.array(batch.weights)))
        totals.loss += loss
        utterances, seconds = _amount(self.train_store, batch)
        totals.utterances += utterances
        totals.audio_seconds += seconds
        self.state.step += 1
        self.state.skipped_in_a_row = 0
        rate = self.state.learning_rate
        self.summaries.add("train", self.state.step, loss=loss / utterances, learning_rate=rate)

    def _skip(self, batch: Batch, losses: Any) -> None:
        self.state.skipped_in_a_row += 1
        skipped = self.state.skipped_in_a_row
        problem = _not_finite(self.train_store, batch, losses) or (
            "the gradient is not finite: " + _names(self.train_store, batch.rows)
        )
        where = f"epoch {self.state.epoch}, batch {self.state.totals.batches}"
        if skipped >= self.config.max_non_finite_steps:
            raise TrainingError(
                f"{where}: {problem}; {skipped} such steps in a row; take them out of the manifest"
                " or use a lower --learning_rate"
            )
        log.warning("%s: %s; the step is left out", where, problem)

    def _dev_loss(self, store: FeatureStore) -> float:
        """Return the mean loss of an utterance."""
        total, count = 0.0, 0
        batches = self._plan(store, self.config.dev_batch_size, None)
        with self._batches(store, batches, "dev") as (elements, progress):
            for batch, arrays in elements:
                losses = self.learner.losses(arrays)
                if problem := _not_finite(store, batch, losses):
                    raise TrainingError(f"dev set: {problem}; {self._dev_advice()}")
                total += float(np.sum(losses * np.array(batch.weights)))
                utterances, seconds = _amount(store, batch)
                count += utterances
                progress.update(utterances, seconds, f"loss {total / count:.3f}")
                self._save_if_due()
        return total / count

    def _dev_advice(self) -> str:
        if not self.state.history:
            return "take them out of the manifest"
        # It was finite when the source was measured.
        return (
            "training has run away, and what was saved before stays; use a lower --learning_rate"
            " or --clip_norm, and --restart true"
        )

    @contextmanager
    def _batches(
        self,
        store: FeatureStore,
        batches: Sequence[Batch],
        description: str,
        done: int = 0,
        features_of: Callable[[int], Features] | None = None,
    ) -> Iterator[tuple[Iterator[tuple[Batch, Any]], Progress]]:
        """Yield the batches after the first ``done`` with their arrays, and a progress bar."""
        dataset = batch_dataset(store, batches[done:], features_of)
        utterances = [_amount(store, batch)[0] for batch in batches]
        progress = Progress(
            description,
            sum(utterances),
            done=sum(utterances[:done]),
            shown=self.config.show_progressbar,
        )
        with failures_of(store), progress:
            yield zip(batches[done:], dataset, strict=True), progress

    # Saving

    def _save_if_due(self) -> None:
        interval = self.config.checkpoint_secs
        if self.stop.is_set():
            self._save("last")
            raise StoppedError(
                f"{self.directory}: stopped by SIGTERM in epoch {self.state.epoch} after batch"
                f" {self.state.totals.batches} and saved; start again with the same arguments to"
                " go on"
            )
        if interval and time.monotonic() - self.saved >= interval:
            self._save("last")

    def _save(self, which: str) -> None:
        self.state.iterations = self.learner.iterations
        self.state.random_state = self.learner.random_state()
        self.state.loss_scale = self.learner.loss_scale
        write_checkpoint(
            self.directory,
            self.learner.weights(),
            self.source.alphabet,
            which=which,
            step=self.state.step,
            learning_rate=self.state.learning_rate,
            adam=self.learner.moments(),
            beta_powers=self.learner.beta_powers(),
            flags={"epochs": self.config.epochs, **self.config.settings()},
            lineage=self._lineage(),
            training_state=self.state.to_json(),
            keep=[self.directory / name for name in self._kept()],
        )
        if which == "last":
            if self.state.history:
                self._write_history()
            self.after_save()
            self.saved = time.monotonic()

    def _kept(self) -> list[str]:
        """Return the source's name, where it lies in the same directory."""
        name = self.state.source["name"]
        return [name] if name in self.state.found else []

    def _source_is_best_there(self) -> bool:
        """Return whether the directory's best checkpoint is the source itself."""
        if not self._kept() or not (self.directory / "best_dev_checkpoint").is_file():
            return False
        best = open_checkpoint(self.directory, "best", self.source.alphabet)
        return best.prefix.name == self.state.source["name"]

    def _write_history(self) -> None:
        try:
            write_history(self.directory, self.state.history)
        except OSError as error:
            raise TrainingError(
                f"{self.directory}: cannot write the history: {error.strerror}"
            ) from error

    def _lineage(self) -> dict[str, Any]:
        epochs = self.state.history
        figures = {"best": asdict(best_of(epochs)), "last": asdict(epochs[-1])} if epochs else {}
        return {
            "step": "training",
            **figures,
            "history": [asdict(epoch) for epoch in epochs],
            "settings": {"epochs": self.config.epochs, **self.config.settings()},
            "train_digest": self.state.identity["train_files"],
            "source": self.state.source,
            **describe_run(),
        }


def _log_epoch(epoch: Epoch) -> None:
    log.info(
        "epoch %d: train loss %.3f%s, %.0f s of audio a second%s",
        epoch.number,
        epoch.train_loss,
        "" if epoch.dev_loss is None else f", dev loss {epoch.dev_loss:.3f}",
        epoch.audio_seconds_per_second,
        ", new best" if epoch.best else "",
    )


def _amount(store: FeatureStore, batch: Batch) -> tuple[int, float]:
    """Return the utterances of a batch, and the seconds of audio in them."""
    rows = [row for row, weight in zip(batch.rows, batch.weights, strict=True) if weight]
    return len(rows), float(store.samples.seconds[rows].sum())


def _not_finite(store: FeatureStore, batch: Batch, losses: Any) -> str:
    """Return which utterances of a batch have no finite loss; nothing if all have."""
    rows = [row for row, loss in zip(batch.rows, losses, strict=True) if not np.isfinite(loss)]
    bad = dict.fromkeys(rows)
    if not bad:
        return ""
    return f"the loss of {len(bad)} utterance(s) is not finite: {_names(store, list(bad))}"


def _names(store: FeatureStore, rows: Sequence[int]) -> str:
    return ", ".join(str(store.samples.utterance(row).path) for row in rows)


@contextmanager
def _termination_noted(noted: threading.Event) -> Iterator[None]:
    """Have SIGTERM set an event, so that a step is never broken off."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread can be told of signals.
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: noted.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
