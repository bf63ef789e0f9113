"""What to train, on what, and how: the names, meanings and defaults are Coqui STT's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stt_model.augmentation import parse_augmentations
from stt_model.base import TrainingError
from stt_model.checkpoint import digest_manifests
from stt_model.features import DEFAULT_GIB
from stt_model.text import Alphabet

MODEL_SETTINGS = (
    "train_batch_size",
    "dev_batch_size",
    "learning_rate",
    "dropout_rate",
    "random_seed",
    "clip_norm",
    "mixed_precision",
    "freeze_source_epochs",
    "augment",
    "early_stop",
    "es_epochs",
    "es_min_delta",
    "reduce_lr_on_plateau",
    "plateau_epochs",
    "plateau_reduction",
)
"""The settings that decide which weights come out after so many epochs."""

PRECISIONS = {"off": "float32", "float16": "mixed_float16", "bfloat16": "mixed_bfloat16"}
"""``mixed_precision`` and Keras's policies for it."""


@dataclass(frozen=True)
class TrainingConfig:
    """What to train, on what, and how.

    ``train_batch_size`` and ``dev_batch_size`` count utterances over all devices. ``alphabet`` is
    the checkpoint's own, where it lies elsewhere. An epoch without improvement is one whose dev
    loss is not ``es_min_delta`` nats below the best.
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
    clip_norm: float = 0.0
    """Longest that the gradient of all weights together may be; 0 leaves it as it is."""
    freeze_source_epochs: int = 0
    """First epochs in which only the layers that surgery made new are trained."""
    augment: str = ""
    """How the training set is changed anew in each epoch; see ``augmentation.specification``."""
    mixed_precision: str = "off"
    """One of ``PRECISIONS``: what the network computes in; its weights are float32 always."""
    early_stop: bool = False
    es_epochs: int = 25
    """Epochs without improvement after which ``early_stop`` ends the run."""
    es_min_delta: float = 0.05
    reduce_lr_on_plateau: bool = False
    plateau_epochs: int = 10
    """Epochs without improvement after which ``reduce_lr_on_plateau`` goes back to the best."""
    plateau_reduction: float = 0.1
    """What a plateau multiplies the learning rate by."""
    max_non_finite_steps: int = 5
    """Skipped steps in a row that end the run."""
    checkpoint_secs: float = 600.0
    """Seconds between saves within an epoch; 0 saves at the end of epochs only."""
    feature_cache: Path | None = None
    """Where features are kept from run to run; without it, in memory up to half a gigabyte."""
    feature_cache_size: int = DEFAULT_GIB
    """GiB that ``feature_cache`` may take."""
    summary_dir: Path | None = None
    """Where TensorBoard finds its scalars; by default ``summaries`` in ``save_checkpoint_dir``."""
    restart: bool = False
    """Begin anew where ``save_checkpoint_dir`` holds a run that could go on."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """How the starting point was made; a run goes on only where this is the same."""

    def check(self) -> None:
        """Refuse settings that cannot work, before the checkpoint and the data are read."""
        one, zero = "1 or more", "0 or more"
        limits = {
            "epochs": (self.epochs >= 1, one),
            "train_batch_size": (self.train_batch_size >= 1, one),
            "dev_batch_size": (self.dev_batch_size >= 1, one),
            "learning_rate": (0 < self.learning_rate < math.inf, "above 0"),
            "dropout_rate": (0 <= self.dropout_rate < 1, "from 0 to below 1"),
            "clip_norm": (0 <= self.clip_norm < math.inf, zero),
            "freeze_source_epochs": (self.freeze_source_epochs >= 0, zero),
            "mixed_precision": (self.mixed_precision in PRECISIONS, " or ".join(PRECISIONS)),
            "es_epochs": (self.es_epochs >= 1, one),
            "es_min_delta": (0 <= self.es_min_delta < math.inf, zero),
            "plateau_epochs": (self.plateau_epochs >= 1, one),
            "plateau_reduction": (0 < self.plateau_reduction < 1, "between 0 and 1"),
            "feature_cache_size": (self.feature_cache_size >= 1, one),
            "max_non_finite_steps": (self.max_non_finite_steps >= 1, one),
            "checkpoint_secs": (0 <= self.checkpoint_secs < math.inf, zero),
        }
        for name, (allowed, expected) in limits.items():
            if not allowed:
                raise TrainingError(f"--{name}: expected {expected}, got {getattr(self, name)}")
        parse_augmentations(self.augment)
        if not self.train_files:
            raise TrainingError("--train_files: expected at least one CSV file, got none")
        for name in ("early_stop", "reduce_lr_on_plateau"):
            if getattr(self, name) and not self.dev_files:
                raise TrainingError(f"--{name}: goes by the dev loss; give --dev_files too")

    def settings(self) -> dict[str, Any]:
        """Return the settings that decide which weights come out, by name."""
        return {name: getattr(self, name) for name in MODEL_SETTINGS}

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on: settings, data and starting point.

        More epochs may be asked for than at first, so their number is not in it.
        """
        data = {
            "train_files": digest_manifests(self.train_files),
            "dev_files": digest_manifests(self.dev_files),
        }
        return {**self.settings(), **data, **self.origin}
