"""Training on every device of this machine, and the best and the last checkpoint of it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from stt_model import network
from stt_model.alphabet import Alphabet
from stt_model.batches import (
    Batch,
    FeatureStore,
    batch_dataset,
    drop_too_short,
    failures_of,
    plan_batches,
    read_samples,
)
from stt_model.checkpoint import (
    Checkpoint,
    check_save_directory,
    open_checkpoint,
    read_weights,
    weights_digest,
    write_checkpoint,
)
from stt_model.ctc import ctc_loss
from stt_model.errors import TrainingError
from stt_model.lineage import describe_run, digest_manifests

log = logging.getLogger(__name__)

ADAM_BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-8


@dataclass(frozen=True)
class TrainingConfig:
    """What to train, on what, and how. Names and meanings are Coqui STT's.

    ``train_batch_size`` and ``dev_batch_size`` count utterances over all devices. ``alphabet`` is
    the checkpoint's own, where it lies elsewhere.
    """

    train_files: Sequence[Path]
    dev_files: Sequence[Path]
    load_checkpoint_dir: Path
    save_checkpoint_dir: Path
    epochs: int = 75
    train_batch_size: int = 16
    dev_batch_size: int = 16
    learning_rate: float = 0.0001
    dropout_rate: float = 0.05
    random_seed: int = 4568
    load_train: str = "auto"
    show_progressbar: bool = True
    alphabet: Alphabet | None = None

    def check(self) -> None:
        """Refuse numbers that cannot work, before anything is read."""
        limits = {
            "epochs": (self.epochs, self.epochs >= 1, "1 or more"),
            "train_batch_size": (self.train_batch_size, self.train_batch_size >= 1, "1 or more"),
            "dev_batch_size": (self.dev_batch_size, self.dev_batch_size >= 1, "1 or more"),
            "learning_rate": (self.learning_rate, 0 < self.learning_rate < math.inf, "above 0"),
            "dropout_rate": (self.dropout_rate, 0 <= self.dropout_rate < 1, "from 0 to below 1"),
        }
        for name, (value, allowed, expected) in limits.items():
            if not allowed:
                raise TrainingError(f"--{name}: expected {expected}, got {value}")
        if not self.train_files:
            raise TrainingError("--train_files: expected at least one CSV file, got none")


@dataclass(frozen=True)
class Epoch:
    """What one epoch did. Losses are nats an utterance; ``dev_loss`` is None without a dev set."""

    number: int
    train_loss: float
    dev_loss: float | None
    seconds: float
    audio_seconds_per_second: float
    best: bool


@dataclass(frozen=True)
class TrainingResult:
    """What a training run did and where it left its checkpoints."""

    checkpoint_dir: Path
    devices: str
    parameters: int
    train_utterances: int
    train_hours: float
    config: TrainingConfig
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def best(self) -> Epoch:
        """The epoch with the lowest dev loss, or the last one without a dev set."""
        scored = [epoch for epoch in self.epochs if epoch.dev_loss is not None]
        return min(scored, key=lambda epoch: epoch.dev_loss or 0.0) if scored else self.epochs[-1]

    def metrics(self) -> dict[str, float]:
        """Return the figures to show beside the run; all finite."""
        figures = {
            "epochs": float(len(self.epochs)),
            "best_epoch": float(self.best.number),
            "train_loss": self.best.train_loss,
            "train_hours": self.train_hours,
            "audio_seconds_per_second": self.best.audio_seconds_per_second,
        }
        if self.best.dev_loss is not None:
            figures["dev_loss"] = self.best.dev_loss
        return figures

    def to_markdown(self) -> str:
        """Return the training report."""
        lines = [
            "# Training",
            "",
            f"{self.train_utterances} utterances, {self.train_hours:.2f} h,"
            f" {self.parameters:,} parameters, {self.devices};"
            f" batch {self.config.train_batch_size}, learning rate {self.config.learning_rate:g},"
            f" dropout {self.config.dropout_rate:g}, seed {self.config.random_seed}.",
            "",
            f"Best: epoch {self.best.number}.",
            "",
            "| epoch | train loss | dev loss | seconds | audio s/s | |",
            "| ---: | ---: | ---: | ---: | ---: | --- |",
        ]
        for epoch in self.epochs:
            dev_loss = "" if epoch.dev_loss is None else f"{epoch.dev_loss:.3f}"
            lines.append(
                f"| {epoch.number} | {epoch.train_loss:.3f} | {dev_loss} | {epoch.seconds:.1f}"
                f" | {epoch.audio_seconds_per_second:.0f} | {'new best' if epoch.best else ''} |"
            )
        return "\n".join(lines) + "\n"


def train(config: TrainingConfig) -> TrainingResult:
    """Train all weights of a checkpoint, and leave the best and the last in Coqui's layout.

    The optimizer starts afresh, with the learning rate that was asked for. The checkpoint that it
    starts from stays, also where the new ones go into the same directory.

    Raises:
        BootstrapError: if the checkpoint, the manifests or the numbers cannot be used, or a loss is
            not finite.
    """
    config.check()
    source = open_checkpoint(
        config.load_checkpoint_dir, which=config.load_train, alphabet=config.alphabet
    )
    check_save_directory(config.save_checkpoint_dir, source.geometry, source.alphabet)
    trainer = _Trainer(config, source)
    return trainer.run()


def training_strategy() -> tf.distribute.Strategy:
    """Return the strategy over every GPU of this machine, or over its CPU."""
    gpus = tf.config.list_logical_devices("GPU")
    devices = [device.name for device in gpus] or ["CPU:0"]
    return tf.distribute.MirroredStrategy(devices)


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Return what a strategy computes on, such as ``2 GPUs`` or ``the CPU``."""
    gpus = len(tf.config.list_logical_devices("GPU"))
    if gpus:
        return f"{gpus} GPU{'s' if gpus > 1 else ''}"
    replicas = strategy.num_replicas_in_sync
    return "the CPU (no GPU found)" if replicas == 1 else f"{replicas} logical CPUs"


class _Trainer:
    """One run: the network and its optimizer under a strategy, the data, the loops over it."""

    def __init__(self, config: TrainingConfig, source: Checkpoint) -> None:
        self.config = config
        self.source = source
        self.alphabet: Alphabet = source.alphabet
        self.train_store = self._store(config.train_files)
        self.dev_store = self._store(config.dev_files) if config.dev_files else None
        keras.utils.set_random_seed(config.random_seed)
        self.strategy = training_strategy()
        with self.strategy.scope():
            self.model = network.build(source.geometry, config.dropout_rate, config.random_seed)
            self.optimizer = keras.optimizers.Adam(
                config.learning_rate, *ADAM_BETAS, epsilon=ADAM_EPSILON
            )
            self.optimizer.build(self.model.trainable_variables)
        weights = read_weights(source)
        network.load_weights(self.model, source.geometry, weights)
        self.source_digest = weights_digest(weights)
        self.train_digest = digest_manifests(config.train_files)
        self.step = source.step
        self.best_loss = math.inf

    def _store(self, manifests: Sequence[Path]) -> FeatureStore:
        return FeatureStore(drop_too_short(read_samples(manifests, self.alphabet)))

    def run(self) -> TrainingResult:
        seconds = sum(sample.seconds for sample in self.train_store.samples)
        result = TrainingResult(
            checkpoint_dir=Path(self.config.save_checkpoint_dir),
            devices=describe_devices(self.strategy),
            parameters=self.model.count_params(),
            train_utterances=len(self.train_store.samples),
            train_hours=seconds / 3600,
            config=self.config,
        )
        log.info(
            "training %s parameters on %d utterances (%.2f h); %s; batch %d",
            f"{result.parameters:,}",
            result.train_utterances,
            result.train_hours,
            result.devices,
            self.config.train_batch_size,
        )
        for number in range(1, self.config.epochs + 1):
            epoch = self._run_epoch(number, seconds)
            result.epochs.append(epoch)
            self._save(result)
        return result

    def _run_epoch(self, number: int, seconds_of_audio: float) -> Epoch:
        started = time.monotonic()
        # The shortest first, once: early gradients of long utterances are the wildest.
        shuffle_seed = None if number == 1 else self.config.random_seed + number
        batches = self._plan(self.train_store, self.config.train_batch_size, shuffle_seed)
        train_loss = self._pass(self.train_store, batches, self._train_step, f"epoch {number}")
        self.step += len(batches)
        seconds = time.monotonic() - started
        dev_loss = None
        if self.dev_store:
            dev_batches = self._plan(self.dev_store, self.config.dev_batch_size, None)
            dev_loss = self._pass(self.dev_store, dev_batches, self._loss_step, "dev")
        best = dev_loss is not None and dev_loss < self.best_loss
        if dev_loss is not None and best:
            self.best_loss = dev_loss
        epoch = Epoch(number, train_loss, dev_loss, seconds, seconds_of_audio / seconds, best)
        log.info(
            "epoch %d: train loss %.3f%s, %.0f s of audio a second%s",
            number,
            train_loss,
            "" if dev_loss is None else f", dev loss {dev_loss:.3f}",
            epoch.audio_seconds_per_second,
            ", new best" if best else "",
        )
        return epoch

    def _plan(self, store: FeatureStore, batch_size: int, shuffle_seed: int | None) -> list[Batch]:
        return plan_batches(
            store.samples,
            batch_size,
            replicas=self.strategy.num_replicas_in_sync,
            shuffle_seed=shuffle_seed,
        )

    def _pass(
        self, store: FeatureStore, batches: Sequence[Batch], step: Any, description: str
    ) -> float:
        """Run ``step`` on every batch; return the mean loss of an utterance."""
        total, count, audio_seconds = 0.0, 0, 0.0
        dataset = batch_dataset(store, batches)
        hidden = None if self.config.show_progressbar else True
        started = time.monotonic()
        progress = tqdm(total=len(batches), desc=description, leave=False, disable=hidden)
        with failures_of(store), progress as bar:
            for batch, arrays in zip(batches, dataset, strict=True):
                losses = self._gather(step(self._spread(arrays)))
                weights = np.array(batch.weights)
                self._refuse_non_finite(store, batch, losses)
                total += float(np.sum(losses * weights))
                count += int(np.sum(weights))
                audio_seconds += sum(store.samples[row].seconds for row in batch.rows)
                speed = audio_seconds / (time.monotonic() - started)
                bar.set_postfix_str(f"loss {total / count:.3f}, {speed:.0f} s of audio/s", False)
                bar.update()
        return total / count

    def _spread(self, arrays: Mapping[str, Any]) -> Any:
        """Cut a batch into equal parts, one a replica."""

        def part(context: tf.distribute.ReplicaContext) -> dict[str, Any]:
            replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
            return {name: tf.split(array, replicas)[replica] for name, array in arrays.items()}

        return self.strategy.experimental_distribute_values_from_function(part)

    def _gather(self, per_replica: Any) -> Any:
        parts = self.strategy.experimental_local_results(per_replica)
        return np.concatenate([part.numpy() for part in parts])

    def _refuse_non_finite(self, store: FeatureStore, batch: Batch, losses: Any) -> None:
        bad = [
            str(store.samples[row].utterance.path)
            for row, loss in zip(batch.rows, losses, strict=True)
            if not np.isfinite(loss)
        ]
        if bad:
            raise TrainingError(
                f"the loss of {len(bad)} utterance(s) is not finite: {', '.join(bad)}; take"
                f" them out of the manifest or use a lower --learning_rate"
            )

    @tf.function(reduce_retracing=True)
    def _train_step(self, batch: Mapping[str, Any]) -> Any:
        return self.strategy.run(self._train_on_replica, args=(batch,))

    @tf.function(reduce_retracing=True)
    def _loss_step(self, batch: Mapping[str, Any]) -> Any:
        return self.strategy.run(lambda part: self._losses(part, training=False), args=(batch,))

    def _train_on_replica(self, batch: Mapping[str, Any]) -> Any:
        # The mean is over the whole batch, so that two replicas do what one would.
        context = tf.distribute.get_replica_context()
        utterances = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(batch["weights"]))
        with tf.GradientTape() as tape:
            losses = self._losses(batch, training=True)
            loss = tf.reduce_sum(losses * batch["weights"]) / utterances
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return losses

    def _losses(self, batch: Mapping[str, Any], training: bool) -> Any:
        logits = self.model(batch["features"], training=training)
        return ctc_loss(logits, batch["frames"], batch["labels"], batch["label_lengths"])

    def _save(self, result: TrainingResult) -> None:
        whiches: tuple[str, ...] = ("best", "last") if result.epochs[-1].best else ("last",)
        geometry = self.source.geometry
        weights = network.export_weights(self.model, geometry)
        adam = network.export_slots(self.model, geometry, self.optimizer)
        steps = int(self.optimizer.iterations.numpy())
        for which in whiches:
            write_checkpoint(
                self.config.save_checkpoint_dir,
                weights,
                self.alphabet,
                which=which,
                step=self.step,
                learning_rate=self.config.learning_rate,
                adam=adam,
                beta_powers=(ADAM_BETAS[0] ** (steps + 1), ADAM_BETAS[1] ** (steps + 1)),
                flags=self._flags(),
                lineage=self._lineage(result),
                keep=(self.source.prefix,),
            )

    def _flags(self) -> dict[str, Any]:
        names = (
            "epochs",
            "train_batch_size",
            "dev_batch_size",
            "learning_rate",
            "dropout_rate",
            "random_seed",
        )
        return {name: getattr(self.config, name) for name in names}

    def _lineage(self, result: TrainingResult) -> dict[str, Any]:
        return {
            "step": "training",
            "best": asdict(result.best),
            "last": asdict(result.epochs[-1]),
            "history": [asdict(epoch) for epoch in result.epochs],
            "settings": self._flags(),
            "train_digest": self.train_digest,
            "source": {
                "name": self.source.prefix.name,
                "digest": self.source_digest,
                "lineage": self.source.lineage,
            },
            **describe_run(),
        }
