"""An object store whose keys expire, and the services that give new ones, on this machine."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.loopback import LoopbackServer

CONTAINER_TOKEN = "token-of-the-container"
INSTANCE_TOKEN = "token-of-the-instance"
IDENTITY_TOKEN = "identity-token-of-the-tests"
ROLE = "arn:aws:iam::123456789012:role/speech"
_LONG_AGO = datetime(2026, 1, 1, tzinfo=timezone.utc)


class ExpiringStore(LoopbackServer):
    """A folder as a store, whose subfolders are buckets; it also plays STS and metadata services.

    Attributes:
        requests_a_key: how many requests a pair of keys is good for; afterwards they have expired.
        says: how long the services say that keys hold.
        given: the pairs that were given, as access key, secret key and token.
        asked: what was asked of the services.
        refuses: status that the services answer with, in place of keys.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests_a_key = 10**9
        self.says = timedelta(hours=1)
        self.given: list[tuple[str, str, str]] = []
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refuses = 0
        self.expired_answers = 0
        self._uses = 0
        super().__init__(type("Handler", (_Handler,), {"store": self}))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client to the store, without those that say who it is."""
        return {"AWS_ENDPOINT_URL_S3": self.address, "S3_ADDRESSING_STYLE": "path"}

    def give(self) -> dict[str, str]:
        """Return new keys; those before them are no good any more."""
        number = len(self.given) + 1
        self.given.append((f"KEY{number}OFTHETEST", f"secretOfTheTest{number}", f"token{number}"))
        self._uses = 0
        key, secret, token = self.given[-1]
        ends = datetime.now(timezone.utc) + self.says
        return {
            "AccessKeyId": key,
            "SecretAccessKey": secret,
            "Token": token,
            "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def accepts(self, headers: dict[str, str]) -> bool:
        """Tell whether a request is signed with keys that hold."""
        found = re.search(r"Credential=(\w+)/", headers.get("Authorization", ""))
        key, _, token = self.given[-1] if self.given else ("", "", "")
        self._uses += 1
        good = bool(found and found[1] == key and headers.get("X-Amz-Security-Token") == token)
        return good and self._uses <= self.requests_a_key


class _Handler(BaseHTTPRequestHandler):
    store: ExpiringStore
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        if self._is_service(parts.path, parse_qs(parts.query)):
            self.store.asked.append(f"{self.command} {parts.path}")
            self.store.headers.append(dict(self.headers))
            self._serve(parts.path, parse_qs(parts.query) or parse_qs(body.decode()))
        elif not self.store.accepts(dict(self.headers)):
            self.store.expired_answers += 1
            self._send(400, b"<Error><Code>ExpiredToken</Code><Message>old</Message></Error>")
        elif self.command == "DELETE":
            self._path(parts.path).unlink(missing_ok=True)
            self._send(204, b"")
        elif self.command == "PUT":
            self._write(parts.path, body)
        elif "list-type" in parts.query:
            self._list(parts.path, parse_qs(parts.query))
        else:
            self._read(parts.path)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _is_service(self, path: str, query: dict[str, list[str]]) -> bool:
        return path in ("/", "/keys") or "/latest/" in path

    def _serve(self, path: str, query: dict[str, list[str]]) -> None:
        if self.store.refuses:
            self._send(self.store.refuses, b"<Error/>")
        elif path == "/latest/api/token":
            self._send(200, INSTANCE_TOKEN.encode())
        elif path.endswith("/security-credentials/"):
            self._send(200, b"speech-role")
        elif path.endswith("/security-credentials/speech-role") or path == "/keys":
            self._send(200, json.dumps({"Code": "Success", **self.store.give()}).encode())
        else:
            (action,) = query["Action"]
            assert query["RoleArn"] == [ROLE]
            keys = self.store.give() | {"SessionToken": ""}
            keys["SessionToken"] = keys.pop("Token")
            inner = "".join(f"<{name}>{value}</{name}>" for name, value in keys.items())
            result = f"<{action}Result><Credentials>{inner}</Credentials></{action}Result>"
            self._send(200, f"<{action}Response>{result}</{action}Response>".encode())

    def _path(self, path: str) -> Path:
        return self.store.folder / unquote(path).lstrip("/")

    def _write(self, path: str, body: bytes) -> None:
        file = self._path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        self._send(200, b"", ETag=_etag(body))

    def _list(self, path: str, query: dict[str, list[str]]) -> None:
        bucket, prefix = self._path(path), query.get("prefix", [""])[0]
        files = sorted(each for each in bucket.rglob("*") if each.is_file())
        entries = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{file.stat().st_size}</Size>"
            f"<ETag>{_etag(file.read_bytes())}</ETag>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for file in files
            if (name := file.relative_to(bucket).as_posix()).startswith(prefix)
        )
        xmlns = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        text = f"<Name>speech</Name><IsTruncated>false</IsTruncated>{entries}"
        self._send(200, f"<ListBucketResult {xmlns}>{text}</ListBucketResult>".encode())

    def _read(self, path: str) -> None:
        file = self._path(path)
        if not file.is_file():
            self._send(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
            return
        content = file.read_bytes()
        modified = format_datetime(_LONG_AGO, usegmt=True)
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        part = content[int(span[1]) : int(span[2] or len(content)) + 1] if span else content
        status = 206 if span else 200
        self._send(status, part, **{"ETag": _etag(content), "Last-Modified": modified})

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


KEYS = {"AWS_ACCESS_KEY_ID": "FIRSTKEY", "AWS_SECRET_ACCESS_KEY": "first-secret"}


def role(store: ExpiringStore, folder: Path) -> dict[str, str]:
    """Return the variables of keys that take a role."""
    return {**KEYS, "AWS_ROLE_ARN": ROLE, "AWS_ENDPOINT_URL_STS": store.address}


def web_identity(store: ExpiringStore, folder: Path) -> dict[str, str]:
    """Return the variables of a pod's web identity."""
    (folder / "identity").write_text(IDENTITY_TOKEN)
    return {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "identity"),
        "AWS_ROLE_ARN": ROLE,
        "AWS_ENDPOINT_URL_STS": store.address,
    }


def container(store: ExpiringStore, folder: Path) -> dict[str, str]:
    """Return the variables of the identity of a container."""
    (folder / "container").write_text(CONTAINER_TOKEN)
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{store.address}/keys",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(folder / "container"),
    }


def instance(store: ExpiringStore, folder: Path) -> dict[str, str]:
    """Return the variables of the identity of a machine."""
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": store.address}
