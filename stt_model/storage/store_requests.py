"""Single requests to an object store, with explained errors, and retries where they help."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime, timezone
from typing import Any, TypeVar

import tenacity
from minio import Minio
from minio.credentials.credentials import Credentials

from stt_model.base import keep_secrets_out_of_logs, redact
from stt_model.storage.credentials import CredentialSource
from stt_model.storage.store_errors import (
    ChangedError,
    ExpiredError,
    InterruptedTransferError,
    RenewedError,
    StoreAnswerError,
    StoreError,
)
from stt_model.storage.store_explanations import CLIENT_ERRORS, explain
from stt_model.storage.stored import StoredObject

_ATTEMPTS = 6
_WAIT = tenacity.wait_exponential_jitter(initial=1, max=30)  # seconds

_Result = TypeVar("_Result")
_logger = logging.getLogger(__name__)


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of ``s3://bucket/key``, without decoding anything.

    The key is "" for a whole bucket. Raises StoreError for anything else.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() != "s3" or not bucket or redact(uri) != uri:
        raise StoreError(
            f"{redact(uri)}: expected s3://BUCKET/KEY; credentials go into the environment"
        )
    return bucket, key


def stored_object(bucket: str, entry: Any) -> StoredObject:
    """Return the metadata of an object from the client's entry."""
    modified = entry.last_modified or datetime.fromtimestamp(0, timezone.utc)
    uri = f"s3://{bucket}/{entry.object_name}"
    return StoredObject(uri, entry.object_name, entry.size or 0, entry.etag or "", modified)


def changed(uri: str) -> StoreError:
    """Return the error for an object that changed since its metadata was read."""
    return ChangedError(
        f"{redact(uri)}: it changed while it was being read; run it again when it is complete"
    )


class StoreRequests:
    """Requests through ``client``; ``credentials`` are redacted from its errors."""

    def __init__(self, client: Minio, credentials: CredentialSource | None = None) -> None:
        self._client = client
        self._credentials = credentials
        keep_secrets_out_of_logs()

    def ask(self, uri: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call ``function`` of the client and return its result; raise StoreError about ``uri``."""
        held = self._held()
        try:
            return function(*args, **options)
        except CLIENT_ERRORS as error:
            secrets = self._credentials.secrets if self._credentials else ()
            failure = explain(redact(uri), error, secrets)
        has_expired = isinstance(failure, ExpiredError)
        if has_expired and self._credentials and self._credentials.expire(held):
            failure = RenewedError(str(failure))
        # Not inside the except block: the client's error quotes the whole request.
        raise failure

    def _held(self) -> Credentials | None:
        return self._credentials.held if self._credentials else None

    def head(self, uri: str) -> tuple[StoredObject, Mapping[str, str]]:
        """Return an object's metadata and its headers, which include checksums."""
        return self.retry(self._head_once, uri)

    def _head_once(self, uri: str) -> tuple[StoredObject, Mapping[str, str]]:
        bucket, key = split_uri(uri)
        held, with_checksums = self._held(), {"x-amz-checksum-mode": "ENABLED"}
        try:
            found = self.ask(
                uri, self._client.stat_object, bucket, key, extra_headers=with_checksums
            )
            return stored_object(bucket, found), found.metadata
        except StoreAnswerError as error:
            refusal = error
        # An answer to HEAD has no body; the answer to GET explains the error.
        self.ask(uri, self._client.get_object, bucket, key, length=1).close()
        if self._held() is not held:
            # Another thread has renewed the keys between the two.
            raise RenewedError(str(refusal))
        raise refusal

    def read(self, stored: StoredObject, start: int, size: int) -> bytes:
        """Return ``size`` bytes of an object; ChangedError if it has changed since ``head``."""
        return self.retry(self._read_once, stored, start, size)

    def _read_once(self, stored: StoredObject, start: int, size: int) -> bytes:
        response = self.ask(
            stored.uri,
            self._client.get_object,
            *split_uri(stored.uri),
            offset=start,
            length=size,
            request_headers={"If-Match": f'"{stored.etag}"'},
        )
        with closing(response):
            # Compared as well, for stores that ignore If-Match.
            if response.headers.get("ETag", "").replace('"', "") != stored.etag:
                raise changed(stored.uri)
            content: bytes = self.ask(stored.uri, response.read, decode_content=False)
            response.release_conn()
        if len(content) != size:
            raise InterruptedTransferError(
                f"{redact(stored.uri)}: expected {size} bytes from {start}, found {len(content)}"
            )
        return content

    def retry(self, function: Callable[..., _Result], *args: Any) -> _Result:
        """Call ``function``, and again after a pause while its transfer is interrupted."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(InterruptedTransferError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_WAIT,
            before_sleep=_log_retry,
            reraise=True,
        )(function, *args)


def _log_retry(state: tenacity.RetryCallState) -> None:
    if state.outcome and state.next_action:
        _logger.warning(
            "%s; next attempt in %.0f s", state.outcome.exception(), state.next_action.sleep
        )
