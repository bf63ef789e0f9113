"""Log messages of a run after each epoch."""

from __future__ import annotations

import logging

from stt_model.training.config import TrainingConfig
from stt_model.training.state import Epoch, RunState

log = logging.getLogger(__name__)


def log_epoch(epoch: Epoch) -> None:
    """Log the results of an epoch in one line."""
    parts = []
    if epoch.train_loss is not None:
        parts.append(f"train loss {epoch.train_loss:.3f}")
    if epoch.dev_loss is not None:
        parts.append(f"dev loss {epoch.dev_loss:.3f}")
    if epoch.dev_wer is not None and epoch.dev_cer is not None:
        parts.append(f"dev WER {epoch.dev_wer:.1%}, CER {epoch.dev_cer:.1%}")
    if epoch.number:
        parts.append(f"{epoch.audio_seconds_per_second:.0f} s of audio a second")
        parts += ["new best"] * epoch.best
    else:
        parts.append("the unchanged source")
    log.info("epoch %d: %s", epoch.number, ", ".join(parts))


def log_time_left(config: TrainingConfig, state: RunState, epoch_seconds: float) -> None:
    """Log when the run will end if epochs continue to take so many seconds."""
    left = config.epochs - (state.epoch - 1)
    if not config.early_stop:
        log.info("%s left, about %s", _epochs(left), in_words(left * epoch_seconds))
        return
    waiting = max(config.es_epochs - state.record.epochs_without_improvement, 1)
    if waiting < left:
        log.info(
            "ends in %s, about %s, unless the dev figures improve until then",
            _epochs(waiting),
            in_words(waiting * epoch_seconds),
        )
    else:
        log.info("%s left at most, about %s", _epochs(left), in_words(left * epoch_seconds))


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' * (number != 1)}"


def in_words(seconds: float) -> str:
    """Format a duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
