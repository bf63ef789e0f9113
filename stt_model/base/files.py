"""Files and folders that appear whole or not at all: written beside, then renamed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stt_model.base.errors import BootstrapError


class AlreadyLockedError(Exception):
    """Another process, or another thread, has the file."""


def _read_umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


# It cannot be read without being changed for a moment, so that is done before there are threads.
_UMASK = _read_umask()


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a file beside ``path``; it takes the name ``path`` only if the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o666 & ~_UMASK)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path | str) -> Iterator[Path]:
    """Yield a folder beside ``path``; it takes the name ``path`` only if the block ends well.

    ``path`` may exist as an empty folder (an output that Kubeflow made); a filled one is an error.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield beside
        beside.chmod(0o777 & ~_UMASK)
        beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep others away from ``path``, which is made if there is none, or raise AlreadyLockedError.

    The lock belongs to the file, not to its name: the block may give it another name.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_there = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
        except BlockingIOError:
            is_there = False
        # Who had it before may have renamed it since it was opened here.
        if not is_there:
            raise AlreadyLockedError
        yield


def check_output(path: Path | None, *, is_folder: bool = False) -> None:
    """Refuse a place that nothing can be written to, before the work is done that belongs there."""
    if path is None:
        return
    if not is_folder and path.is_dir():
        raise BootstrapError(f"{path}: expected the name of a file, found a folder; add a name")
    places = (path, *path.absolute().parents) if is_folder else path.absolute().parents
    existing = next(place for place in places if place.exists())
    if not existing.is_dir():
        raise BootstrapError(f"{existing}: expected a folder, found a file; give another place")
    if not os.access(existing, os.W_OK):
        raise BootstrapError(f"{existing}: expected a folder to write to, found it locked")
