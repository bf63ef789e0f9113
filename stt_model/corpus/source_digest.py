"""Digests of the content behind URIs, so that a later run can tell whether it has changed.

Files are read, because modification times can be wrong. Objects of a store are not: a listing has
their ETags, which change with the content. An ETag can also change without it, for example if an
object is uploaded again with another part size; then work is repeated needlessly, but a change is
never missed.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from stt_model.base import StorageError, keep_secrets_out_of_logs
from stt_model.corpus.manifests import Utterance, find_splits, iter_manifest
from stt_model.storage import (
    StoredObject,
    digest_directory,
    find_objects,
    is_remote,
    is_stored,
    local_path,
    sha256_file,
    split_root,
    store_of,
)

_ABSENT = "absent"
_FILES_AT_ONCE = 8
_TIMEOUT = (10, 60)  # seconds to connect, and until the answer begins


def digest_dataset(root: str) -> str:
    """Return a SHA-256 over the manifests of a dataset and every clip that they name, hexadecimal.

    For one location, it changes with any byte of these and with nothing else: not with other files
    or times. A missing clip counts as absent; validation reports it. Raises DataError or
    StorageError for a dataset without readable manifests.
    """
    manifests = find_splits(root)
    versions = {f"{split}.csv": sha256_file(path) for split, path in manifests.items()}
    clips = {_place(row) for path in manifests.values() for row in _rows(path)}
    return _digest(versions | dict.fromkeys(clips, _ABSENT) | _versions(root, clips))


def digest_source(uri: str) -> str:
    """Return a digest of the file, archive or folder that a URI names; "" for an empty URI.

    ``unknown_digest`` if a server does not identify the version (no strong ETag).
    Raises StorageError if there is nothing.
    """
    if not uri:
        return ""
    if is_stored(uri):
        return _digest_stored(uri)
    if is_remote(uri):
        return _digest_served(uri)
    path = local_path(uri)
    try:
        return digest_directory(path) if path.is_dir() else sha256_file(path)
    except OSError as error:
        raise StorageError(f"{uri}: {error.strerror}; check the path") from error


def unknown_digest() -> str:
    """Return a different digest each time, so that no result that depends on it is reused."""
    return f"unknown-{uuid.uuid4().hex}"


def _rows(manifest: Path) -> Iterator[Utterance]:
    # An invalid row names no certain clip; the manifest's bytes are part of the digest anyway.
    return (row for row in iter_manifest(manifest) if isinstance(row, Utterance))


def _place(row: Utterance) -> str:
    """Return where the clip of a row is: a URI in a store, or a path."""
    place = row.wav_filename if is_stored(row.wav_filename) else str(row.path)
    # A clip in a packed dataset has the version of its shard.
    return re.sub(r"\.(tar|sdb)#.*", r".\1", place)


def _versions(root: str, clips: set[str]) -> dict[str, str]:
    """Return the version of every existing clip, by its place."""
    stored = set(filter(is_stored, clips))
    files = sorted(clips - stored)
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        digests = dict(zip(files, pool.map(_digest_file, files), strict=True))
    if not stored:
        return digests
    folders = _folders(root, stored)
    listed = (each for folder in folders for each in store_of(folder).list(folder))
    return digests | {each.uri: _version(each) for each in listed if each.uri in stored}


def _digest_file(path: str) -> str:
    try:
        return sha256_file(Path(path))
    except OSError:
        return _ABSENT


def _folders(root: str, stored: set[str]) -> Iterator[str]:
    """Yield few folders that hold all these objects: the dataset's, and one per other bucket."""
    below_root = {uri for uri in stored if uri.startswith(f"{root.rstrip('/')}/")}
    if below_root:
        yield root
    elsewhere: dict[str, list[str]] = {}
    for uri in stored - below_root:
        bucket, key = split_root(uri)
        elsewhere.setdefault(bucket, []).append(posixpath.dirname(key))
    for bucket, folders in sorted(elsewhere.items()):
        yield f"{bucket}/{posixpath.commonpath(folders)}"


def _version(stored: StoredObject) -> str:
    return f"{stored.etag} {stored.size}"


def _digest_stored(uri: str) -> str:
    folder, objects = find_objects(store_of(uri), uri)
    return _digest({each.uri.removeprefix(folder): _version(each) for each in objects})


def _digest_served(uri: str) -> str:
    keep_secrets_out_of_logs()
    try:
        # Not a HEAD request: addresses that are signed for GET refuse it.
        with requests.get(uri, stream=True, timeout=_TIMEOUT) as response:
            tag = response.headers.get("ETag", "") if response.ok else ""
    except requests.RequestException:
        tag = ""  # The step that fetches it will report the error.
    return _digest({"": tag}) if tag.startswith('"') else unknown_digest()


def _digest(versions: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, version in sorted(versions.items()):
        digest.update(os.fsencode(f"{name}\0{version}\0"))
    return digest.hexdigest()
