"""The rule that chooses settings that are not given: from the corpus, the source and the mode.

``tests/benchmarks/defaults.py`` measures it; ``docs/training-well.md`` describes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stt_model.base import AUTO
from stt_model.checkpoint import Checkpoint
from stt_model.corpus import USUAL_AUDIO, iter_utterances
from stt_model.training.config import NO_AUGMENTATION, TrainingConfig

AUTOMATIC = (
    "epochs",
    "train_batch_size",
    "learning_rate",
    "dropout_rate",
    "freeze_source_epochs",
    "augment",
)
"""The settings that the rule can choose."""

LAYERS = 6
FEW, MANY = 2_000, 20_000
"""Utterances in the training split below which a corpus is small, and from which it is large."""
RATE_TIMES_WIDTH, LOWEST_RATE, HIGHEST_RATE = 0.5, 0.0001, 0.0025
MASKS = "frequency_mask[p=0.5,n=1,size=2] time_mask[p=0.5,n=2,size=10:50]"
TEMPO = "tempo[p=0.3,factor=1~0.1]"
MOST_EPOCHS = 1000
PATIENCE_STEPS, FEWEST_PATIENCE, MOST_PATIENCE = 150, 3, 10
WARMUP_STEPS = 50
STEPS_WITHOUT_DEV = 2000


@dataclass(frozen=True)
class Situation:
    """The inputs of the rule."""

    utterances: int
    """In the training split."""
    new_layers: int
    """Layers with new weights: 0 when fine-tuning, 6 from scratch."""
    n_hidden: int
    has_dev: bool = True

    @property
    def from_scratch(self) -> bool:
        """Whether no layer comes from a source."""
        return self.new_layers == LAYERS

    def __str__(self) -> str:
        if self.from_scratch:
            start = "all layers new"
        elif self.new_layers:
            start = f"transfer with {self.new_layers} new layer{'s' * (self.new_layers > 1)}"
        else:
            start = "fine-tuning"
        return f"{self.utterances:,} utterances, {start}, {self.n_hidden} units a layer"


def choose(situation: Situation) -> dict[str, tuple[Any, str]]:
    """Return each setting that the rule chooses, with the reason."""
    batch, batch_reason = _batch(situation)
    patience = _patience(situation, batch)
    rate, rate_reason = _rate(situation)
    dropout, dropout_reason = _dropout(situation)
    chosen: dict[str, tuple[Any, str]] = {
        "train_batch_size": (batch, batch_reason),
        "learning_rate": (rate, rate_reason),
        "dropout_rate": (dropout, dropout_reason),
        "freeze_source_epochs": (0, "all layers learn from the start"),
        "augment": _augment(situation),
        "epochs": (MOST_EPOCHS, f"until the dev set is no better for {3 * patience} epochs"),
    }
    if not situation.has_dev:
        epochs = math.ceil(STEPS_WITHOUT_DEV * batch / situation.utterances)
        chosen["epochs"] = (epochs, f"{STEPS_WITHOUT_DEV} steps, since there is no dev set")
    return chosen


def _batch(situation: Situation) -> tuple[int, str]:
    if situation.utterances < FEW:
        return 8, f"fewer than {FEW:,} utterances"
    if situation.utterances < MANY:
        return 16, f"fewer than {MANY:,} utterances"
    return 32, f"{MANY:,} utterances or more"


def _rate(situation: Situation) -> tuple[float, str]:
    rate = min(max(RATE_TIMES_WIDTH / situation.n_hidden, LOWEST_RATE), HIGHEST_RATE)
    # Two digits are enough, and read better.
    rounded = float(f"{rate:.1e}")
    return rounded, f"{RATE_TIMES_WIDTH} over the width of the layers, at most {HIGHEST_RATE}"


def _augment(situation: Situation) -> tuple[str, str]:
    if situation.utterances < FEW:
        return f"{MASKS} {TEMPO}", "few utterances: masks, and sometimes another tempo"
    return MASKS, "masks"


def _dropout(situation: Situation) -> tuple[float, str]:
    if situation.utterances < FEW:
        return 0.1, f"fewer than {FEW:,} utterances"
    return 0.05, f"{FEW:,} utterances or more"


def _patience(situation: Situation, batch: int) -> int:
    """Return the epochs without improvement after which the learning rate goes down."""
    steps = max(1, math.ceil(situation.utterances / batch))
    return min(max(math.ceil(PATIENCE_STEPS / steps), FEWEST_PATIENCE), MOST_PATIENCE)


def schedule(situation: Situation, batch: int) -> dict[str, Any]:
    """Return the settings of the schedule that goes with a chosen learning rate."""
    return {
        "warmup_steps": WARMUP_STEPS,
        "reduce_lr_on_plateau": True,
        "plateau_epochs": _patience(situation, batch),
        "plateau_reduction": 0.3,
        "es_min_delta": 0.0,
        "es_min_share": 0.005,
    }


def fit(
    config: TrainingConfig, start: Checkpoint, lineage: Mapping[str, Any] | None
) -> TrainingConfig:
    """Return the settings, with those chosen that are auto, and the reasons.

    The result depends only on corpus, start and settings, so that a run can be resumed.

    Args:
        config: the given settings.
        start: the checkpoint that training starts or resumes from.
        lineage: of the checkpoint that the run began from.
    """
    unset = [name for name in AUTOMATIC if getattr(config, name) in (None, AUTO)]
    config = replace(config, augment="" if config.augment == NO_AUGMENTATION else config.augment)
    if not unset:
        return config
    utterances = sum(1 for path in config.train_files for _ in iter_utterances(path))
    made = lineage or {}
    new_layers = len(made.get("dropped_layers") or ())
    situation = Situation(
        max(utterances, 1), new_layers, start.geometry.n_hidden, bool(config.dev_files)
    )
    chosen = choose(situation)
    values = {name: chosen[name][0] for name in unset}
    reasons = {name: chosen[name][1] for name in values}
    if "augment" in values and start.audio != USUAL_AUDIO:
        values["augment"] = ""
        reasons["augment"] = "augmentation knows features of 16000 Hz, 32 ms and 20 ms only"
    batch = values.get("train_batch_size", config.train_batch_size)
    if config.dev_files and not (config.early_stop or config.reduce_lr_on_plateau):
        plan = schedule(situation, batch)
        if "learning_rate" in values:
            values |= plan
        if "epochs" in values:
            values |= {"early_stop": True, "es_epochs": 3 * plan["plateau_epochs"]}
            values |= {name: plan[name] for name in ("es_min_delta", "es_min_share")}
    return replace(config, **values, reasons={"corpus": str(situation), **reasons})


def describe_choices(config: TrainingConfig) -> str:
    """Return the chosen settings and the corpus that they are for, in one line."""
    names = [name for name in config.reasons if name != "corpus"]
    values = (f"{name} {getattr(config, name) or 'none'}" for name in names if name != "epochs")
    ending = [f"epochs: {config.reasons['epochs']}"] if "epochs" in names else []
    return f"chosen for {config.reasons['corpus']}: {', '.join([*values, *ending])}"
