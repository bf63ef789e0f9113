"""Fetch the manifests of a dataset in an object store; the audio stays there."""

from __future__ import annotations

import csv
import posixpath
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from stt_model.base import atomic_write
from stt_model.storage import (
    MissingError,
    Store,
    StoredObject,
    cache_directory,
    split_root,
    store_of,
)

AUDIO_COLUMN = "wav_filename"
_FIELD_LIMIT = 1 << 27  # bytes, as for reading manifests (stt_model.corpus.manifests)


def bring_manifests(root: str, names: Iterable[str]) -> dict[str, Path]:
    """Return local files of the existing manifests among ``names`` below ``root``, by name.

    ``root`` is the URI of a folder in an object store. Relative audio names become whole URIs in
    the local file; rows, columns and everything else are unchanged. The files are kept in the cache
    folder: each version of a manifest is fetched once.

    Raises StoreError; OSError of the disk passes through.
    """
    store = store_of(root)
    found = {}
    for name in names:
        try:
            stored = store.stat(f"{root.rstrip('/')}/{name}")
        except MissingError:
            continue
        found[name] = _bring(store, stored, name)
    if not found:
        next(store.list(root), None)  # raises if it is the bucket that is missing
    return found


def _bring(store: Store, stored: StoredObject, name: str) -> Path:
    version = stored.version
    place = cache_directory() / "manifests" / version / name
    if not place.exists():
        folder = stored.uri.rpartition("/")[0]
        with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as scratch:
            store.download_objects([stored], folder, Path(scratch))
            with atomic_write(place) as beside:
                _copy_with_uris(Path(scratch, name), beside, folder)
    return place


def _copy_with_uris(manifest: Path, target: Path, folder: str) -> None:
    csv.field_size_limit(_FIELD_LIMIT)
    try:
        with (
            manifest.open(encoding="utf-8-sig", newline="") as source,
            target.open("w", encoding="utf-8", newline="") as handle,
        ):
            # Everything is quoted, since readers take a bare CR for a line end.
            writer = csv.writer(handle, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerows(_with_uris(csv.reader(source, strict=True), folder))
    except (csv.Error, UnicodeDecodeError):
        # Copied unchanged: the reader will report the error with its position.
        shutil.copyfile(manifest, target)


def _with_uris(rows: Iterator[list[str]], folder: str) -> Iterator[list[str]]:
    rows = filter(None, rows)
    header = next(rows, [])
    yield header
    column = header.index(AUDIO_COLUMN) if AUDIO_COLUMN in header else len(header)
    for row in rows:
        if column < len(row):
            row[column] = _whole_uri(row[column], folder)
        yield row


def _whole_uri(name: str, folder: str) -> str:
    if not name or name.startswith("/") or "://" in name:
        return name
    bucket, key = split_root(folder)
    return f"{bucket}/{posixpath.normpath(posixpath.join(key, name))}"
