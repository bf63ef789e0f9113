"""Training on every device of this machine: the best and the last checkpoint, and resuming.

A killed run resumes where it was last saved, and ends with the same weights as without the
interruption.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from stt_model.base import AUTO, CheckpointError, TrainingError, leased
from stt_model.checkpoint import Checkpoint, check_save_directory, open_checkpoint
from stt_model.corpus import USUAL_AUDIO
from stt_model.network import is_chief
from stt_model.training.config import TrainingConfig
from stt_model.training.defaults import fit
from stt_model.training.loop import TrainingLoop
from stt_model.training.report import TrainingResult
from stt_model.training.state import Epoch, find_run

__all__ = ["Epoch", "TrainingConfig", "TrainingResult", "train"]


def train(config: TrainingConfig, after_save: Callable[[], None] = lambda: None) -> TrainingResult:
    """Train all weights of a checkpoint, and leave the best and the last in Coqui's layout.

    The checkpoint is measured on the dev set before the first step, so the best can be the source
    itself. The optimizer starts afresh, with the given learning rate. The source checkpoint is
    kept, even if the new ones are saved in the same directory.

    If ``save_checkpoint_dir`` holds a run with the same settings, it is resumed, and
    ``load_checkpoint_dir`` is not read; a finished run is left unchanged.

    Args:
        config: what to train, on what, and how.
        after_save: called whenever the run can be resumed from ``save_checkpoint_dir``.

    Raises:
        BootstrapError: if the checkpoint, the manifests or the numbers cannot be used, or losses
            are not finite.
        StoppedError: SIGTERM was received, or the store with the clips failed; the state is saved.
    """
    config.check()
    with _alone(config.save_checkpoint_dir):
        return _train(config, after_save)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Lock a directory against other runs; of several workers, the first does so for all."""

    def busy(owner: str) -> TrainingError:
        return TrainingError(
            f"{directory}: another process is training there ({owner}); wait for its end, or give"
            " --save_checkpoint_dir another folder"
        )

    if not is_chief():
        yield
        return
    is_new = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"{directory}: cannot write the checkpoint: {error.strerror}"
        ) from error
    try:
        with leased(directory / ".training.lock", busy):
            yield
    except OSError as error:
        if error.filename is None or Path(error.filename).parent != directory:
            raise
        raise TrainingError(f"{error.filename}: cannot be written: {error.strerror}") from error
    finally:
        if is_new:
            # Only if nothing was saved there.
            with contextlib.suppress(OSError):
                directory.rmdir()


def _train(config: TrainingConfig, after_save: Callable[[], None]) -> TrainingResult:
    run = None if config.restart else find_run(config.save_checkpoint_dir)
    if run:
        start, state = run
    else:
        start = open_checkpoint(
            config.load_checkpoint_dir, which=config.load_train, alphabet=config.alphabet
        )
        check_save_directory(config.save_checkpoint_dir, start.geometry, start.alphabet)
        state = None
    lineage = state.source["lineage"] if state else start.lineage
    config = fit(config, start, lineage)
    if state and config.mixed_precision == AUTO:
        # The precision that the run began with, also on another machine.
        began = state.identity.get("mixed_precision", AUTO)
        config = replace(config, mixed_precision=began)
    if state:
        state.check_same(config.identity(), config.save_checkpoint_dir)
    if config.freeze_source_epochs or config.kept_layers_rate != 1:
        _check_new_layers(start, lineage)
    if config.augment and start.audio != USUAL_AUDIO:
        raise TrainingError(
            f"{start.prefix}: trained at {start.audio.audio_sample_rate} Hz with windows of"
            f" {start.audio.feature_win_len} ms every {start.audio.feature_win_step} ms, but"
            " --augment knows 16000 Hz, 32 ms and 20 ms only; leave --augment out"
        )
    return TrainingLoop(config, start, state, after_save).run()


def _check_new_layers(start: Checkpoint, lineage: Mapping[str, Any] | None) -> None:
    made = lineage or {}
    if not (made.get("dropped_layers") and made.get("kept_layers")):
        raise TrainingError(
            f"{start.prefix}: --freeze_source_epochs and --kept_layers_rate tell new layers from"
            " those of a source, but this checkpoint was not made by replacing layers; replace some"
            " with --drop_source_layers, or leave them out"
        )
