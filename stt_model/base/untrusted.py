"""Reading what others wrote: no device without an end, and no JSON that is nested without one."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

JSON_LIMIT = 64 * 2**20
"""Bytes of a JSON file: what training writes of a run of thousands of epochs is below one MiB."""


def open_regular(path: Path | str) -> BinaryIO:
    """Open a file for reading, and nothing that is none.

    A pipe could wait for ever, and a device such as ``/dev/zero`` has no end.

    Raises:
        OSError: there is no such file, it is something else, or its name cannot be one.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody to write.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        # A NUL, or half of a surrogate pair.
        raise OSError(errno.EINVAL, "No file can have such a name", str(path)) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a regular file, but a pipe or a device", str(path))


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says; ValueError if it is none, or is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_json(path: Path) -> Any:
    """Return what a JSON file says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, nested too deeply, or larger than ``JSON_LIMIT``.
    """
    with open_regular(path) as file:
        text = file.read(JSON_LIMIT + 1)
    if len(text) > JSON_LIMIT:
        raise ValueError(f"larger than {JSON_LIMIT} bytes")
    return parse_json(text)


def one_line(text: str, limit: int = 200) -> str:
    """Return foreign text in one line, without what could control a terminal, and not too long."""
    plain = " ".join(text.split())
    return "".join(each if each.isprintable() else "?" for each in plain)[:limit]
