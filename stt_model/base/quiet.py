"""Silence native libraries that print to stderr regardless of the log level."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stderr_held_back() -> Iterator[None]:
    """Capture what the process prints to stderr; show it only if the block fails."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            yield
        except BaseException:
            printed.seek(0)
            os.write(original, printed.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


def have_streams() -> None:
    """Open null streams for a process that was started without stdin, stdout or stderr.

    Otherwise the next files it opens would take their numbers and receive what libraries print.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


class _NativeStderr:
    """File descriptor 2, for native libraries; ``separate`` gives Python's stderr its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holding = 0
        self._original = -1
        self._nowhere = -1

    @property
    def is_separate(self) -> bool:
        return self._original >= 0

    def separate(self) -> None:
        """Give Python's stderr its own descriptor to the same place."""
        if self.is_separate or not _is_file_2(sys.stderr):
            return
        sys.stderr.flush()
        self._original, self._nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        sys.stderr = io.TextIOWrapper(
            os.fdopen(os.dup(2), "wb", 0),
            encoding=sys.stderr.encoding,
            errors="backslashreplace",
            write_through=True,
        )

    def hold(self) -> None:
        with self._lock:
            if not self._holding:
                os.dup2(self._nowhere, 2)
            self._holding += 1

    def release(self) -> None:
        with self._lock:
            self._holding -= 1
            if not self._holding:
                os.dup2(self._original, 2)


_native_stderr = _NativeStderr()
separate_stderr = _native_stderr.separate


@contextmanager
def native_lines_dropped() -> Iterator[None]:
    """Drop what native libraries print to stderr; any number of threads may do so at once.

    Nothing is dropped before ``separate_stderr`` was called: Python's lines would be lost too.
    """
    if not _native_stderr.is_separate:
        yield
        return
    _native_stderr.hold()
    try:
        yield
    finally:
        _native_stderr.release()


def _is_file_2(stream: object) -> bool:
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == 2
    except (OSError, ValueError):
        return False
