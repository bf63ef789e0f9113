"""Paths and ``file://`` URIs."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from stt_model.base import (
    StorageError,
    atomic_directory,
    atomic_write,
    check_output,
    redact,
)
from stt_model.storage.schemes.protocol import split_scheme


class LocalScheme:
    """Files on this machine, or mounted there."""

    names: tuple[str, ...] = ("", "file")
    shown = "a path, file://"
    is_local = True

    @contextmanager
    def bring(self, uri: str, *, size_limit: int, progress: bool = False) -> Iterator[Path]:
        """Yield the path without checking it."""
        yield self.path(uri)

    def check(self, uri: str) -> None:
        """Raise unless the path exists."""
        if not self.path(uri).exists():
            raise StorageError(f"{redact(uri)}: no such file or folder; check the path")

    def check_writable(self, uri: str) -> None:
        """Raise unless the nearest folder that exists may be written to."""
        check_output(self.path(uri), is_folder=True)

    def put(self, source: Path, uri: str) -> None:
        """Copy to a path; other files in an existing folder are left alone."""
        target = self.path(uri)
        if source.is_dir() and target.is_dir() and any(target.iterdir()):
            for path in sorted(each for each in source.rglob("*") if each.is_file()):
                _put_file(path, target / path.relative_to(source))
        elif source.is_dir():
            check_target(target)
            with atomic_directory(target) as place:
                shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            _put_file(source, target)

    def path(self, uri: str) -> Path:
        """Return the path that a path or a ``file://`` URI (percent-decoded) means."""
        scheme, rest = split_scheme(uri)
        label = redact(uri)
        if scheme:
            host, _, path = rest.partition("/")
            if host not in ("", "localhost"):
                raise StorageError(f"{label}: a file on the machine {host!r}; write file:///PATH")
            rest = unquote(f"/{path}", errors="surrogateescape")
        if not rest or "\0" in rest:
            raise StorageError(f"{label!r}: not a path")
        return Path(rest)


def check_target(target: Path) -> None:
    """Raise StorageError if writing there would overwrite something."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise StorageError(f"{target}: not empty; give a new or an empty folder")


def _put_file(source: Path, target: Path) -> None:
    """Copy a file, unless the target has the same content."""
    if target.is_dir():
        raise StorageError(f"{target}: expected a file or nothing, found a folder; remove it")
    if target.is_file() and filecmp.cmp(source, target, shallow=False):
        return
    with atomic_write(target) as beside:
        shutil.copyfile(source, beside)
