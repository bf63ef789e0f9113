"""Files and folders that appear whole or not at all: written under another name, then renamed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stt_model.base.errors import BootstrapError


class AlreadyLockedError(Exception):
    """Another process, or another thread, holds the file."""


_SUFFIX = ".unfinished"
_FRESH = 60.0
"""Seconds before an unfinished file may count as a leftover."""


def _read_umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


# Reading the umask means changing it for a moment, so do it before there are threads.
_UMASK = _read_umask()


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary file beside ``path``; it is renamed to ``path`` if the block succeeds.

    One that a killed process left there is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent)
    beside = Path(name)
    try:
        _mark(descriptor)
        yield beside
        beside.chmod(0o666 & ~_UMASK)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def atomic_directory(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it is renamed to ``path`` if the block succeeds.

    ``path`` may exist as an empty folder (an output that Kubeflow made); a filled one is an error.
    """
    path = Path(path)
    with scratch_directory(path) as beside:
        yield beside
        beside.chmod(0o777 & ~_UMASK)
        beside.replace(path)


@contextmanager
def scratch_directory(path: Path | str) -> Iterator[Path]:
    """Yield an empty folder beside ``path``, which is gone at the end, however the process ends.

    One that a killed process left there is removed by the next call for the same ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent))
    descriptor = os.open(beside, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _mark(descriptor)
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        os.close(descriptor)


def _mark(descriptor: int) -> None:
    """Show other processes that the writer is alive, on file systems that support locks."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_leftovers(path: Path) -> None:
    """Remove unfinished files for ``path`` whose processes are dead."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}{re.escape(_SUFFIX)}")
    with suppress(OSError):
        for each in path.parent.iterdir():
            if pattern.fullmatch(each.name):
                _remove_if_dead(each)


def _remove_if_dead(left: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(left, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            # There is a moment between creating and locking it.
            if time.time() - os.fstat(descriptor).st_mtime < _FRESH:
                return
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        finally:
            os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock ``path``, creating it if it does not exist, or raise AlreadyLockedError.

    The lock belongs to the file, not to its name: the block may give it another name.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_there = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
        except BlockingIOError:
            is_there = False
        # Its previous owner may have renamed it since it was opened here.
        if not is_there:
            raise AlreadyLockedError
        yield


def check_name(path: Path) -> None:
    """Refuse a path that is not UTF-8: manifests and reports, which are, could not name it."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise BootstrapError(
            f"{shown}: expected a path in UTF-8, found other bytes; rename the folder"
        ) from None


def check_output(place: Path | str | None, *, is_folder: bool = False) -> None:
    """Refuse a place that cannot be written to, before any work is done for it."""
    if place is None:
        return
    path = Path(place)
    check_name(path)
    if not is_folder and path.is_dir():
        raise BootstrapError(f"{path}: expected the name of a file, found a folder; add a name")
    places = (path, *path.absolute().parents) if is_folder else path.absolute().parents
    existing = next(place for place in places if place.exists())
    if not existing.is_dir():
        raise BootstrapError(f"{existing}: expected a folder, found a file; give another place")
    if not os.access(existing, os.W_OK):
        raise BootstrapError(f"{existing}: expected a writable folder, found a read-only one")
