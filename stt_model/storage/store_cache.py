"""Fetch from an object store into the cache folder, so that interrupted downloads can resume."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from stt_model.base import AlreadyLockedError, StorageError, locked, redact
from stt_model.storage.cache_folder import CACHE_VARIABLE, cache_directory
from stt_model.storage.schemes.protocol import Store, split_root
from stt_model.storage.store_errors import CONTINUABLE_ERRORS, MissingError
from stt_model.storage.stored import StoredObject

_logger = logging.getLogger(__name__)


@contextmanager
def brought(store: Store, uri: str, *, size_limit: int, progress: bool = False) -> Iterator[Path]:
    """Yield the object ``uri`` of ``store`` as a file, or all the objects below it as a folder.

    It is in the cache folder, a file under its own name, and is removed when the block ends. If
    the connection breaks it is kept, and the next call resumes it as long as the objects are
    unchanged. ``size_limit`` is in bytes; ``progress`` draws a bar where there is a terminal.

    Raises StorageError, one line. OSError of the disk passes through.
    """
    place = cache_directory() / f"{hashlib.sha256(os.fsencode(uri)).hexdigest()}.store"
    place.mkdir(parents=True, exist_ok=True)
    try:
        with locked(place / "lock"):
            try:
                yield _bring(store, uri, place, size_limit, progress)
            except CONTINUABLE_ERRORS:
                _logger.warning("%s: what arrived is kept in %s", redact(uri), place)
                raise
            except Exception:
                shutil.rmtree(place)
                raise
            shutil.rmtree(place)
    except AlreadyLockedError:
        raise StorageError(
            f"{redact(uri)}: another process is fetching it to {place}; wait for that one, or set "
            f"{CACHE_VARIABLE} to another folder"
        ) from None


def _bring(store: Store, uri: str, place: Path, size_limit: int, progress: bool) -> Path:
    root, objects = find_objects(store, uri)
    size = sum(stored.size for stored in objects)
    if size > size_limit:
        raise StorageError(
            f"{redact(uri)}: {size} bytes, the limit is {size_limit}; raise it if that is right"
        )
    content = place / "content"
    _forget_others(place, content, objects)
    bar = tqdm(
        desc=redact(uri).rstrip("/").rpartition("/")[2],
        total=size,
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    )
    with bar:
        store.download_objects(objects, root, content, advance=bar.update)
    return content if root == uri else content / objects[0].key.rpartition("/")[2]


def find_objects(store: Store, uri: str) -> tuple[str, Sequence[StoredObject]]:
    """Return the object that ``uri`` names and the URI of its folder; or ``uri`` and all below it.

    Raises MissingError if there is neither.
    """
    key = split_root(uri)[1]
    if key and not key.endswith("/"):
        try:
            return uri.rpartition("/")[0], [store.stat(uri)]
        except MissingError as error:
            missing = error
    else:
        missing = MissingError(f"{redact(uri)}: nothing is stored there; check the address")
    objects = list(store.list(uri))
    if not objects:
        raise missing
    return uri, objects


def _forget_others(place: Path, content: Path, objects: Sequence[StoredObject]) -> None:
    """Remove what an earlier call fetched, unless it is part of the same objects."""
    digest = hashlib.sha256()
    for stored in objects:
        digest.update(f"{stored.uri}\0{stored.etag}\0".encode())
    version = place / "version"
    if not version.exists() or version.read_text("ascii") != digest.hexdigest():
        shutil.rmtree(content, ignore_errors=True)
        version.write_text(digest.hexdigest(), "ascii")
