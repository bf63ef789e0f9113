"""An object store that speaks S3: list, stat, download, upload, read.

Requests that fail temporarily are repeated (``stt_model.storage.store_client``), and so are
blocks that arrive incomplete. Every read asks for the object's ETag, so that an object that
changes while it is being read is noticed instead of mixing two versions.
"""

from __future__ import annotations

import io
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from minio import Minio
from minio.datatypes import Part, parse_list_objects
from minio.helpers import check_bucket_name

from stt_model.base import AlreadyLockedError, in_parallel, locked, redact
from stt_model.storage.block_reader import BlockReader
from stt_model.storage.checksums import is_md5, md5_file, stored_checksum
from stt_model.storage.credentials import CredentialSource, credential_source
from stt_model.storage.store_client import make_client
from stt_model.storage.store_errors import (
    CONTINUABLE_ERRORS,
    MissingError,
    RenewedError,
    StoreAnswerError,
    StoreError,
)
from stt_model.storage.store_requests import (
    StoreRequests,
    changed,
    split_uri,
    stored_object,
)
from stt_model.storage.stored import StoredObject

__all__ = ["MissingError", "ObjectStore", "StoreError", "StoredObject", "split_uri"]

_BLOCK = 8 * 2**20  # bytes; what one request reads or writes
_MAX_PARTS = 10_000  # of one upload, which S3 sets
_BLOCKS_AT_ONCE = 4
_FILES_AT_ONCE = 8
_EMPTY_PAGES = 100  # in a row: a store may send them while it skips deleted objects

_logger = logging.getLogger(__name__)


class ObjectStore:
    """The store that the environment names. Threads may share one; processes make their own.

    All methods take ``s3://bucket/key``, and raise StoreError (MissingError where there is no such
    object or bucket) with one line that holds no credential. OSError of the disk passes through.
    """

    def __init__(self, client: Minio, credentials: CredentialSource | None = None) -> None:
        self._client = client
        self._requests = StoreRequests(client, credentials)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> ObjectStore:
        """Return the store that ``environ`` describes (variables: ``storage.store_client``).

        Raises StoreError, naming the variable that is missing or wrong.
        """
        credentials = credential_source(environ)
        return cls(make_client(environ, credentials), credentials)

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Yield the objects below ``uri``, as in a folder, by name, keeping one page in memory.

        One request returns 1000 objects. Placeholders that consoles make for folders are left out.
        """
        bucket, prefix = _folder(uri)
        for entry in self._entries(uri, bucket, prefix):
            if not (entry.size == 0 and entry.object_name.endswith("/")):
                yield stored_object(bucket, entry)

    def _entries(self, uri: str, bucket: str, prefix: str) -> Iterator[Any]:
        """Yield the client's entry for each object; StoreError for an endless list.

        The client's own loop trusts every answer that says that there is more.
        """
        self._requests.ask(uri, check_bucket_name, bucket)
        known, empty, token = set(), 0, ""
        while True:
            entries, is_truncated, following, _ = self._ask_page(uri, bucket, prefix, token)
            yield from entries
            if not is_truncated:
                return
            empty = 0 if entries else empty + 1
            if not following or following in known or empty > _EMPTY_PAGES:
                raise StoreAnswerError(
                    f"{redact(uri)}: expected the next page of a list of objects, found one that"
                    " came before, or an empty one; check AWS_ENDPOINT_URL, or list fewer objects"
                )
            known.add(following)
            token = following

    def _ask_page(self, uri: str, *place: str) -> Any:
        try:
            return self._requests.ask(uri, self._page, *place)
        except RenewedError:
            # New keys that are refused at once are no better than the old ones.
            return self._requests.ask(uri, self._page, *place)

    def _page(self, bucket: str, prefix: str, token: str) -> Any:
        query: dict[str, Any] = {
            "list-type": "2",
            "delimiter": "",
            "encoding-type": "url",
            "max-keys": "1000",
        }
        query |= {"prefix": prefix, **({"continuation-token": token} if token else {})}
        response = self._client._execute("GET", bucket, query_params=query)
        return parse_list_objects(response)

    def stat(self, uri: str) -> StoredObject:
        """Return the metadata of one object."""
        return self._requests.head(uri)[0]

    def open(self, uri: str) -> BinaryIO:
        """Return the content of an object as a stream that is read in blocks on demand."""
        stored = self.stat(uri)
        raw = BlockReader(partial(self._requests.read, stored), stored.size, _BLOCK)
        return io.BufferedReader(raw, buffer_size=max(1, min(_BLOCK, stored.size)))

    def read(self, stored: StoredObject, start: int, size: int) -> bytes:
        """Return ``size`` bytes of an object; ChangedError if it has changed since ``stat``."""
        return self._requests.read(stored, start, size) if size else b""

    def download(self, uri: str, target: Path) -> None:
        """Make ``target`` a file with the content of an object, whole or not at all.

        An interrupted download stays beside ``target``, and the next call, in any process, resumes
        it if the object is still the same.
        """
        self.download_version(self.stat(uri), target)

    def download_version(self, stored: StoredObject, target: Path) -> None:
        """Like ``download``, of exactly this version: StoreError if the object has changed."""
        self._download(stored, Path(target), bool)

    def download_prefix(self, uri: str, target_dir: Path) -> None:
        """Download all objects below ``uri`` into a folder, several at once.

        Existing files with the size and time of their object are not fetched again, so that an
        interrupted call can be repeated. Other files are left alone.
        """
        if not self.download_objects(self.list(uri), uri, target_dir):
            raise MissingError(f"{redact(uri)}: nothing is stored there; check the address")

    def download_objects(
        self,
        objects: Iterable[StoredObject],
        uri: str,
        target_dir: Path,
        *,
        advance: Callable[[int], object] = bool,
    ) -> int:
        """Download ``objects`` as ``download_prefix`` does, and return their number.

        Their names in ``target_dir`` are those below ``uri``. Several threads call ``advance`` with
        the number of bytes that have arrived since the last call.
        """
        prefix = _folder(uri)[1]

        def download(stored: StoredObject) -> None:
            target = Path(target_dir) / _relative_name(stored, prefix)
            if _is_copy(target, stored):
                advance(stored.size)
            else:
                self._download(stored, target, advance)

        return sum(1 for _ in in_parallel(download, objects, workers=_FILES_AT_ONCE))

    def remove(self, uri: str) -> None:
        """Remove an object, if it exists."""
        self._requests.retry(self._requests.ask, uri, self._client.remove_object, *split_uri(uri))

    def upload(self, path: Path, uri: str) -> None:
        """Store a file, whole or not at all, and verify it against the file."""
        bucket, key = split_uri(uri)
        size = Path(path).stat().st_size
        put = self._put_in_parts if size > _BLOCK else self._put
        self._requests.retry(put, Path(path), uri, bucket, key)
        stored, headers = self._requests.head(uri)
        if stored.size != size:
            raise StoreError(f"{redact(uri)}: expected {size} bytes stored, found {stored.size}")
        self._verify(Path(path), stored, headers)

    def upload_directory(self, directory: Path, uri: str) -> None:
        """Store all files below a folder under ``uri``, several at once.

        Objects with the same content are not sent again. Other objects are left alone.
        """
        present = {stored.uri: stored for stored in self.list(uri)}

        def upload(path: Path) -> None:
            address = f"{uri.rstrip('/')}/{path.relative_to(directory).as_posix()}"
            stored = present.get(address)
            if not (stored and is_md5(stored.etag) and md5_file(path) == stored.etag):
                self.upload(path, address)

        files = (path for path in sorted(Path(directory).rglob("*")) if path.is_file())
        deque(in_parallel(upload, files, workers=_FILES_AT_ONCE), maxlen=0)

    def _download(
        self, stored: StoredObject, target: Path, advance: Callable[[int], object]
    ) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        version = stored.version[:16]
        part = target.with_name(f".{target.name[:200]}.{version}.part")
        try:
            with locked(part):
                self._receive(stored, part, advance)
                os.utime(part, ns=(_nanoseconds(stored.modified),) * 2)
                part.replace(target)
        except AlreadyLockedError:
            raise StoreError(
                f"{redact(stored.uri)}: another process is downloading it to {target}; wait for it"
            ) from None

    def _receive(self, stored: StoredObject, part: Path, advance: Callable[[int], object]) -> None:
        """Download the rest of ``part``; an outdated part is removed."""
        offset = part.stat().st_size
        blocks = ((at, min(_BLOCK, stored.size - at)) for at in range(offset, stored.size, _BLOCK))
        try:
            advance(offset)
            with part.open("ab") as file:
                read = partial(self._requests.read, stored)
                for content in in_parallel(
                    lambda block: read(*block), blocks, workers=_BLOCKS_AT_ONCE
                ):
                    file.write(content)
                    advance(len(content))
            self._verify(part, stored)
        except StoreError as error:
            if not isinstance(error, CONTINUABLE_ERRORS) or not part.stat().st_size:
                part.unlink()
            raise

    def _verify(
        self, path: Path, stored: StoredObject, headers: Mapping[str, str] | None = None
    ) -> None:
        """Compare a file with the store's checksum of the content, MD5 or another."""
        if is_md5(stored.etag) and md5_file(path) == stored.etag:
            return
        if headers is None:
            found, headers = self._requests.head(stored.uri)
            if found.etag != stored.etag:
                raise changed(stored.uri)
        checksum = stored_checksum(stored.etag, headers)
        if checksum and checksum.of(path) != checksum.expected:
            raise StoreError(
                f"{redact(stored.uri)}: expected {checksum.name} {checksum.expected}, found "
                f"{checksum.of(path)}; the content was damaged in transfer, run it again"
            )

    def _put(self, path: Path, uri: str, bucket: str, key: str) -> None:
        content = path.read_bytes()
        self._requests.ask(
            uri, self._client.put_object, bucket, key, io.BytesIO(content), len(content)
        )

    def _put_in_parts(self, path: Path, uri: str, bucket: str, key: str) -> None:
        # The client's own put_object continues with the other parts after one has failed, and
        # leaves all of them in the store when it is interrupted.
        upload_id = self._requests.ask(uri, self._client._create_multipart_upload, bucket, key, {})
        size = path.stat().st_size
        part_size = max(_BLOCK, -(-size // _MAX_PARTS))

        def put(number: int) -> Part:
            with path.open("rb") as file:
                file.seek((number - 1) * part_size)
                content = file.read(part_size)
            send = partial(self._client._upload_part, bucket, key, content, {})
            return Part(number, self._requests.ask(uri, send, upload_id, number))

        try:
            numbers = range(1, -(-size // part_size) + 1)
            parts = list(in_parallel(put, numbers, workers=_BLOCKS_AT_ONCE))
            self._requests.ask(
                uri, self._client._complete_multipart_upload, bucket, key, upload_id, parts
            )
        except BaseException:
            self._abort(uri, bucket, key, upload_id)
            raise

    def _abort(self, uri: str, bucket: str, key: str, upload_id: str) -> None:
        try:
            self._requests.ask(uri, self._client._abort_multipart_upload, bucket, key, upload_id)
        except MissingError:
            pass
        except StoreError as error:
            _logger.warning("%s; parts of an upload may be left there", error)


def _folder(uri: str) -> tuple[str, str]:
    """Return the bucket, and the prefix of the keys below ``uri``."""
    bucket, key = split_uri(uri)
    return bucket, f"{key.rstrip('/')}/" if key else ""


def _relative_name(stored: StoredObject, prefix: str) -> PurePosixPath:
    """Return the file name for an object, which must stay within its folder."""
    name = stored.key[len(prefix) :]
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or str(path) != name:
        raise StoreError(
            f"{redact(stored.uri)}: {name!r} cannot be the name of a file; rename the object"
        )
    return path


def _is_copy(path: Path, stored: StoredObject) -> bool:
    if not path.is_file():
        return False
    found = path.stat()
    return (found.st_size, found.st_mtime_ns) == (stored.size, _nanoseconds(stored.modified))


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000
