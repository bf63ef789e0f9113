"""Find the deployed model at a path."""

from __future__ import annotations

from pathlib import Path

from stt_model.base import CheckpointError

SUFFIXES = (".tflite", ".pb", ".pbmm")
"""Suffixes of these formats, to find a model in a folder."""

_CHECKPOINT_SIGNS = ("best_dev_checkpoint", "checkpoint", "*.index")
# As deep as in packages of package registries; a whole disk is never searched.
_PLACES = ("*", "*/*", "*/*/*")


def find_model(place: Path) -> Path | None:
    """Return the deployed model at a path: the file itself, or the only one in a folder.

    None for a folder with a checkpoint, which has precedence, or with neither.

    Raises:
        CheckpointError: several models, of which one has to be named.
    """
    if place.is_file():
        return place
    if not place.is_dir() or any(any(place.glob(sign)) for sign in _CHECKPOINT_SIGNS):
        return None
    for pattern in _PLACES:
        found = sorted(
            path
            for path in place.glob(pattern)
            if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(place)) for path in found[:6])
            raise CheckpointError(
                f"{place}: holds several deployed models: {names}; give the path of one of them"
            )
        if found:
            return found[0]
    return None
