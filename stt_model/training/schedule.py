"""When training ends early and when it lowers its learning rate: by the dev loss, as in Coqui."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.training.config import TrainingConfig


@dataclass
class DevRecord:
    """The best dev loss of a run, in nats an utterance, and how long ago it got better."""

    best_loss: float | None = None
    best_epoch: int = 0
    epochs_without_improvement: int = 0

    def add(self, epoch: int, dev_loss: float, min_delta: float) -> bool:
        """Take in the dev loss of an epoch; return whether it is the best so far.

        One that is the best by less than ``min_delta`` is no improvement all the same.
        """
        if self.best_loss is None:
            self.best_loss, self.best_epoch = dev_loss, epoch
            return True
        improved = dev_loss <= self.best_loss - min_delta
        self.epochs_without_improvement = 0 if improved else self.epochs_without_improvement + 1
        if dev_loss >= self.best_loss:
            return False
        self.best_loss, self.best_epoch = dev_loss, epoch
        return True

    def is_over(self, config: TrainingConfig) -> bool:
        """Return whether early stopping ends the run now."""
        return config.early_stop and self.epochs_without_improvement >= config.es_epochs

    def is_plateau(self, config: TrainingConfig) -> bool:
        """Return whether to go back to the best weights with a lower learning rate now.

        Without any improvement it comes again after as many epochs more.
        """
        waited = self.epochs_without_improvement
        return config.reduce_lr_on_plateau and waited > 0 and waited % config.plateau_epochs == 0
