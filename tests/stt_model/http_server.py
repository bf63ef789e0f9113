"""A web server on the loopback device whose answers can be made to go wrong."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler

from tests.loopback import LoopbackServer


@dataclass
class Resource:
    """What the server answers for one path; the lists are used up, one entry a request."""

    content: bytes
    version: str = '"1"'
    version_header: str = "ETag"
    ranges: bool = True
    heeds_if_range: bool = True
    declares_length: bool = True
    redirect: str = ""
    statuses: list[int] = field(default_factory=list)  # answered first, without content
    break_after: list[int] = field(default_factory=list)  # bytes of the body, then the line is cut
    silence: list[float] = field(default_factory=list)  # seconds before the body


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    path: str
    headers: Message


class FileServer(LoopbackServer):
    """Serves ``resources`` (path to Resource) while the ``with`` block lasts."""

    def __init__(self, resources: dict[str, Resource]) -> None:
        self.resources = resources
        self.requests: list[Request] = []
        super().__init__(type("Handler", (_Handler,), {"files": self}))

    def url(self, path: str) -> str:
        return f"{self.address}{path}"


class _Handler(BaseHTTPRequestHandler):
    files: FileServer

    def do_GET(self) -> None:
        self.files.requests.append(Request(self.path, self.headers))
        resource = self.files.resources.get(self.path.partition("?")[0])
        if resource is None:
            self.send_error(404)
        elif resource.statuses:
            self.send_error(resource.statuses.pop(0))
        elif resource.redirect:
            self.send_response(302)
            self.send_header("Location", resource.redirect)
            self.end_headers()
        else:
            self._send(resource)

    def _send(self, resource: Resource) -> None:
        start = self._start(resource)
        total = len(resource.content)
        if start is not None and start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        body = resource.content[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if resource.version:
            self.send_header(resource.version_header, resource.version)
        if resource.declares_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if resource.silence:
            time.sleep(resource.silence.pop(0))
        if resource.break_after:
            body = body[: resource.break_after.pop(0)]
        with contextlib.suppress(ConnectionError):  # the client may have seen enough
            self.wfile.write(body)

    def _start(self, resource: Resource) -> int | None:
        """Return the first byte that the request asks for; None: the whole file."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range", resource.version)
        changed = resource.heeds_if_range and condition != resource.version
        return int(asked[1]) if asked and resource.ranges and not changed else None

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""
