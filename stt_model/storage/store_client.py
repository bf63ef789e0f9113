"""The client of the object store, configured by the standard environment variables alone.

| variable | |
| --- | --- |
| those of ``stt_model.storage.credentials`` | the credentials |
| ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL`` | by default Amazon's; ``http://``: no TLS |
| ``AWS_REGION``, ``AWS_DEFAULT_REGION`` | by default us-east-1, or with Amazon the bucket's |
| ``AWS_CA_BUNDLE`` | file with the certificates to trust, by default the public ones |
| ``S3_ADDRESSING_STYLE`` | ``path``, ``virtual``, or by default ``auto`` |
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import certifi
import urllib3
from minio import Minio

from stt_model.base import redact
from stt_model.storage.credentials import CredentialSource
from stt_model.storage.store_errors import StoreError, innermost

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

_AMAZON = "https://s3.amazonaws.com"
_RETRIES = 6
_BACKOFF = 0.5  # seconds: one retry at once, then after 1, 2, 4, 8 and 16
_BACKOFF_MAX = 20.0  # seconds
_TIMEOUT = urllib3.Timeout(connect=10, read=60)  # seconds
_CONNECTIONS = 32
_TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)

_logger = logging.getLogger(__name__)


def make_client(environ: Mapping[str, str], credentials: CredentialSource) -> Minio:
    """Return a client for the store that ``environ`` describes.

    Raises StoreError, which names the missing or wrong variable, but never its value.
    """
    endpoint = _endpoint(environ)
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if not region and endpoint.geturl() != _AMAZON:
        region = "us-east-1"
    client = Minio(
        endpoint.netloc,
        credentials=credentials,
        secure=endpoint.scheme == "https",
        region=region,
        http_client=_pool(environ),
    )
    _set_addressing_style(client, environ.get("S3_ADDRESSING_STYLE") or "auto")
    return client


def _endpoint(environ: Mapping[str, str]) -> SplitResult:
    name = next((each for each in ENDPOINT_VARIABLES if environ.get(each)), "")
    given = environ[name] if name else _AMAZON
    try:
        parts = urlsplit(given)
        plain = parts.hostname and parts.path in ("", "/") and not parts.query
        _ = parts.port  # raises if it is not a number
    except ValueError:
        plain = None
    if not plain or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise StoreError(
            f"{name}: expected http://HOST:PORT or https://HOST and nothing else, found "
            f"{redact(given)!r}"
        )
    return parts._replace(path="")


def _pool(environ: Mapping[str, str]) -> urllib3.PoolManager:
    bundle = environ.get("AWS_CA_BUNDLE")
    if bundle and not Path(bundle).is_file():
        raise StoreError(f"AWS_CA_BUNDLE: expected a file with certificates, found none: {bundle}")
    retries = _LoggedRetry(
        _RETRIES,
        other=0,  # such as certificates, which will not improve
        redirect=False,
        allowed_methods=None,  # all: each request to an object store can be repeated
        status_forcelist=_TRANSIENT_STATUSES,
        backoff_factor=_BACKOFF,
        backoff_max=_BACKOFF_MAX,
        raise_on_status=False,
    )
    return urllib3.PoolManager(
        timeout=_TIMEOUT,
        maxsize=_CONNECTIONS,
        cert_reqs="CERT_REQUIRED",
        ca_certs=bundle or certifi.where(),
        retries=retries,
    )


class _LoggedRetry(urllib3.Retry):
    """Says in one line why a request is repeated, and does not repeat what cannot succeed."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> _LoggedRetry:
        if _is_unknown_host(error):
            raise urllib3.exceptions.MaxRetryError(_pool, url or "", error)
        following = super().increment(method, url, response, error, _pool, _stacktrace)
        reason = innermost(error) if error else f"it answered {response.status}"
        _logger.warning(
            "the object store is asked again in %.0f s (%s)", following.get_backoff_time(), reason
        )
        return following


def _is_unknown_host(error: Exception | None) -> bool:
    cause = error.__cause__ if error else None
    return isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME


def _set_addressing_style(client: Minio, style: str) -> None:
    if style == "path":
        client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    elif style == "virtual":
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    elif style != "auto":
        raise StoreError(f"S3_ADDRESSING_STYLE: expected auto, path or virtual, found {style!r}")
