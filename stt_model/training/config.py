"""Settings of training; names, meanings and defaults are Coqui STT's."""

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
"""The settings that determine the weights after so many epochs."""

NO_AUGMENTATION = "none"
NO_SPECIFICATION = (AUTO, NO_AUGMENTATION)
"""Values of ``augment`` besides Coqui's specifications."""

BEST_BY = ("loss", "cer", "wer")
"""Figures of the dev set that can determine the best epoch."""

PRECISIONS = {"off": "float32", "float16": "mixed_float16", "bfloat16": "mixed_bfloat16"}
"""Values of ``mixed_precision`` after the choice, and Keras's policies for them."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of training.

    ``train_batch_size`` and ``dev_batch_size`` count utterances over all devices. ``alphabet`` is
    the checkpoint's, if it is stored elsewhere. An epoch is no improvement if its dev loss is not
    ``es_min_delta`` nats below the best. If ``best_by`` is an error rate, it counts instead of the
    loss, and ``es_min_delta`` is ignored.

    Settings that are None, or auto in the case of ``augment``, were not given: ``defaults.fit``
    replaces them by values that suit the corpus before they are used.
    """

    train_files: Sequence[Path]
    dev_files: Sequence[Path]
    load_checkpoint_dir: Path
    save_checkpoint_dir: Path
    load_train: str = "auto"
    alphabet: Alphabet | None = None
    epochs: int = whole(
        None,
        "Passes over the training split; auto stops when the dev split no longer improves.",
        minimum=1,
    )
    train_batch_size: int = whole(
        None, "Utterances per training step, over all GPUs; auto depends on the corpus.", minimum=1
    )
    dev_batch_size: int = whole(16, "Utterances per batch of the dev split.", minimum=1)
    learning_rate: float = real(
        None,
        "Step size of Adam; one stored in a checkpoint is ignored. Auto depends on the corpus,"
        " and lowers it when the dev split stops improving.",
        above=0,
    )
    dropout_rate: float = real(
        None,
        "Share of the units of layers 1, 2, 3 and 5 that each step drops; auto depends on the"
        " corpus.",
        minimum=0,
        below=1,
    )
    dropout_rate2: float = real(
        -1.0, "The same for layer 2; -1 means dropout_rate.", minimum=-1, below=1
    )
    dropout_rate3: float = real(
        -1.0, "The same for layer 3; -1 means dropout_rate.", minimum=-1, below=1
    )
    dropout_rate6: float = real(
        -1.0,
        "The same for the last layer before the output, layer 5 of the checkpoint; -1 means"
        " dropout_rate.",
        minimum=-1,
        below=1,
    )
    beta1: float = real(0.9, "Adam's decay of the first moments.", minimum=0, below=1)
    beta2: float = real(0.999, "Adam's decay of the second moments.", minimum=0, below=1)
    epsilon: float = real(1e-8, "Adam's constant against division by zero.", above=0)
    shuffle_batches: bool = switch(
        True, "Shuffle the batches in each epoch, from shuffle_start on."
    )
    shuffle_start: int = whole(
        1,
        "First epoch, counted from 0, whose batches are shuffled; earlier ones run from short to"
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
        0.0, "Maximum norm of the gradient of all weights; 0 for no limit.", minimum=0
    )
    freeze_source_epochs: int = whole(
        None,
        "If layers are replaced: first epochs, in which only the new layers are trained; auto"
        " depends on the corpus.",
        minimum=0,
    )
    augment: str = text(
        AUTO,
        "Augmentations of the training split: Coqui's specifications separated by spaces, such as"
        " volume[p=0.1,dbfs=-10:-40] tempo[factor=1~0.2]; auto depends on the corpus, none or empty"
        " for no change.",
        metavar="SPEC",
    )
    mixed_precision: str = choice(
        AUTO,
        (AUTO, *PRECISIONS),
        "Precision of the computation: auto, off (32 bits), float16 or bfloat16; weights stay in 32"
        " bits. Auto takes bfloat16 if it is clearly faster on this machine, otherwise off.",
    )
    early_stop: bool = switch(
        False, "Stop after es_epochs epochs without improvement on the dev split."
    )
    es_epochs: int = whole(25, "Epochs without improvement that early_stop waits for.", minimum=1)
    es_min_delta: float = real(
        0.05,
        "Smallest fall of the dev loss that counts as an improvement, in nats per utterance.",
        minimum=0,
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
        "Smallest fall of best_by's measure that counts as an improvement, as a share of its best"
        " value.",
        minimum=0,
        below=1,
    )
    warmup_steps: int = whole(
        0, "First steps, over which the learning rate rises linearly; 0 for none.", minimum=0
    )
    kept_layers_rate: float = real(
        1.0,
        "If layers are replaced: factor for the learning rate of the layers that are kept.",
        above=0,
    )
    best_by: str = choice(
        "loss",
        BEST_BY,
        "loss, cer or wer: the measure on the dev split that decides the best epoch, plateaus and"
        " early stopping.",
    )
    max_non_finite_steps: int = whole(
        5, "Consecutive steps without a finite loss after which training fails.", minimum=1
    )
    checkpoint_secs: float = real(
        600.0,
        "Seconds between saves within an epoch; 0 saves after each epoch only.",
        minimum=0,
    )
    feature_cache_size: int = whole(
        20, "Maximum size of the feature cache, in GiB.", minimum=1, metavar="GIB"
    )
    metrics_files: Sequence[Path] = ()
    """Manifests whose loss is only reported after each epoch."""
    show_progressbar: bool = switch(True, "Show progress on a terminal.")
    restart: bool = switch(
        False, "Start over even if the directory holds a run that could be resumed."
    )
    feature_cache: Path | None = None
    """The cache of features between runs; without it, half a gigabyte of memory is used."""
    summary_dir: Path | None = None
    """Folder of TensorBoard's scalars; by default ``summaries`` in ``save_checkpoint_dir``."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """How the starting point was made; a run resumes only if this is the same."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """The reasons for the settings that ``defaults.fit`` chose."""

    def check(self) -> None:
        """Refuse impossible settings, before the checkpoint and the data are read."""
        check_parameters(self, TrainingError)
        # Imports sound libraries, which a command that only shows its flags does not need.
        from stt_model.augmentation import parse_augmentations

        parse_augmentations("" if self.augment in NO_SPECIFICATION else self.augment)
        if not self.train_files:
            raise TrainingError("--train_files: expected at least one CSV file, got none")
        for name in ("early_stop", "reduce_lr_on_plateau"):
            if getattr(self, name) and not self.dev_files:
                raise TrainingError(f"--{name}: depends on the dev loss; give --dev_files too")
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
        """Return the settings that determine the weights, by name."""
        return {name: getattr(self, name) for name in MODEL_SETTINGS}

    def identity(self) -> dict[str, Any]:
        """Return what must be the same to resume a run: settings, data and starting point.

        The number of epochs is not included, since it may be increased.
        """
        from stt_model.checkpoint import digest_manifests

        data = {
            "train_files": digest_manifests(self.train_files),
            "dev_files": digest_manifests(self.dev_files),
        }
        return {**self.settings(), **data, **self.origin}
