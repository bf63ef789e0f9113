"""Early stopping and learning rate plateaus by the dev set, as in Coqui."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.training.config import TrainingConfig


@dataclass
class DevRecord:
    """The best dev figure of a run, and how long ago it improved.

    The figure is the loss in nats per utterance, or an error rate; see ``TrainingConfig.best_by``.
    """

    best_loss: float | None = None
    best_epoch: int = 0
    epochs_without_improvement: int = 0

    def add(self, epoch: int, figure: float, min_delta: float, min_share: float = 0.0) -> bool:
        """Record the dev figure of an epoch; return whether it is the best so far.

        If it is the best by less than ``min_delta``, or by less than ``min_share`` of the best, it
        still does not count as an improvement.
        """
        if self.best_loss is None:
            self.best_loss, self.best_epoch = figure, epoch
            return True
        improved = figure <= self.best_loss - max(min_delta, min_share * self.best_loss)
        self.epochs_without_improvement = 0 if improved else self.epochs_without_improvement + 1
        if figure >= self.best_loss:
            return False
        self.best_loss, self.best_epoch = figure, epoch
        return True

    def is_over(self, config: TrainingConfig) -> bool:
        """Return whether early stopping ends the run now."""
        return config.early_stop and self.epochs_without_improvement >= config.es_epochs

    def is_plateau(self, config: TrainingConfig) -> bool:
        """Return whether to go back to the best weights with a lower learning rate now.

        Without an improvement it is repeated after as many epochs again.
        """
        waited = self.epochs_without_improvement
        return config.reduce_lr_on_plateau and waited > 0 and waited % config.plateau_epochs == 0


def warmed(learning_rate: float, updates: int, warmup_steps: int) -> float:
    """Return the learning rate of an update during linear warm-up.

    Adam's first steps are as long as the learning rate whatever the gradient is, which disturbs
    trained layers before its averages mean anything.
    """
    return learning_rate * min(1.0, (updates + 1) / warmup_steps) if warmup_steps else learning_rate
