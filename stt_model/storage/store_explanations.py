"""Explain an object store's errors, each in one line that a user can act on.

Apart from the errors themselves, as the store's client takes a third of a second to load, which
only a run that meets a store should spend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from xml.etree.ElementTree import ParseError

import urllib3
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from stt_model.base import one_line as _one_line
from stt_model.storage.store_errors import (
    ChangedError,
    ExpiredError,
    InterruptedTransferError,
    MissingError,
    StoreAnswerError,
    StoreError,
    UnreachableError,
    innermost,
)

# What the client raises: for answers, for connections, and for invalid names.
CLIENT_ERRORS = (
    MinioException,
    urllib3.exceptions.HTTPError,
    ValueError,
    ParseError,
    LookupError,
    OverflowError,
    MemoryError,
)

# Answers worth another attempt, beyond those that the HTTP pool retries.
_TRANSIENT_CODES = {"RequestTimeout", "NoSuchUpload", "SlowDown", "InternalError"}
_MISSING_CODES = {"NoSuchKey", "NoSuchBucket"}
_CHANGED_CODES = {"InvalidRange", "PreconditionFailed"}
_EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
_REGION = "the bucket is in another region; set AWS_REGION to it"
_TOKEN = "AWS_SESSION_TOKEN is not valid or has expired; get new credentials"
_CHANGED = "it changed while it was being read; run it again when it is complete"
_MEANINGS = {
    "AccessDenied": "these credentials may not do that; ask for a policy that allows it",
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": _TOKEN,
    "InvalidAccessKeyId": "the store does not know this AWS_ACCESS_KEY_ID; check it",
    "InvalidRange": _CHANGED,
    "InvalidToken": _TOKEN,
    "NoSuchBucket": "no such bucket; check its name, and AWS_ENDPOINT_URL",
    "NoSuchKey": "no such object; check the address",
    "PermanentRedirect": _REGION,
    "PreconditionFailed": _CHANGED,
    "SignatureDoesNotMatch": (
        "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID; check both"
    ),
}


def explain(label: str, error: Exception, secrets: Iterable[str] = ()) -> StoreError:
    """Return a StoreError that explains the client's ``error`` for ``label``.

    It quotes no request, no header, and none of ``secrets``, even if the store repeats them. Raise
    it outside the ``except`` block, so that the client's error, which does quote, is not chained.
    """
    if isinstance(error, (S3Error, InvalidResponseError, ServerError)):
        code, message = _answer(error)
        for secret in secrets:
            message = message.replace(secret, "…")
        return _explain_answer(label, code, message)
    if isinstance(error, (OverflowError, MemoryError)):
        return StoreAnswerError(
            f"{label}: expected an answer that fits in memory, found one that says it is longer;"
            " check AWS_ENDPOINT_URL"
        )
    if isinstance(error, (ParseError, LookupError)):
        # A proxy's page, a truncated answer, or one in an unknown encoding.
        return StoreAnswerError(
            f"{label}: expected the XML of an object store, found something else"
            f" ({_one_line(str(error))}); check AWS_ENDPOINT_URL"
        )
    if isinstance(error, ValueError):
        # An invalid name, or an answer without a body that the client cannot handle.
        return StoreAnswerError(f"{label}: {_one_line(str(error))}; check the address")
    reason = getattr(error, "reason", None) or error
    cause = innermost(reason)
    if isinstance(reason, urllib3.exceptions.SSLError):
        return StoreError(
            f"{label}: no secure connection ({cause}); check AWS_ENDPOINT_URL, and AWS_CA_BUNDLE "
            "for a store with private certificates"
        )
    if isinstance(error, urllib3.exceptions.MaxRetryError):
        return UnreachableError(
            f"{label}: the store cannot be reached ({cause}); check AWS_ENDPOINT_URL, or run it "
            "again later"
        )
    return InterruptedTransferError(f"{label}: the connection broke ({cause}); run it again")


def _explain_answer(label: str, code: str, message: str) -> StoreError:
    if code == "RequestTimeTooSkewed":
        now = datetime.now(timezone.utc).isoformat(" ", "seconds")
        meaning = f"the store's clock differs from this machine's ({now}); set this machine's clock"
    elif code in _MEANINGS:
        meaning = _MEANINGS[code]
    else:
        return _kind(code)(f"{label}: the store answered {code} ({message}); check the address")
    return _kind(code)(f"{label}: {meaning} ({code})")


def _kind(code: str) -> type[StoreError]:
    if code in _MISSING_CODES:
        return MissingError
    if code in _CHANGED_CODES:
        return ChangedError
    if code in _EXPIRED_CODES:
        return ExpiredError
    return InterruptedTransferError if code in _TRANSIENT_CODES else StoreAnswerError


def _answer(error: Exception) -> tuple[str, str]:
    """Return an answer's code and message, or its status if the client could not read it."""
    if isinstance(error, S3Error):
        return error.code or "an error without a code", _one_line(error.message or "")
    if isinstance(error, ServerError):
        return str(error.status_code), "an error without a code"
    # Some stores call their XML text/xml, which the client then leaves unread.
    text = str(error)
    code = re.search(r"<Code>\s*(\w+)\s*</Code>", text)
    message = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    if code:
        return code[1], _one_line(message[1] if message else "")
    status = re.search(r"Response code: (\d+)", text)
    return status[1] if status else "something", "not as an object store does"
