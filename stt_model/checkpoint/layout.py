"""The files of a checkpoint directory in Coqui STT's layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from stt_model.base import CheckpointError
from stt_model.checkpoint.geometry import (
    shorten_names,
)

Weights = Mapping[str, NDArray[np.float32]]
Moments = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
STATE_FILES: dict[str, str] = {"best": "best_dev_checkpoint", "last": "checkpoint"}
STEMS: dict[str, str] = {"best": "best_dev", "last": "train"}
FRESH_BETA_POWERS = (0.9, 0.999)
_NAME_LIMIT = 200
"""Maximum bytes of a checkpoint's name: file systems allow 255, including its suffixes."""
STATE_PATH = re.compile(r"""(?<!\w)model_checkpoint_path\s*:\s*["'](?P<path>[^"']*)["']""")


def state_path(prefix: Path) -> Path:
    """The file with the state of the run that wrote a checkpoint."""
    return prefix.with_name(f"{prefix.name}.training.json")


def check_which(which: str, *allowed: str) -> None:
    """Raise CheckpointError unless ``which`` is one of those allowed."""
    if which not in allowed:
        raise CheckpointError(f"which checkpoint: expected {' or '.join(allowed)}, found {which!r}")


def present(directory: Path) -> list[str]:
    """Which checkpoints ``open_checkpoint`` finds in a directory, which may not exist."""
    whiches = [which for which, name in STATE_FILES.items() if (directory / name).is_file()]
    return whiches or (["auto"] if any(directory.glob("*.index")) else [])


def listing(directory: Path) -> str:
    """Return the content of a directory, in words."""
    names = sorted(path.name for path in directory.iterdir())
    return shorten_names(names) if names else "an empty directory"


def name_in_state(state_file: Path) -> str:
    """Base name of the checkpoint in a state file; the path may be of another machine."""
    try:
        text = state_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{state_file}: cannot be read as text ({error})") from error
    match = STATE_PATH.search(text)
    name = PureWindowsPath(match["path"]).name if match else ""
    if not name or not name.isprintable() or len(name.encode()) > _NAME_LIMIT:
        raise CheckpointError(
            f'{state_file}: expected a line model_checkpoint_path: "NAME-STEP", found '
            f"{text[:60]!r}; write that line or remove the file"
        )
    return name


# Variables
