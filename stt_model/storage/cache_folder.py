"""Where downloads and what is kept of stores lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from stt_model.base import StorageError

CACHE_VARIABLE = "STT_BOOTSTRAP_CACHE"


def cache_directory() -> Path:
    """Return the folder for unfinished downloads; it may not exist yet."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    # The XDG specification says to ignore relative paths.
    shared = os.environ.get("XDG_CACHE_HOME", "")
    if Path(shared).is_absolute():
        return Path(shared) / "stt-bootstrap"
    try:
        return Path.home() / ".cache" / "stt-bootstrap"
    except RuntimeError:
        raise StorageError(
            f"there is no home folder to keep downloads in; set {CACHE_VARIABLE} to a folder"
        ) from None
