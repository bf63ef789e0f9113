"""The loops of a run: over epochs, over the batches of each, over the dev set after it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stt_model.augmentation import Augmenter, parse_augmentations
from stt_model.base import AUTO, TrainingError
from stt_model.checkpoint import (
    Checkpoint,
    open_checkpoint,
    read_moments,
    read_weights,
    state_path,
    weights_digest,
)
from stt_model.corpus import drop_too_short, read_samples
from stt_model.features import (
    Batch,
    Features,
    FeatureStore,
    augment_epoch,
    open_cache,
    padding_share,
)
from stt_model.network import describe_devices, loss_noted, training_strategy, workers_of
from stt_model.training.config import TrainingConfig
from stt_model.training.defaults import describe_choices
from stt_model.training.dev_set import DevFigures, DevSet
from stt_model.training.feed import Feed
from stt_model.training.learner import Learner
from stt_model.training.precision import Precision, choose_precision, look_back
from stt_model.training.progress import log_epoch, log_time_left
from stt_model.training.report import TrainingResult
from stt_model.training.run_saver import RunSaver
from stt_model.training.schedule import warmed
from stt_model.training.state import Epoch, RunState, Totals, read_state
from stt_model.training.summaries import Summaries
from stt_model.training.tracking import Tracker

log = logging.getLogger(__name__)


class TrainingLoop:
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
        self.feature_cache = open_cache(
            config.feature_cache, config.feature_cache_size, source.audio
        )
        # Before anything is computed, as several workers need it.
        self.strategy = training_strategy()
        self.workers = workers_of(self.strategy)
        self.train_feed = self._feed(config.train_files)
        self.augmenter = Augmenter(parse_augmentations(config.augment), config.random_seed)
        self.precision = self._precision_of(state)
        self.learner = Learner(source.geometry, config, self.strategy, self.precision.name)
        self.dev_set = self._dev_set(config.dev_files) if config.dev_files else None
        self.metrics_sets = {path: self._dev_set([path]) for path in config.metrics_files}
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
        self.state.epochs = config.epochs
        if state is not None:
            moments = read_moments(source) if state.iterations else None
            self.learner.load_moments(moments, state.iterations)
            self.learner.load_random_state(state.random_state)
            self.learner.loss_scale = state.loss_scale
            self.learner.set_learning_rate(state.learning_rate)
        if config.kept_layers_rate != 1:
            kept = self.state.source["lineage"]["kept_layers"]
            self.learner.slow_down(kept, config.kept_layers_rate)
        if self.state.epoch <= config.freeze_source_epochs:
            self.learner.train_only(self.state.source["lineage"]["dropped_layers"])
        self.summaries = Summaries(config.summary_dir or self.directory / "summaries")
        self.tracker = Tracker(os.environ if self.workers.is_chief else {})
        self.saver = RunSaver(config, source, self.learner, self.state, after_save)

    def _precision_of(self, state: RunState | None) -> Precision:
        """Return the precision of a resumed run, or choose that of a new one."""
        if state is not None and state.precision is not None:
            return state.precision
        return choose_precision(self.config, self.source.geometry, self.strategy)

    def _settle_precision(self) -> None:
        """Check an automatic choice of 16 bits on the first batch."""
        if self.config.mixed_precision == AUTO and self.precision.name != "off":
            first = self.train_feed.plan(self.config.train_batch_size)[:1]
            with self.train_feed.open(first, "first batch") as (elements, _):
                for _, arrays in elements:
                    self.precision = look_back(self.learner, arrays, self.precision)
        self.state.precision = self.precision

    def _feed(self, manifests: Sequence[Path]) -> Feed:
        samples = drop_too_short(read_samples(manifests, self.source.alphabet, self.source.audio))
        return Feed(
            FeatureStore(samples, cache=self.feature_cache),
            self.workers,
            self.strategy.num_replicas_in_sync,
            show_progressbar=self.config.show_progressbar,
        )

    def _dev_set(self, manifests: Sequence[Path]) -> DevSet:
        feed = self._feed(manifests)
        return DevSet(feed, self.learner, self.source.alphabet, self.config.dev_batch_size)

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or training stopped before."""
        return self.state.stopped_early or self.state.epoch > self.config.epochs

    def run(self) -> TrainingResult:
        """Train the remaining epochs of the run."""
        self._announce()
        with (
            loss_noted(self.workers),
            self.saver.minding_termination(),
            self.saver.minding_the_store(),
        ):
            if self.state.precision is None:
                self._settle_precision()
            self.saver.begin(resumed=self.resumed)
            self.tracker.begin({"epochs": self.config.epochs, **self.config.settings()})
            if self.dev_set and not self.state.history:
                self._measure_source(self.dev_set)
            while not self.is_over:
                self._run_epoch()
        self.tracker.end()
        return self._result()

    def _announce(self) -> None:
        result = self._result()
        samples, batch_size = self.train_feed.store.samples, self.config.train_batch_size
        replicas = self.strategy.num_replicas_in_sync
        log.info(
            "training %s parameters on %d utterances (%.2f h); %s, %s; batch %d%s, %.0f %% padding",
            f"{result.parameters:,}",
            result.train_utterances,
            result.train_hours,
            result.devices,
            result.precision,
            batch_size,
            f" ({batch_size / replicas:g} a replica)" if replicas > 1 else "",
            100 * padding_share(samples, self.train_feed.plan(batch_size)),
        )
        if self.state.epoch <= self.config.freeze_source_epochs:
            log.info(
                "up to epoch %d only the new layers are trained: %s",
                self.config.freeze_source_epochs,
                ", ".join(self.state.source["lineage"]["dropped_layers"]),
            )
        if self.config.reasons:
            log.info("%s", describe_choices(self.config))
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
                "%s: resuming the run there, in epoch %d after batch %d",
                self.directory,
                self.state.epoch,
                self.state.totals.batches,
            )

    def _result(self) -> TrainingResult:
        seconds = float(self.train_feed.store.samples.seconds.sum())
        return TrainingResult(
            checkpoint_dir=self.directory,
            devices=describe_devices(self.strategy),
            precision=self.precision,
            parameters=self.learner.model.count_params(),
            train_utterances=len(self.train_feed.store.samples),
            train_hours=seconds / 3600,
            config=self.config,
            is_chief=self.workers.is_chief,
            epochs=self.state.history,
            stopped_early=self.state.stopped_early,
        )

    # Epochs

    def _measure_source(self, dev_set: DevSet) -> None:
        started = time.monotonic()
        figures = self._measure_dev(dev_set)
        seconds = time.monotonic() - started
        self._record(0, figures)
        rate = self.state.learning_rate
        speed = dev_set.audio_seconds / seconds
        epoch = Epoch(0, None, figures.loss, rate, seconds, speed, True, figures.wer, figures.cer)
        self.state.history.append(epoch)
        self.tracker.add(epoch)
        self._show_dev(figures)
        log_epoch(epoch)
        if not self.saver.source_is_best():
            self.saver.save("best")

    def _run_epoch(self) -> None:
        state = self.state
        frozen = self.config.freeze_source_epochs
        if frozen and state.epoch == frozen + 1 and not state.totals.batches:
            self.learner.train_all()
            log.info("epoch %d: training all layers from now on", state.epoch)
        # The shortest first, once: early gradients of long utterances are the wildest.
        in_order = not self.config.shuffle_batches or state.epoch - 1 < self.config.shuffle_start
        shuffle_seed = None if in_order else self.config.random_seed + state.epoch
        batches = self.train_feed.plan(self.config.train_batch_size, shuffle_seed)
        self._train_on(batches)
        totals = state.totals
        if not totals.utterances:
            raise TrainingError(
                f"epoch {state.epoch}: no step gave a finite loss; use a lower --learning_rate"
            )
        started = time.monotonic()
        figures = self._measure_dev(self.dev_set) if self.dev_set else None
        dev_seconds = time.monotonic() - started
        # Before the epoch is recorded: a save in between must not hold a part of it.
        heard = {path: self._measure_dev(each) for path, each in self.metrics_sets.items()}
        best = figures is not None and self._record(state.epoch, figures)
        epoch = Epoch(
            number=state.epoch,
            train_loss=totals.loss / totals.utterances,
            dev_loss=figures and figures.loss,
            learning_rate=state.learning_rate,
            seconds=totals.seconds,
            audio_seconds_per_second=totals.audio_seconds / totals.seconds,
            best=best,
            dev_wer=figures and figures.wer,
            dev_cer=figures and figures.cer,
        )
        log_epoch(epoch)
        for path, found in heard.items():
            log.info("epoch %d: loss %.3f on %s", state.epoch, found.loss, path)
        if figures:
            self._show_dev(figures)
        self._show("train", state.step, audio_s_per_s=epoch.audio_seconds_per_second)
        self._finish_epoch(epoch)
        if not self.is_over:
            log_time_left(self.config, state, totals.seconds + dev_seconds)

    def _record(self, epoch: int, figures: DevFigures) -> bool:
        """Record the dev figures of an epoch; return whether it is the best so far."""
        by, config = self.config.best_by, self.config
        min_delta = config.es_min_delta if by == "loss" else 0.0
        return self.state.record.add(epoch, figures.by(by), min_delta, config.es_min_share)

    def _finish_epoch(self, epoch: Epoch) -> None:
        """Add an epoch to the state, act on its dev figures, and save."""
        state = self.state
        state.history.append(epoch)
        self.tracker.add(epoch)
        state.epoch, state.totals = epoch.number + 1, Totals()
        if epoch.best:
            self.saver.save("best")
        if state.record.is_over(self.config):
            state.stopped_early = True
            log.info("no improvement in %d epochs: stopping early", self.config.es_epochs)
        elif state.record.is_plateau(self.config):
            self._return_to_best()
        self.saver.save("last")

    def _return_to_best(self) -> None:
        """Go back to this run's best weights with a lower learning rate."""
        # One worker writes it, and all read it.
        self.learner.wait_for_all()
        best = open_checkpoint(self.directory, "best", self.source.alphabet)
        self.learner.load_weights(read_weights(best))
        # The best can be the source, whose moments are not this run's, or an epoch with frozen
        # layers, which have no moments.
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

    def _train_on(self, batches: Sequence[Batch]) -> None:
        """Train on the remaining batches of an epoch."""
        totals, feed = self.state.totals, self.train_feed
        description, features_of = f"epoch {self.state.epoch}", self._augmented(batches)
        with feed.open(batches, description, totals.batches, features_of) as (remaining, progress):
            started = time.monotonic()
            for batch, arrays in remaining:
                self._warm_up()
                losses, applied = self.learner.train_step(arrays)
                totals.batches += 1
                if applied:
                    self._count(batch, losses)
                else:
                    self._skip(batch, losses)
                totals.seconds += time.monotonic() - started
                loss = totals.loss / max(totals.utterances, 1)
                progress.update(*feed.amount(batch), f"loss {loss:.3f}")
                self.saver.save_if_due()
                started = time.monotonic()

    def _warm_up(self) -> None:
        steps, updates = self.config.warmup_steps, self.learner.iterations
        if updates <= steps:
            rate = warmed(self.state.learning_rate, updates, steps)
            self.learner.set_learning_rate(rate)

    def _augmented(self, batches: Sequence[Batch]) -> Callable[[int], Features] | None:
        if not self.augmenter.augmentations:
            return None
        epoch, epochs = self.state.epoch, self.config.epochs
        store = self.train_feed.store
        return augment_epoch(store, self.augmenter, batches, epoch=epoch, epochs=epochs).__getitem__

    def _count(self, batch: Batch, losses: Any) -> None:
        totals = self.state.totals
        loss = float(np.sum(losses * np.array(batch.weights)))
        totals.loss += loss
        utterances, seconds = self.train_feed.amount(batch)
        totals.utterances += utterances
        totals.audio_seconds += seconds
        self.state.step += 1
        self.state.skipped_in_a_row = 0
        rate = self.state.learning_rate
        self._show("train", self.state.step, loss=loss / utterances, learning_rate=rate)

    def _skip(self, batch: Batch, losses: Any) -> None:
        self.state.skipped_in_a_row += 1
        skipped = self.state.skipped_in_a_row
        problem = self.train_feed.not_finite(batch, losses) or (
            "the gradient is not finite: " + self.train_feed.names(batch.rows)
        )
        where = f"epoch {self.state.epoch}, batch {self.state.totals.batches}"
        if skipped >= self.config.max_non_finite_steps:
            raise TrainingError(
                f"{where}: {problem}; {skipped} such steps in a row; take them out of the manifest"
                " or use a lower --learning_rate"
            )
        log.warning("%s: %s; the step is left out", where, problem)

    def _measure_dev(self, dev_set: DevSet) -> DevFigures:
        return dev_set.measure(self._dev_advice(), self.saver.save_if_due)

    def _dev_advice(self) -> str:
        if not self.state.history:
            return "take them out of the manifest"
        # It was finite when the source was measured.
        return (
            "training has run away, and what was saved before stays; use a lower --learning_rate"
            " or --clip_norm, and --restart true"
        )

    def _show_dev(self, figures: DevFigures) -> None:
        self._show("dev", self.state.step, **figures._asdict())

    def _show(self, which: str, step: int, **scalars: float) -> None:
        if self.workers.is_chief:
            self.summaries.add(which, step, **scalars)
