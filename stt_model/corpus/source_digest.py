"""Digests of what lies behind URIs, by which a later run can tell whether anything changed.

Files are read: times of change can be wrong, and another text of the same length is another text.
Objects of a store are not: one listing has the ETags, which change with the content. An ETag can
change without it, as when a large object is stored again in parts of another size; work is then
done again that need not be, never the other way round.
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

    Of one place, it changes with a byte of any of these, and with nothing else: not with other
    files beside them, nor with times. A clip that is not there counts as absent; to report it is
    for validation. Raises DataError or StorageError for a dataset without readable manifests.
    """
    manifests = find_splits(root)
    versions = {f"{split}.csv": sha256_file(path) for split, path in manifests.items()}
    clips = {_place(row) for path in manifests.values() for row in _rows(path)}
    return _digest(versions | dict.fromkeys(clips, _ABSENT) | _versions(root, clips))


def digest_source(uri: str) -> str:
    """Return a digest of the file, archive or folder that a URI names; "" for an empty URI.

    ``unknown_digest`` where a server does not say which version it has (no strong ETag).
    Raises StorageError for what is not there.
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
    """Return another digest each time, so that nothing that depends on it is taken as unchanged."""
    return f"unknown-{uuid.uuid4().hex}"


def _rows(manifest: Path) -> Iterator[Utterance]:
    # A row that cannot be read names no clip for sure; its manifest counts byte by byte anyway.
    return (row for row in iter_manifest(manifest) if isinstance(row, Utterance))


def _place(row: Utterance) -> str:
    """Return where the clip of a row lies: a URI in a store, or a path."""
    place = row.wav_filename if is_stored(row.wav_filename) else str(row.path)
    # A clip in a packed dataset is of the version that its shard is of.
    return re.sub(r"\.(tar|sdb)#.*", r".\1", place)


def _versions(root: str, clips: set[str]) -> dict[str, str]:
    """Return the version of every clip that is there, by its place."""
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
    """Yield as few folders as hold all these objects: the dataset's, and one of each bucket."""
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
        # Not a HEAD: an address that is signed for GET refuses it.
        with requests.get(uri, stream=True, timeout=_TIMEOUT) as response:
            tag = response.headers.get("ETag", "") if response.ok else ""
    except requests.RequestException:
        tag = ""  # The step that fetches it tries again, and says what is wrong.
    return _digest({"": tag}) if tag.startswith('"') else unknown_digest()


def _digest(versions: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, version in sorted(versions.items()):
        digest.update(os.fsencode(f"{name}\0{version}\0"))
    return digest.hexdigest()
