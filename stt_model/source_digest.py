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
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import requests

from stt_model.corpus import SPLITS, Utterance, find_splits, iter_manifest
from stt_model.errors import StorageError
from stt_model.object_store import MissingError, ObjectStore, StoredObject, split_uri
from stt_model.redaction import keep_secrets_out_of_logs
from stt_model.storage import digest_directory, local_path, sha256_file

_STORE = "s3://"
_ABSENT = "absent"
_FILES_AT_ONCE = 8
_TIMEOUT = (10, 60)  # seconds to connect, and until the answer begins


def digest_dataset(root: str) -> str:
    """Return a SHA-256 over the manifests of a dataset and every clip that they name, hexadecimal.

    It changes with a byte of any of these, and with nothing else: not with other files beside them,
    times, or the place of the dataset. A clip that is not there counts as absent; to report it is
    for validation. Raises DataError or StorageError for a dataset without readable manifests.
    """
    with _local_manifests(root) as manifests:
        contents = {f"{split}.csv": sha256_file(path) for split, path in manifests.items()}
        names = {row.wav_filename for path in manifests.values() for row in _rows(path)}
    places = {name: _place(root, name) for name in names}
    versions = _versions(root, set(places.values()))
    clips = {f"clip {name}": versions.get(place, _ABSENT) for name, place in places.items()}
    return _digest({**contents, **clips})


def digest_source(uri: str) -> str:
    """Return a digest of the file, archive or folder that a URI names; "" for an empty URI.

    ``unknown_digest`` where a server does not say which version it has (no strong ETag).
    Raises StorageError for what is not there.
    """
    if not uri:
        return ""
    if uri.startswith(_STORE):
        return _digest_stored(uri)
    if uri.startswith(("http://", "https://")):
        return _digest_served(uri)
    path = local_path(uri)
    try:
        return digest_directory(path) if path.is_dir() else sha256_file(path)
    except OSError as error:
        raise StorageError(f"{uri}: {error.strerror}; check the path") from error


def unknown_digest() -> str:
    """Return another digest each time, so that nothing that depends on it is taken as unchanged."""
    return f"unknown-{uuid.uuid4().hex}"


@contextmanager
def _local_manifests(root: str) -> Iterator[Mapping[str, Path]]:
    """Yield the manifests of a dataset by split, as files on this machine."""
    if not root.startswith(_STORE):
        yield find_splits(root)
        return
    store = ObjectStore.from_environment()
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
        for split in SPLITS:
            try:
                store.download(f"{root.rstrip('/')}/{split}.csv", Path(folder, f"{split}.csv"))
            except MissingError:
                continue  # find_splits says which of them must be there.
        yield find_splits(folder)


def _rows(manifest: Path) -> Iterator[Utterance]:
    # A ragged row names no clip for sure; its manifest counts byte by byte anyway.
    return (row for row in iter_manifest(manifest) if isinstance(row, Utterance))


def _place(root: str, name: str) -> str:
    """Return where the clip of a row lies: a URI in a store, or a path."""
    if name.startswith(_STORE):
        return name
    if root.startswith(_STORE):
        bucket, key = split_uri(root)
        return f"{_STORE}{bucket}/{posixpath.normpath(posixpath.join(key, name))}"
    return str(local_path(root) / name)


def _versions(root: str, places: set[str]) -> dict[str, str]:
    """Return the version of every clip that is there, by its place."""
    stored = {place for place in places if place.startswith(_STORE)}
    files = sorted(places - stored)
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        digests = dict(zip(files, pool.map(_digest_file, files), strict=True))
    if not stored:
        return digests
    store = ObjectStore.from_environment()
    listed = (each for folder in _folders(root, stored) for each in store.list(folder))
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
        bucket, key = split_uri(uri)
        elsewhere.setdefault(bucket, []).append(posixpath.dirname(key))
    for bucket, folders in sorted(elsewhere.items()):
        yield f"{_STORE}{bucket}/{posixpath.commonpath(folders)}"


def _version(stored: StoredObject) -> str:
    return f"{stored.etag} {stored.size}"


def _digest_stored(uri: str) -> str:
    store = ObjectStore.from_environment()
    below = {each.uri.removeprefix(uri): _version(each) for each in store.list(uri)}
    return _digest(below or {"": _version(store.stat(uri))})


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
