"""Open a source: a folder, a file, an archive, an object store."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stt_model.base import atomic_directory, redact
from stt_model.importing.clip import ImportSourceError
from stt_model.importing.tree import StoredTree, Tree
from stt_model.storage import (
    MissingError,
    is_remote,
    is_stored,
    local_file,
    local_path,
    sha256_file,
    split_root,
    store_of,
    unpack,
)

_MEMBERS = 20_000_000
_UNPACKED = 1 << 42  # bytes
_SPARE = 1 << 30
"""Bytes of the disk that unpacking leaves free."""
_ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tbz2", ".txz", ".zip")


@dataclass(frozen=True)
class Source:
    """An open source."""

    tree: Tree
    label: str
    is_temporary: bool
    """Whether its audio disappears when the import ends and must be copied."""


@contextmanager
def open_source(uri: str, corpus: Path, *, keep: bool) -> Iterator[Source]:
    """Yield the files of a source for the duration of the block.

    An archive is unpacked once, into ``corpus`` if ``keep``.
    StorageError or ImportSourceError, one line, if it is missing or cannot be read.
    """
    label = redact(uri)
    if is_stored(uri) and not uri.lower().endswith(_ARCHIVES):
        yield Source(_stored_tree(uri), label, is_temporary=False)
        return
    if is_remote(uri):
        with local_file(uri) as path, _unpacked(path, label, corpus, keep) as source:
            yield source
        return
    path = local_path(uri)
    if not path.exists():
        raise ImportSourceError(f"{label}: expected a folder, a table or an archive, found nothing")
    if path.is_dir():
        yield Source(Tree(path), label, is_temporary=False)
    elif _is_archive(path):
        with _unpacked(path, label, corpus, keep) as source:
            yield source
    else:
        yield Source(Tree(path.parent, path.name), label, is_temporary=False)


def _stored_tree(uri: str) -> StoredTree:
    if uri.endswith("/") or not split_root(uri)[1]:
        return _listed(uri)
    try:
        store_of(uri).stat(uri)
    except MissingError:
        return _listed(uri)
    folder, _, name = uri.rpartition("/")
    return StoredTree(folder, name)


def _listed(uri: str) -> StoredTree:
    tree = StoredTree(uri)
    if not tree.look:
        raise MissingError(f"{redact(uri)}: nothing is stored there; check the address")
    return tree


def _is_archive(path: Path) -> bool:
    # An Excel workbook is a zip archive too.
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        return False
    # The suffix alone counts too: reading it then reports what is wrong.
    return zipfile.is_zipfile(path) or _is_tar(path) or path.name.lower().endswith(_ARCHIVES)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, OSError, zlib.error, lzma.LZMAError):
        return False


@contextmanager
def _unpacked(archive: Path, label: str, corpus: Path, keep: bool) -> Iterator[Source]:
    if not keep:
        with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as scratch:
            _unpack(archive, Path(scratch), label)
            yield Source(Tree(Path(scratch), label=label), label, is_temporary=True)
        return
    target = corpus / f"source-{sha256_file(archive)[:12]}"
    if not target.exists():
        with atomic_directory(target) as beside:
            _unpack(archive, beside, label)
    yield Source(Tree(target, label=label), label, is_temporary=False)


def _unpack(archive: Path, target: Path, label: str) -> None:
    # An archive can hide its real size, and must not fill a disk that others use.
    room = max(shutil.disk_usage(target).free - _SPARE, 0)
    unpack(archive, target, name=label, unpacked_limit=min(_UNPACKED, room), member_limit=_MEMBERS)
