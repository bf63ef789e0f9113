"""What to train, on what, and how: the names, meanings and defaults are Coqui STT's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import (
    AUTO,
    TrainingError,
    check_parameters,
    choice,
    real,
    switch,
    text,
    whole,
)

if TYPE_CHECKING:
    from stt_model.text import Alphabet


MODEL_SETTINGS = (
    "train_batch_size",
    "dev_batch_size",
    "learning_rate",
    "beta1",
    "beta2",
    "epsilon",
    "dropout_rate",
    "dropout_rate2",
    "dropout_rate3",
    "dropout_rate6",
    "random_seed",
    "clip_norm",
    "mixed_precision",
    "freeze_source_epochs",
    "augment",
    "shuffle_batches",
    "shuffle_start",
    "early_stop",
    "es_epochs",
    "es_min_delta",
    "es_min_share",
    "reduce_lr_on_plateau",
    "plateau_epochs",
    "plateau_reduction",
    "warmup_steps",
    "kept_layers_rate",
    "best_by",
)
"""The settings that decide which weights come out after so many epochs."""

NO_AUGMENTATION = "none"
NO_SPECIFICATION = (AUTO, NO_AUGMENTATION)
"""What ``augment`` may be besides Coqui's specifications."""

BEST_BY = ("loss", "cer", "wer")
"""Figures of the dev set by which an epoch can be the best."""

PRECISIONS = {"off": "float32", "float16": "mixed_float16", "bfloat16": "mixed_bfloat16"}
"""What ``mixed_precision`` can come to, and Keras's policies for it."""


@dataclass(frozen=True)
class TrainingConfig:
    """What to train, on what, and how.

    ``train_batch_size`` and ``dev_batch_size`` count utterances over all devices. ``alphabet`` is
    the checkpoint's own, where it lies elsewhere. An epoch without improvement is one whose dev
    loss is not ``es_min_delta`` nats below the best. Where ``best_by`` is an error rate, that is
    what counts in place of the loss, and ``es_min_delta`` does not.

    Settings that are None, or ``augment`` where it is auto, were not given: ``defaults.fit`` puts
    in what suits the corpus, before anything goes by them.
    """

    train_files: Sequence[Path]
    dev_files: Sequence[Path]
    load_checkpoint_dir: Path
    save_checkpoint_dir: Path
    load_train: str = "auto"
    alphabet: Alphabet | None = None
    epochs: int = whole(
        None,
        "Passes over the training split; auto ends when the dev split has stopped improving.",
        minimum=1,
    )
    train_batch_size: int = whole(
        None, "Utterances of a training step, over all GPUs; auto goes by the corpus.", minimum=1
    )
    dev_batch_size: int = whole(16, "Utterances of a step over the dev split.", minimum=1)
    learning_rate: float = real(
        None,
        "Step size of Adam; one that is stored in a checkpoint never counts. Auto goes by the"
        " corpus, and lowers it when the dev split stops improving.",
        above=0,
    )
    dropout_rate: float = real(
        None,
        "Share of the units of layers 1, 2, 3 and 5 that a step drops; auto goes by the corpus.",
        minimum=0,
        below=1,
    )
    dropout_rate2: float = real(
        -1.0, "The same of layer 2 alone; -1 for dropout_rate.", minimum=-1, below=1
    )
    dropout_rate3: float = real(
        -1.0, "The same of layer 3 alone; -1 for dropout_rate.", minimum=-1, below=1
    )
    dropout_rate6: float = real(
        -1.0,
        "The same of the last layer before the output, layer 5 of the checkpoint; -1 for"
        " dropout_rate.",
        minimum=-1,
        below=1,
    )
    beta1: float = real(0.9, "Adam's decay of the first moments.", minimum=0, below=1)
    beta2: float = real(0.999, "Adam's decay of the second moments.", minimum=0, below=1)
    epsilon: float = real(1e-8, "Adam's constant against division by zero.", above=0)
    shuffle_batches: bool = switch(
        True, "Draw a new order of batches in each epoch, from shuffle_start on."
    )
    shuffle_start: int = whole(
        1,
        "First epoch, counted from 0, whose batches are shuffled; those before go from short to"
        " long.",
        minimum=0,
    )
    random_seed: int = whole(
        4568,
        "Seed of new weights, of dropout and of the order of batches.",
        minimum=0,
        maximum=2**32 - 1,
    )
    clip_norm: float = real(
        0.0, "Largest norm of the gradient of all weights together; 0 for no limit.", minimum=0
    )
    freeze_source_epochs: int = whole(
        None,
        "After replacing layers: first epochs that train only the new layers; auto goes by the"
        " corpus.",
        minimum=0,
    )
    augment: str = text(
        AUTO,
        "How the training split is changed anew in each epoch: Coqui's specifications with spaces"
        " between, such as volume[p=0.1,dbfs=-10:-40] tempo[factor=1~0.2]; auto goes by the corpus,"
        " none or empty for no change.",
        metavar="SPEC",
    )
    mixed_precision: str = choice(
        AUTO,
        (AUTO, *PRECISIONS),
        "auto, off, float16 or bfloat16: what to compute in; weights stay in 32 bits. Auto takes"
        " bfloat16 where this machine multiplies it clearly faster, and off elsewhere.",
    )
    early_stop: bool = switch(
        False, "Stop when es_epochs epochs bring no improvement of the dev loss."
    )
    es_epochs: int = whole(25, "Epochs without improvement that early_stop waits for.", minimum=1)
    es_min_delta: float = real(
        0.05, "Fall of the dev loss that counts as an improvement, in nats an utterance.", minimum=0
    )
    reduce_lr_on_plateau: bool = switch(
        False,
        "Lower the learning rate when plateau_epochs epochs bring no improvement, and go back to"
        " the best epoch.",
    )
    plateau_epochs: int = whole(
        10, "Epochs without improvement that reduce_lr_on_plateau waits for.", minimum=1
    )
    plateau_reduction: float = real(
        0.1, "Factor by which a plateau lowers the learning rate.", above=0, below=1
    )
    es_min_share: float = real(
        0.0,
        "Share of the best dev figure by which another must be below it to be an improvement.",
        minimum=0,
        below=1,
    )
    warmup_steps: int = whole(
        0, "First steps, over which the learning rate rises in a straight line.", minimum=0
    )
    kept_layers_rate: float = real(
        1.0,
        "After replacing layers: factor of the learning rate in the layers of the source.",
        above=0,
    )
    best_by: str = choice(
        "loss",
        BEST_BY,
        "loss, cer or wer: the dev figure that the best epoch, plateaus and early stopping go by.",
    )
    max_non_finite_steps: int = whole(
        5, "Steps in a row without a finite loss that end the training.", minimum=1
    )
    checkpoint_secs: float = real(
        600.0,
        "Seconds between saves within an epoch; 0 saves after each epoch only.",
        minimum=0,
    )
    feature_cache_size: int = whole(
        20, "Size that the cache of features may have, in GiB.", minimum=1, metavar="GIB"
    )
    metrics_files: Sequence[Path] = ()
    """Manifests whose loss is reported after each epoch, and decides nothing."""
    show_progressbar: bool = switch(True, "Show progress on a terminal.")
    restart: bool = switch(
        False, "Begin anew where the directory holds a run that would go on otherwise."
    )
    feature_cache: Path | None = None
    """Where features are kept from run to run; without it, in memory up to half a gigabyte."""
    summary_dir: Path | None = None
    """Where TensorBoard finds its scalars; by default ``summaries`` in ``save_checkpoint_dir``."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """How the starting point was made; a run goes on only where this is the same."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why the settings that were chosen by ``defaults.fit`` are what they are."""

    def check(self) -> None:
        """Refuse settings that cannot work, before the checkpoint and the data are read."""
        check_parameters(self, TrainingError)
        # Sound libraries, which a command that only shows its flags does without.
        from stt_model.augmentation import parse_augmentations

        parse_augmentations("" if self.augment in NO_SPECIFICATION else self.augment)
        if not self.train_files:
            raise TrainingError("--train_files: expected at least one CSV file, got none")
        for name in ("early_stop", "reduce_lr_on_plateau"):
            if getattr(self, name) and not self.dev_files:
                raise TrainingError(f"--{name}: goes by the dev loss; give --dev_files too")
        if self.best_by != "loss" and not self.dev_files:
            raise TrainingError(f"--best_by {self.best_by}: give --dev_files too")

    @property
    def dropout_rates(self) -> dict[str, float]:
        """The share of units that a step drops, by the checkpoint's layer."""
        given = {
            "layer_1": self.dropout_rate,
            "layer_2": self.dropout_rate2,
            "layer_3": self.dropout_rate3,
            "layer_5": self.dropout_rate6,
        }
        return {layer: self.dropout_rate if rate < 0 else rate for layer, rate in given.items()}

    def settings(self) -> dict[str, Any]:
        """Return the settings that decide which weights come out, by name."""
        return {name: getattr(self, name) for name in MODEL_SETTINGS}

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on: settings, data and starting point.

        More epochs may be asked for than at first, so their number is not in it.
        """
        from stt_model.checkpoint import digest_manifests

        data = {
            "train_files": digest_manifests(self.train_files),
            "dev_files": digest_manifests(self.dev_files),
        }
        return {**self.settings(), **data, **self.origin}
