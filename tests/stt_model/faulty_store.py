"""An object store in memory on the loopback device that fails at the request it is told to."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.loopback import LoopbackServer
from tests.stt_model.played_store import SECRETS

FAULTS = ("refused", "cut", "delayed", "500", "503", "429")
DELAY = 0.6
"""Seconds; give the client less patience than that."""


class FaultyStore(LoopbackServer):
    """Keeps objects; request number ``at``, from 1, fails, or from there on all of them."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.begin()
        super().__init__(type("Handler", (_Handler,), {"store": self, "timeout": 30}))

    def begin(self, fault: str = "", at: int = 0, *, lasting: bool = False) -> None:
        """Count requests from 1 again, over objects that no late request reaches."""
        self.objects = dict(self.objects)
        self.fault, self.at, self.lasting = fault, at, lasting
        self.requests = 0

    def count(self) -> str:
        """Count a request; return how it fails, "" if it does not."""
        with self.lock:
            self.requests += 1
            is_now = self.requests >= self.at if self.lasting else self.requests == self.at
            return self.fault if self.fault and is_now else ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client here."""
        return {**SECRETS, "AWS_ENDPOINT_URL": self.address, "NO_PROXY": "127.0.0.1"}


class _Handler(BaseHTTPRequestHandler):
    store: FaultyStore
    protocol_version = "HTTP/1.1"

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.store.count()
        if fault == "refused":
            self._break()
        elif fault.isdecimal():
            code = "AccessDenied" if fault == "403" else "SlowDown"
            said = f"<Error><Code>{code}</Code><Message>wait</Message></Error>"
            self._send(int(fault), said.encode())
        else:
            # What comes too late meets what there is then, not what a later test begins with.
            objects = self.store.objects
            if fault == "delayed":
                time.sleep(DELAY)
            # What is cut or comes too late has been done, which the client does not know.
            with self.store.lock:
                status, content, headers = self._act(body, objects)
            self._send(status, content, headers, cut=fault == "cut")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do

    def _act(self, body: bytes, objects: dict[str, bytes]) -> tuple[int, bytes, dict[str, str]]:
        parts = urlsplit(self.path)
        key, query = unquote(parts.path), parse_qs(parts.query)
        if self.command == "PUT":
            objects[key] = body
            return 200, b"", {"ETag": _etag(body)}
        if self.command == "DELETE":
            objects.pop(key, None)
            return 204, b"", {}
        if "list-type" in query:
            return 200, _list(objects, key, query.get("prefix", [""])[0]), {}
        if key not in objects:
            return 404, b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>", {}
        content = objects[key]
        headers = {"ETag": _etag(content), "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not asked:
            return 200, content, headers
        start, end = int(asked[1]), min(int(asked[2]), len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return 206, content[start : end + 1], headers

    def _send(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, cut: bool = False
    ) -> None:
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(content)))
            if cut:
                # In the middle of the headers where there is no body to be cut.
                if content and self.command != "HEAD":
                    self.end_headers()
                    self.wfile.write(content[: len(content) // 2])
                self._break()
                return
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
        except OSError:
            # The client had no patience.
            self.close_connection = True

    def _break(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def _list(objects: dict[str, bytes], bucket: str, prefix: str) -> bytes:
    start = f"/{bucket.strip('/')}/"
    entries = "".join(
        f"<Contents><Key>{escape(key.removeprefix(start))}</Key>"
        f"<ETag>{_etag(content)}</ETag><Size>{len(content)}</Size></Contents>"
        for key, content in sorted(objects.items())
        if key.startswith(start + prefix)
    )
    return (
        f"<ListBucketResult><Name>{bucket.strip('/')}</Name><IsTruncated>false</IsTruncated>"
        f"{entries}</ListBucketResult>"
    ).encode()
