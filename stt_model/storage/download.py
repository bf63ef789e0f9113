"""Download over HTTP into a cache folder, so that an interrupted download can be resumed."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
import urllib3
from tqdm import tqdm

from stt_model.base import (
    AlreadyLockedError,
    StorageError,
    keep_secrets_out_of_logs,
    locked,
    one_line,
    redact,
)
from stt_model.storage.cache_folder import CACHE_VARIABLE, cache_directory
from stt_model.storage.store_errors import innermost

_ATTEMPTS = 6
_WAIT = tenacity.wait_exponential_jitter(initial=1, max=30)  # seconds
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the answer
_CHUNK = 2**16
_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}
_TRANSIENT_ERRORS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
)
_ADVICE = {
    401: "give an address that needs no login, such as a presigned URL",
    403: "give an address that may be read, such as a presigned URL that has not expired",
    404: "check the address",
    410: "check the address",
}

_logger = logging.getLogger(__name__)


class _InterruptedError(StorageError):
    """A failure that may pass if it is tried again."""


@contextmanager
def downloaded(uri: str, *, size_limit: int, progress: bool = False) -> Iterator[Path]:
    """Download ``uri`` (http or https) and yield the path of the whole file, in the cache folder.

    The file is removed when the block succeeds, and when it raises StorageError: its content is
    bad then. An interrupted download stays in the cache folder (``cache_directory``), and the next
    call for the same URI, in any process, resumes it if the server allows that and still has the
    same version of the file.

    ``size_limit`` is in bytes. ``progress`` draws a bar where there is a terminal.
    Raises StorageError for an answer that is not the file, a file over the limit, a download in
    progress in another process, and after six failed attempts. OSError of the disk passes through.
    """
    part = cache_directory() / f"{hashlib.sha256(os.fsencode(uri)).hexdigest()}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    keep_secrets_out_of_logs()
    with _alone(part, uri):
        transfer = _Transfer(uri, part, size_limit, progress)
        try:
            transfer.run()
            try:
                yield part
            except StorageError:
                transfer.restart()
                raise
            transfer.restart()
        finally:
            transfer.clean_up()


@contextmanager
def _alone(part: Path, uri: str) -> Iterator[None]:
    try:
        with locked(part):
            yield
    except AlreadyLockedError:
        raise StorageError(
            f"{redact(uri)}: another process is downloading it to {part}; wait for that one, "
            f"or set {CACHE_VARIABLE} to another folder"
        ) from None


class _Transfer:
    """The download of one file from ``uri`` to ``part``, in several attempts if needed."""

    def __init__(self, uri: str, part: Path, size_limit: int, progress: bool) -> None:
        self._uri = uri
        self._label = redact(uri)
        self._part = part
        self._size_limit = size_limit
        self._progress = progress
        # Which version the part belongs to; without it the download cannot be resumed.
        self._version_file = part.with_suffix(".version")

    def run(self) -> None:
        """Download the rest of the part."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_InterruptedError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_WAIT,
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            retrying(self._attempt)
        except _InterruptedError as error:
            advice = f"to resume from {self._part}" if self._resumable() else "to start over"
            raise StorageError(
                f"{error}; gave up after {_ATTEMPTS} attempts, run it again {advice}"
            ) from error
        except OSError as error:
            raise StorageError(
                f"{self._label}: {self._part}: {error.strerror}; make room, "
                f"or set {CACHE_VARIABLE} to another folder"
            ) from error

    def restart(self) -> None:
        """Empty the part: its content is of no more use."""
        os.truncate(self._part, 0)
        self._version_file.unlink(missing_ok=True)

    def clean_up(self) -> None:
        """Remove the part, unless a later call can continue it."""
        if not self._resumable():
            self._part.unlink(missing_ok=True)
            self._version_file.unlink(missing_ok=True)
        else:
            _logger.warning("%s: what arrived is kept in %s", self._label, self._part)

    def _resumable(self) -> bool:
        return self._offset() > 0 and self._version_file.exists()

    def _offset(self) -> int:
        return self._part.stat().st_size

    def _attempt(self) -> None:
        # Identity encoding: a given sha256 is of the bytes on the server.
        headers = {"Accept-Encoding": "identity"}
        if self._resumable():
            version = self._version_file.read_text("utf-8")
            headers |= {"Range": f"bytes={self._offset()}-", "If-Range": version}
        failure: Exception
        try:
            with self._ask(headers) as response:
                if self._begin(response):
                    self._receive(response)
            return
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            failure = self._explain(error)
        # Here, not in the block above: the library's errors quote the address with its secrets.
        raise failure

    def _ask(self, headers: dict[str, str]) -> requests.Response:
        try:
            with _Session() as session:
                return session.get(self._uri, headers=headers, stream=True, timeout=_TIMEOUT)
        except _ForbiddenRedirectError as error:
            raise StorageError(f"{self._label}: {error}") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            raise
        except (ValueError, OverflowError) as error:
            # An invalid Location, such as one with a port above 65535.
            raise requests.exceptions.InvalidURL(type(error).__name__) from None

    def _explain(self, error: Exception) -> StorageError:
        if isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
            return StorageError(
                f"{self._label}: no secure connection ({innermost(error)}); check the address and "
                "the certificates of this machine"
            )
        if isinstance(error, _TRANSIENT_ERRORS):
            return self._interrupted(innermost(error))
        return StorageError(
            f"{self._label}: cannot be downloaded ({type(error).__name__}); check the address"
        )

    def _begin(self, response: requests.Response) -> bool:
        """Prepare the part for the body of ``response``; return False if it is complete already."""
        status, content_range = response.status_code, response.headers.get("Content-Range", "")
        reason = one_line(response.reason or "", 60)
        offset = self._offset()
        if status == 416 and content_range == f"bytes */{offset}":
            return False
        found = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)", content_range)
        if status == 206 and not found:
            self.restart()
            raise self._interrupted(
                f"the server answered with a part of the file and {one_line(content_range, 60)!r}"
                " for which part"
            )
        if status == 206 and found and found[1] == str(offset) and self._same(response):
            return True
        if status in (206, 416):
            self.restart()
            raise self._interrupted("the server has another version now")
        if status in _TRANSIENT_STATUSES:
            raise self._interrupted(f"the server answered {status} {reason}")
        if status != 200:
            advice = _ADVICE.get(status, "a file was expected, check the address")
            raise StorageError(f"{self._label}: {status} {reason}; {advice}")
        self.restart()
        if version := _version(response):
            self._version_file.write_text(version, "utf-8")
        return True

    def _same(self, response: requests.Response) -> bool:
        """Tell whether the part belongs to this answer, for servers that ignore If-Range."""
        return _version(response) in ("", self._version_file.read_text("utf-8"))

    def _receive(self, response: requests.Response) -> None:
        size = self._offset()
        length = response.headers.get("Content-Length", "")
        total = size + int(length) if length.isdecimal() and len(length) < 19 else None
        self._check_size(total or 0)
        bar = tqdm(
            desc=self._label.rpartition("/")[2],
            total=total,
            initial=size,
            unit="B",
            unit_scale=True,
            disable=None if self._progress else True,
        )
        with bar, self._part.open("ab") as file:
            # Not decoded: some servers label a .tar.gz file as gzip-encoded.
            for block in response.raw.stream(_CHUNK, decode_content=False):
                size += len(block)
                self._check_size(size)
                file.write(block)
                bar.update(len(block))
        if total is not None and size != total:
            raise self._interrupted(f"{total} bytes were promised")

    def _check_size(self, size: int) -> None:
        if size > self._size_limit:
            self.restart()
            raise StorageError(
                f"{self._label}: larger than the limit of {self._size_limit} bytes; "
                "check the address, or raise the limit"
            )

    def _interrupted(self, reason: str) -> _InterruptedError:
        size = self._offset()
        what = f"the download broke off after {size} bytes" if size else "nothing was downloaded"
        return _InterruptedError(f"{self._label}: {what} ({reason})")


class _ForbiddenRedirectError(Exception):
    """A redirect from the internet to an address of this machine or its network."""


class _Session(requests.Session):
    """Follows redirects, except from outside to addresses that only this machine can reach.

    There may be a server there without a password, because only this machine can reach it; in a
    cloud, one that hands out the machine's credentials.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return the target of a redirect; None if the answer is none."""
        location = super().get_redirect_target(resp)
        if location:
            target = urljoin(resp.url, location)
            if is_inside(urlsplit(target).hostname) and not is_inside(urlsplit(resp.url).hostname):
                raise _ForbiddenRedirectError(
                    f"redirects to {redact(one_line(target))}, an address of this machine or of its"
                    " network alone; give that address itself if it is meant"
                )
        return location


def is_inside(host: str | None) -> bool:
    """Tell whether a host's name or number is this machine's own or link-local."""
    try:
        found = socket.getaddrinfo(host, None)
        numbers = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    except (OSError, ValueError):
        # Unknown here; a proxy may know it.
        return False
    return any(_is_own(number) for number in numbers)


def _is_own(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(number, "ipv4_mapped", None) or number
    return bool(mapped.is_loopback or mapped.is_link_local or mapped.is_unspecified)


def _version(response: requests.Response) -> str:
    """Return a version for If-Range: a strong ETag, or else Last-Modified."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _log_retry(state: tenacity.RetryCallState) -> None:
    if state.outcome and state.next_action:
        _logger.warning(
            "%s; next attempt in %.0f s", state.outcome.exception(), state.next_action.sleep
        )
