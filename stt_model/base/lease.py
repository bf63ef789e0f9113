"""A folder that one process at a time may use, on any of the machines that share its disk.

Two signs show that the owner is alive. The kernel's lock ends with the process, and on most shared
disks other machines see it too. Where they do not, there is a heartbeat: the owner changes the
time of the lock file every few seconds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

BEAT = 15.0
"""Seconds between two heartbeats."""
PATIENCE = 60.0
"""Seconds without a heartbeat after which an owner on another machine counts as dead."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def leased(path: Path, busy: Callable[[str], Exception]) -> Iterator[None]:
    """Hold the lock file ``path`` for the duration of the block.

    The file of a dead owner is taken over: at once where this machine's kernel shows that it is
    dead, otherwise after ``PATIENCE`` without a heartbeat.

    Args:
        path: in an existing folder.
        busy: makes the error to raise from the owner's name.

    Raises:
        OSError: the file cannot be made.
    """
    file = _take(path, busy)
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(file.fileno(), stop), daemon=True)
    try:
        file.seek(0)
        file.truncate()
        file.write(f"{socket.gethostname()} {os.getpid()}\n".encode())
        file.flush()
        heart.start()
        yield
    finally:
        stop.set()
        if heart.is_alive():
            heart.join()
        if _is_at(path, file):
            path.unlink(missing_ok=True)
        file.close()


def _take(path: Path, busy: Callable[[str], Exception]) -> BinaryIO:
    while True:
        file: BinaryIO = path.open("a+b")
        try:
            file.seek(0)
            owner = file.read(300).decode(errors="replace").strip()
            if not _lock(file):
                raise busy(owner or "another process")
            # Its previous owner may have removed it since it was opened here.
            if _is_at(path, file):
                _wait_for_death(file, owner, busy)
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # A disk without locks: only the heartbeat can tell.
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _wait_for_death(file: BinaryIO, owner: str, busy: Callable[[str], Exception]) -> None:
    """Return once an owner without a lock on this machine is known to be dead."""
    host = owner.partition(" ")[0]
    if not owner or host == socket.gethostname():
        return
    log.info("waiting %.0f s for a sign of life from the owner of the folder, %s", PATIENCE, owner)
    last = os.fstat(file.fileno()).st_mtime_ns
    until = time.monotonic() + PATIENCE
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 1.0))
        # Reading makes a shared disk fetch the file's time again.
        file.seek(0)
        file.read(1)
        if os.fstat(file.fileno()).st_mtime_ns != last:
            raise busy(owner)


def _beat(descriptor: int, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(descriptor)


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
