"""Put one folder's checkpoints in the place of another's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from stt_model.base import atomic_write
from stt_model.checkpoint.layout import STATE_FILES, STEMS

_CHECKPOINT_FILE = re.compile(rf"({'|'.join(map(re.escape, STEMS.values()))})-\d+.*")


def replace_checkpoint(made: Path, target: Path) -> None:
    """Move the checkpoints in ``made``, and what lies beside them, to ``target``.

    Those of ``target`` are removed; other files there stay. Until everything is there ``target``
    has no checkpoint, rather than parts of two, and ``made`` stays: a call that was broken off is
    finished by the next. Nothing happens where ``made`` holds no checkpoint.
    """
    pointers = set(STATE_FILES.values())
    if not any((made / name).is_file() for name in pointers):
        return
    for path in target.iterdir():
        if path.name in pointers or _CHECKPOINT_FILE.fullmatch(path.name):
            path.unlink()
    for path in sorted(made.iterdir(), key=lambda each: (each.name in pointers, each.name)):
        if path.is_dir():
            shutil.rmtree(target / path.name, ignore_errors=True)
            shutil.copytree(path, target / path.name)
        elif not path.name.startswith("."):
            with atomic_write(target / path.name) as beside:
                shutil.copyfile(path, beside)
    # First what makes it a checkpoint, so that one that is half removed is not moved again.
    for name in pointers:
        (made / name).unlink(missing_ok=True)
    shutil.rmtree(made)
