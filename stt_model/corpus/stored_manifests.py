"""Bring the manifests of a dataset in an object store here; its audio stays where it is."""

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
    """Return those of the manifests ``names`` below ``root`` that there are, by name, as files.

    ``root`` is the URI of a folder in an object store. Audio that a manifest names relative to
    itself has its whole URI in the file; rows, columns and everything else are as in the store. The
    files lie in the cache folder and stay there: each version of a manifest is fetched once.

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
            # Quoted throughout, as a reader takes a bare CR for a line end.
            writer = csv.writer(handle, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerows(_with_uris(csv.reader(source, strict=True), folder))
    except (csv.Error, UnicodeDecodeError):
        # As it is: whoever reads it finds the same, and says where.
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
