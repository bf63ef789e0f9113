"""Read untrusted files safely: no pipes or devices, and no endlessly nested JSON."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

JSON_LIMIT = 64 * 2**20
"""Bytes of a JSON file; thousands of epochs of training write less than 1 MiB."""


def open_regular(path: Path | str) -> BinaryIO:
    """Open a regular file for reading, and nothing else.

    A pipe could block for ever, and a device such as ``/dev/zero`` never ends.

    Raises:
        OSError: there is no such file, it is not a regular file, or the name is invalid.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        # The name holds a NUL, or half of a surrogate pair.
        raise OSError(errno.EINVAL, "Invalid file name", str(path)) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a regular file, but a pipe or a device", str(path))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; ValueError if it is invalid or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is invalid, nested too deeply, or larger than ``JSON_LIMIT``.
    """
    with open_regular(path) as file:
        text = file.read(JSON_LIMIT + 1)
    if len(text) > JSON_LIMIT:
        raise ValueError(f"larger than {JSON_LIMIT} bytes")
    return parse_json(text)


def one_line(text: str, limit: int = 200) -> str:
    """Return untrusted text as one short line without control characters."""
    plain = " ".join(text.split())
    return "".join(each if each.isprintable() else "?" for each in plain)[:limit]
