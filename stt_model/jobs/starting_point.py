"""What a training starts from: a checkpoint or nothing, and the alphabet of the model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from stt_model.base import CheckpointError, TrainingError
from stt_model.checkpoint import Checkpoint, find_model, has_own_alphabet, open_checkpoint
from stt_model.jobs.checkpoints import transcripts_of
from stt_model.text import Alphabet, build_alphabet
from stt_model.training import find_run

log = logging.getLogger(__name__)


def is_new_folder(source_dir: Path, target_dir: Path) -> bool:
    """Tell whether a folder that is both source and target has nothing to start from yet."""
    if not same_place(source_dir, target_dir) or any(source_dir.glob("*.index")):
        return False
    return not source_dir.exists() or find_model(source_dir) is None


def same_place(first: Path, second: Path) -> bool:
    """Tell whether two paths lead to the same place."""
    return first.resolve() == second.resolve()


def check_n_hidden(n_hidden: int | None, source: Checkpoint) -> None:
    """Raise CheckpointError if a width is given that is not the checkpoint's."""
    if n_hidden is not None and n_hidden != source.geometry.n_hidden:
        raise CheckpointError(
            f"{source.prefix}: --n_hidden says {n_hidden}, the checkpoint's layers are"
            f" {source.geometry.n_hidden} wide; leave --n_hidden out"
        )


def check_start_from_scratch(target_dir: Path, drop_source_layers: int, restart: bool) -> None:
    """Raise TrainingError if training from scratch needs a source, or would replace a run."""
    if drop_source_layers:
        raise TrainingError(
            "--load_train init starts without a checkpoint, but --drop_source_layers needs one;"
            " leave one of them out"
        )
    goes_on = restart or find_run(target_dir)
    if any(target_dir.glob("*.index")) and not goes_on:
        raise TrainingError(
            f"{target_dir}: holds a checkpoint, which training from scratch would replace; give"
            " another --save_checkpoint_dir, or leave --load_train init out"
        )


def open_source(
    folder: Path, which: str, drop_source_layers: int, alphabet: Alphabet | None
) -> Checkpoint:
    """Open the checkpoint to start from; CheckpointError if there is none."""
    if not folder.is_file() and (not folder.is_dir() or not any(folder.iterdir())):
        raise CheckpointError(
            f"{folder}: expected a checkpoint, found none; check the path, or train from scratch"
            " with --load_train init"
        )
    # If the checkpoint holds no alphabet, the given one is used for fine-tuning.
    bare = not drop_source_layers and not has_own_alphabet(folder)
    return open_checkpoint(folder, which=which, alphabet=alphabet if bare else None)


def target_alphabet(
    manifests: Sequence[Sequence[Path]],
    source: Checkpoint | None,
    given: Alphabet | None,
    drop_source_layers: int,
) -> Alphabet:
    """Return the alphabet of the model to be trained."""
    if given is not None:
        return given
    if source is not None and not drop_source_layers:
        return source.alphabet
    built = build_alphabet(transcripts_of(path for paths in manifests for path in paths))
    log.info("alphabet built from the transcripts: %d labels", built.size)
    return built
