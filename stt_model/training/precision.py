"""The automatic choice of a run's precision, and the check that can revoke it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stt_model.base import AUTO

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tensorflow as tf

    from stt_model.checkpoint import Geometry
    from stt_model.training.config import TrainingConfig
    from stt_model.training.learner import Learner

NARROW = 512
"""Smaller widths are not measured: products are a small part of a step there."""
CLEARLY_FASTER = 1.25
"""Minimum speed-up of products in bfloat16."""
LOSS_BOUND, LOSS_NATS = 0.01, 0.1
"""Allowed change of a loss by bfloat16: a share of it, or nats if that is more."""
GRADIENT_BOUND = 0.1
"""Allowed norm of a gradient's change by bfloat16, over the norm of the gradient."""
UTTERANCES_COMPARED = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Precision:
    """The precision of a run, one of ``config.PRECISIONS``, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        shown = "float32" if self.name == "off" else self.name
        return f"in {shown} ({self.reason})"


FULL = Precision("off", "as asked for")


def choose_precision(
    config: TrainingConfig, geometry: Geometry, strategy: tf.distribute.Strategy
) -> Precision:
    """Return the precision: the requested one, or for auto the faster one on this machine.

    Workers that train together make the same choice.
    """
    if config.mixed_precision != AUTO:
        return Precision(config.mixed_precision, "as asked for")
    if geometry.n_hidden < NARROW:
        return Precision("off", f"layers narrower than {NARROW} gain nothing from 16 bits")
    from stt_model.network import sum_over_workers, workers_of

    rows = max(1, config.train_batch_size // strategy.num_replicas_in_sync)
    speed = bfloat16_gain(geometry.n_hidden, rows)
    (faster,) = sum_over_workers(strategy, [int(speed >= CLEARLY_FASTER)])
    workers = workers_of(strategy).count
    measured = f"products are {speed:.1f} times as fast in bfloat16"
    if faster == workers:
        return Precision("bfloat16", measured)
    if speed >= CLEARLY_FASTER:
        return Precision("off", "not all workers multiply bfloat16 faster")
    if speed:
        return Precision("off", measured)
    return Precision("off", "no instructions for bfloat16 here")


def bfloat16_gain(n_hidden: int, rows: int) -> float:
    """Return how many times as fast products are in bfloat16, for ``rows`` utterances a device.

    0, without a measurement, for narrow layers and for hardware without the instructions.
    """
    from stt_model.network import bfloat16_speed, multiplies_bfloat16

    if n_hidden < NARROW or not multiplies_bfloat16():
        return 0.0
    return bfloat16_speed(n_hidden, rows)


@dataclass(frozen=True)
class Difference:
    """The differences of a network's results in 16 bits from those in float32."""

    loss: float
    """Nats per utterance, in float32."""
    loss_difference: float
    gradient_share: float
    """The norm of the difference of the gradients, over the norm of that in float32."""

    @property
    def is_small(self) -> bool:
        """Whether the differences are within the bounds; NaN is not."""
        bound = max(LOSS_BOUND * self.loss, LOSS_NATS)
        return self.loss_difference <= bound and self.gradient_share <= GRADIENT_BOUND

    def __str__(self) -> str:
        return (
            f"loss {self.loss:.3f}, which 16 bits change by {self.loss_difference:.3f}, and the"
            f" gradient by {self.gradient_share:.1%}; allowed are {LOSS_BOUND:.0%} or"
            f" {LOSS_NATS:g}, and {GRADIENT_BOUND:.0%}"
        )


def look_back(learner: Learner, batch: Mapping[str, Any], chosen: Precision) -> Precision:
    """Return the chosen precision, or float32 if it changes the first step too much.

    Losses and gradients of the first utterances of a batch are computed in both, without dropout.
    From then on the learner uses the returned precision.
    """
    from stt_model.network import sum_over_workers, workers_of

    difference = Difference(
        *learner.compare_precisions(batch, UTTERANCES_COMPARED, "off", chosen.name)
    )
    (small,) = sum_over_workers(learner.strategy, [int(difference.is_small)])
    if small == workers_of(learner.strategy).count:
        log.debug("the first batch in float32 and in %s: %s", chosen.name, difference)
        return chosen
    learner.set_precision("off")
    log.warning("computing in float32 after all: the first batch has a %s", difference)
    return Precision("off", f"16 bits changed the first batch too much: {difference}")
