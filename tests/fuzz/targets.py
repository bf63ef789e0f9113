"""The readers of foreign bytes: what each is given at first, and how it is called.

A reader may take what it is given or refuse it with a ``BootstrapError`` of one line. Whatever else
it raises is a mistake, and so is a crash, a case that takes too long, or one that takes too much
memory.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import soundfile

from stt_model.base.errors import BootstrapError
from stt_model.checkpoint.directory import open_checkpoint, read_moments, read_weights
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.corpus.audio import audio_info, read_audio, read_clip
from stt_model.corpus.manifests import iter_manifest
from stt_model.decoding import fst
from stt_model.storage import download, store_client, store_requests
from stt_model.storage.archive import unpack
from stt_model.storage.object_store import ObjectStore
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.text.alphabet_file import parse_alphabet
from stt_model.training.state import RunState, read_state
from tests.fuzz.import_targets import (
    RULES,
    SOURCES,
    manifests,
    read_collection,
    read_rule_file,
    read_table,
    sample_databases,
    tables,
    tar_samples,
    workbooks,
)
from tests.fuzz.model_targets import decoding, deployed, patched, scorer
from tests.loopback import LoopbackServer
from tests.stt_model.played_store import SECRETS

CHECKPOINT_ALPHABET = CharacterAlphabet(" abcd")
Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """A reader; ``opened`` yields what it is given at first, and the function to call."""

    opened: Callable[[Path], contextlib.AbstractContextManager[tuple[Sequence[bytes], Read]]]
    slice: int = 60
    """Cases in the default test suite."""


def _files(name: str, seeds: Callable[[Path], Sequence[bytes]], read: Callable[[Path], object]):
    """Return the target of a reader of files, which are called ``name``."""

    @contextlib.contextmanager
    def opened(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
        (folder / "seeds").mkdir()
        path = folder / name

        def call(data: bytes) -> object:
            path.write_bytes(data)
            return read(path)

        yield seeds(folder / "seeds"), call

    return opened


def _make_checkpoint(folder: Path) -> Path:
    geometry = Geometry(8, CHECKPOINT_ALPHABET.classes)
    weights = initialise(geometry, seed=1)
    moments = {name: (array * 0, array * 0) for name, array in weights.items()}
    write_checkpoint(folder, weights, CHECKPOINT_ALPHABET, adam=moments, step=40)
    return folder


@contextlib.contextmanager
def _checkpoint(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
    """All files of a checkpoint in one piece; only the index and what is small is damaged."""
    source = _make_checkpoint(folder / "source")
    prefix = open_checkpoint(source).prefix.name
    names = [f"{prefix}.index", "best_dev_checkpoint", "alphabet.txt", "flags.txt"]
    marks = [f"\n==== {name}\n".encode() for name in names]

    def read(data: bytes) -> None:
        target = folder / "damaged"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        for name, mark, following in zip(names, marks, [*marks[1:], b"\0end\0"], strict=True):
            part = data.partition(mark)[2].partition(following)[0]
            (target / name).write_bytes(part)
        found = open_checkpoint(target)
        read_weights(found)
        if found.has_adam:
            read_moments(found)

    yield (
        [
            b"".join(
                mark + (source / name).read_bytes() for mark, name in zip(marks, names, strict=True)
            )
        ],
        read,
    )


def _automata(_: Path) -> list[bytes]:
    return [fst.write_paths([(1, 2, 9), (3, 2, 9), (1, 2, 4, 9)], 0), fst.write_paths([(7,)], 0)]


def _read_automaton(path: Path) -> None:
    with contextlib.suppress(ValueError):
        fst.read_paths(memoryview(path.read_bytes()), 0)


def _archives(folder: Path) -> list[bytes]:
    content = {"model/a.index": b"index" * 9, "model/alphabet.txt": b"a\n", "m/" + "n" * 200: b"1"}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in content.items():
            file.writestr(name, data)
    tar_bytes = plain.getvalue()
    packers = (gzip.compress, bz2.compress, lzma.compress)
    return [tar_bytes, packed.getvalue(), *(pack(tar_bytes) for pack in packers)]


def _unpack(path: Path) -> None:
    target = path.with_name("unpacked")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    unpack(path, target, unpacked_limit=2**24)


def _recordings(folder: Path) -> list[bytes]:
    samples = 0.4 * np.sin(np.arange(4000) / 9)
    found = []
    for form, kind in (
        ("WAV", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"),
    ):
        data = io.BytesIO()
        soundfile.write(data, samples, 16000, format=form, subtype=kind)
        found.append(data.getvalue())
    return found


def _read_recording(path: Path) -> None:
    audio_info(path)
    read_audio(path, seconds=300)


@contextlib.contextmanager
def _packed_clips(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
    (folder / "s.tar").write_bytes(_recordings(folder)[0])

    def read(data: bytes) -> None:
        place = f"{folder}/{os.fsdecode(data)}"
        for function in (audio_info, read_audio, read_clip):
            with contextlib.suppress(BootstrapError):
                function(place)

    yield [b"s.tar#a.wav@0+8044", b"s.tar#a@12+44", b"s.tar"], read


STATE = RunState({"epochs": 2}, {"name": "a", "digest": "0", "lineage": None}, ["a"], 7, 0.1)


@contextlib.contextmanager
def _json(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
    source = _make_checkpoint(folder / "source")

    def read(data: bytes) -> None:
        for name in ("flags.txt", "lineage.json"):
            (source / name).write_bytes(data)
            with contextlib.suppress(BootstrapError):
                open_checkpoint(source)
        (folder / "a.training.json").write_bytes(data)
        read_state(folder / "a.training.json")

    nested = b"[" * 3000 + b"]" * 3000
    yield (
        [json.dumps(STATE.to_json()).encode(), b'{"n_hidden": 8}', b"--n_hidden=8\n", nested],
        read,
    )


class _Raw(BaseHTTPRequestHandler):
    """Answers every request with the bytes that its server holds."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.settimeout(5)
            self.connection.recv(65536)
            self.connection.sendall(self.server.answer)  # type: ignore[attr-defined]


class _RawServer(LoopbackServer):
    def __init__(self) -> None:
        super().__init__(_Raw)

    def answer(self, data: bytes) -> None:
        self._server.answer = data  # type: ignore[attr-defined]


@contextlib.contextmanager
def _quick(folder: Path) -> Iterator[_RawServer]:
    """Yield a server; whoever asks it does not wait, and does not ask again."""
    before = {
        (download, "_ATTEMPTS"): 1,
        (store_client, "_RETRIES"): 0,
        (store_requests, "_ATTEMPTS"): 1,
        (store_client, "_BACKOFF"): 0.0,
        (download, "_TIMEOUT"): (2, 2),
    }
    variables = {"NO_PROXY": "127.0.0.1", download.CACHE_VARIABLE: str(folder / "cache")}
    environment = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        with patched(before), _RawServer() as server:
            yield server
    finally:
        for name, text in environment.items():
            os.environ.pop(name, None)
            if text is not None:
                os.environ[name] = text


def _answer(body: str, status: str = "200 OK", kind: str = "application/xml") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    head += 'ETag: "900150983cd24fb0d6963f7d28e17f72"\r\nConnection: close\r\n\r\n'
    return f"{head}{body}".encode()


LIST = (
    "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><Name>speech</Name>"
    "<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Contents><Key>x%2Fa</Key>"
    '<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"1"</ETag><Size>3</Size>'
    "</Contents></ListBucketResult>"
)


@contextlib.contextmanager
def _s3_answers(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
    with _quick(folder) as server:
        environment = {**SECRETS, "AWS_ENDPOINT_URL": server.address, "AWS_REGION": "us-east-1"}

        def read(data: bytes) -> None:
            server.answer(data)
            store = ObjectStore.from_environment(environment)
            with contextlib.suppress(BootstrapError):
                for _ in zip(range(50), store.list("s3://speech/x"), strict=False):
                    pass
            store.download("s3://speech/x", folder / "downloaded")

        refusal = "<Error><Code>SlowDown</Code><Message>wait</Message></Error>"
        yield [_answer(LIST), _answer(refusal, "503 Busy"), _answer("abc")], read


@contextlib.contextmanager
def _http_answers(folder: Path) -> Iterator[tuple[Sequence[bytes], Read]]:
    with _quick(folder) as server:

        def read(data: bytes) -> None:
            server.answer(data)
            with download.downloaded(f"{server.address}/a.zip", size_limit=2**20):
                pass

        part = _answer("abc", "206 Part").replace(b"ETag", b"Content-Range: bytes 0-2/3\r\nETag")
        away = (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/b?c=d\r\nContent-Length: 0\r\n\r\n"
        )
        yield [_answer("abc"), part, away, _answer("", "404 Gone")], read


def _alphabets(_: Path) -> list[bytes]:
    return ["# a comment\n \na\nb\n\\#\nä\n".encode(), b"\xef\xbb\xbfa\r\nb\r\n"]


TARGETS: dict[str, Target] = {
    "alphabet": Target(
        _files("alphabet.txt", _alphabets, lambda path: parse_alphabet(path.read_bytes(), name="a"))
    ),
    "archive": Target(_files("a.archive", _archives, _unpack)),
    "audio": Target(_files("a.wav", _recordings, _read_recording)),
    "checkpoint": Target(_checkpoint),
    "decoding": Target(decoding, slice=30),
    "deployed": Target(deployed),
    "fst": Target(_files("a.fst", _automata, _read_automaton)),
    "http": Target(_http_answers, slice=25),
    "json": Target(_json),
    "manifest": Target(_files("a.csv", manifests, lambda path: list(iter_manifest(path)))),
    "packed_clip": Target(_packed_clips),
    "s3": Target(_s3_answers, slice=25),
    "rules": Target(_files("a.yaml", lambda _: [RULES.encode()], read_rule_file)),
    "sample_database": Target(_files("a.sdb", sample_databases, read_collection)),
    "scorer": Target(scorer, slice=30),
    "table": Target(_files("a.tsv", tables, read_table)),
    "tar_samples": Target(_files("a.tar", tar_samples, read_collection)),
    "workbook": Target(_files("a.xlsx", workbooks, read_table)),
    **{name: Target(opened) for name, opened in SOURCES.items()},
}
"""By name, which is that of what is read."""

NEEDS = {
    "decoding": "flashlight",
    "deployed": "tensorflow",
    "elan": "pympi",
    "parquet": "pyarrow",
    "scorer": "flashlight",
    "subtitles_srt": "webvtt",
    "subtitles_vtt": "webvtt",
    "textgrid": "praatio",
    "workbook": "openpyxl",
}
"""What has to be installed besides."""
