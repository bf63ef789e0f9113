"""An object store on the loopback device that answers what a test wants to see handled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler

from tests.loopback import LoopbackServer

SECRETS = {
    "AWS_ACCESS_KEY_ID": "ACCESSKEYOFTHETEST",
    "AWS_SECRET_ACCESS_KEY": "SecretKeyOfTheTest",
    "AWS_SESSION_TOKEN": "SessionTokenOfTheTest",
}


@dataclass(frozen=True)
class Answer:
    """What is sent back; to HEAD without the body."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, code: str, message: str = "", **headers: str) -> Answer:
    """Return an error as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml", **headers})


def stored(content: bytes, etag: str, **headers: str) -> Answer:
    """Return an object."""
    return Answer(200, content, {"ETag": f'"{etag}"', **headers})


class PlayedStore(LoopbackServer):
    """Gives ``answers`` one after the other, the last of them for ever; notes what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers: Sequence[Answer] = answers
        self.asked: list[str] = []
        self.headers: list[Message] = []
        super().__init__(type("Handler", (_Handler,), {"store": self}))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client here."""
        return {**SECRETS, "AWS_ENDPOINT_URL": self.address}


class _Handler(BaseHTTPRequestHandler):
    store: PlayedStore

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        place = min(len(self.store.asked), len(self.store.answers) - 1)
        answer = self.store.answers[place]
        self.store.asked.append(f"{self.command} {self.path}")
        self.store.headers.append(self.headers)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""
