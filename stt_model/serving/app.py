"""The server: OpenAI's transcription API, a WebSocket stream, and a page with a microphone."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import anyio
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from stt_model.base import DataError
from stt_model.corpus import SAMPLE_RATE, audio_info, read_audio
from stt_model.serving.settings import ServingSettings

log = logging.getLogger(__name__)

MIB = 2**20
FORMATS = ("json", "text", "verbose_json")
SECONDS_BETWEEN_TEXTS = 0.4
"""Seconds of new speech in a stream before it is transcribed again."""


class Transcribes(Protocol):
    """The interface of a model for the server."""

    name: str

    def transcribe(self, samples: NDArray[np.float32]) -> str:
        """Return the text of samples, float32 [n] at 16 kHz."""
        ...


def make_app(recogniser: Transcribes, settings: ServingSettings | None = None) -> ASGIApp:
    """Return the ASGI application that serves a model.

    Routes: ``POST /v1/audio/transcriptions`` and ``GET /v1/models`` as in OpenAI's API,
    ``/v1/stream`` (WebSocket), ``/`` (a page), ``/healthz``.
    """
    server = _Server(recogniser, settings or ServingSettings())
    app = Starlette(
        routes=[
            Route("/", server.page),
            Route("/healthz", server.health),
            Route("/v1/models", server.models),
            Route("/v1/audio/transcriptions", server.transcriptions, methods=["POST"]),
            WebSocketRoute("/v1/stream", server.stream),
        ],
        exception_handlers={HTTPException: _as_openai},
    )
    return _BodyLimit(app, server.settings.most_mib * MIB)


class _Server:
    def __init__(self, recogniser: Transcribes, settings: ServingSettings) -> None:
        self.settings = settings
        self._recogniser = recogniser
        self._waiting = 0
        self._turn = anyio.CapacityLimiter(1)

    async def page(self, request: Request) -> Response:
        page = files("stt_model.serving") / "templates" / "microphone.html"
        return HTMLResponse(page.read_text(encoding="utf-8"))

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "model": self._recogniser.name})

    async def models(self, request: Request) -> Response:
        model = {"id": self._recogniser.name, "object": "model", "owned_by": "stt-bootstrap"}
        return JSONResponse({"object": "list", "data": [model]})

    async def transcriptions(self, request: Request) -> Response:
        started = time.perf_counter()
        async with request.form(max_files=1, max_fields=20) as form:
            audio, wanted = form.get("file"), str(form.get("response_format") or "json")
            if not isinstance(audio, UploadFile):
                raise HTTPException(
                    400, "expected a form with a file in the field file, found none"
                )
            if wanted not in FORMATS:
                raise HTTPException(
                    400, f"response_format: expected {', '.join(FORMATS)}, found {wanted!r}"
                )
            samples = await anyio.to_thread.run_sync(self._read, audio)
        if await request.is_disconnected():
            # The client is gone.
            return Response(status_code=499)
        text = await self._transcribe(samples)
        seconds = len(samples) / SAMPLE_RATE
        log.info("%.1f s of speech in %.2f s", seconds, time.perf_counter() - started)
        if wanted == "text":
            return PlainTextResponse(text + "\n")
        if wanted == "verbose_json":
            return JSONResponse({"task": "transcribe", "duration": seconds, "text": text})
        return JSONResponse({"text": text})

    def _read(self, audio: UploadFile) -> NDArray[np.float32]:
        """Return the samples of an uploaded recording."""
        name = Path(audio.filename or "audio").name
        with tempfile.NamedTemporaryFile(suffix=Path(name).suffix[:8]) as file:
            while block := audio.file.read(MIB):
                file.write(block)
            file.flush()
            try:
                seconds = audio_info(file.name).duration
                if seconds > self.settings.most_seconds:
                    raise HTTPException(
                        413,
                        f"{name}: expected {self.settings.most_seconds:g} s of speech at most,"
                        f" found {seconds:.0f} s; cut it into parts",
                    )
                # The header may understate the length.
                return read_audio(file.name, seconds=self.settings.most_seconds)
            except DataError as error:
                raise HTTPException(400, str(error).replace(file.name, name)) from error

    async def _transcribe(self, samples: NDArray[np.float32]) -> str:
        if self._waiting >= self.settings.most_waiting:
            raise HTTPException(503, "busy; try again in a few seconds", {"Retry-After": "5"})
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(
                self._recogniser.transcribe, samples, limiter=self._turn
            )
        finally:
            self._waiting -= 1

    async def stream(self, socket: WebSocket) -> None:
        """Answer 16-bit samples (little-endian, mono, 16 kHz) with the text so far.

        The client sends binary messages, and a text message ``{"type": "finish"}`` at the end of an
        utterance. Answers are ``{"type": "partial"|"final", "text": …}``.
        """
        await socket.accept()
        heard = bytearray()
        done = 0
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if (data := message.get("bytes")) is not None:
                    heard += data
                    enough = len(heard) - done >= 2 * SAMPLE_RATE * SECONDS_BETWEEN_TEXTS
                    full = len(heard) >= 2 * SAMPLE_RATE * self.settings.longest_utterance
                    if enough or full:
                        done = len(heard)
                        await self._tell(socket, "final" if full else "partial", heard)
                    finished = full
                else:
                    finished = _is_finish(message.get("text"))
                    await self._tell(socket, "final", heard)
                if finished:
                    heard, done = bytearray(), 0
        except WebSocketDisconnect:
            return
        except HTTPException as error:
            await socket.close(1008 if error.status_code == 400 else 1013, error.detail)

    async def _tell(self, socket: WebSocket, kind: str, heard: bytearray) -> None:
        whole = bytes(heard[: len(heard) // 2 * 2])
        samples = np.frombuffer(whole, "<i2").astype(np.float32) / np.float32(32768)
        text = await self._transcribe(samples) if samples.size else ""
        await socket.send_json({"type": kind, "text": text})


def _is_finish(text: str | None) -> bool:
    try:
        content = json.loads(text or "")
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("type") != "finish":
        raise HTTPException(400, 'expected samples or {"type": "finish"}')
    return True


async def _as_openai(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"
    content: dict[str, Any] = {"message": error.detail, "type": kind, "param": None, "code": None}
    return JSONResponse({"error": content}, error.status_code, error.headers)


class _BodyLimit:
    """Refuses requests with too large a body, regardless of their header."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        # The form adds some bytes to the file.
        self._most = most + MIB

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._most:
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Callable[[], Awaitable[Message]]:
        taken = 0

        async def receive_counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise HTTPException(413, self._reason)
            return message

        return receive_counted

    @property
    def _reason(self) -> str:
        return f"expected {self._most // MIB - 1} MiB at most, found more; cut the recording"

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await _as_openai(Request(scope), HTTPException(413, self._reason))
        await answer(scope, receive, send)
