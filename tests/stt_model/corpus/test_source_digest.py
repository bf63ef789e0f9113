"""Digests change with what a run would read, and with nothing else."""

from __future__ import annotations

import os
import shutil
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from stt_model import jobs
from stt_model.base.errors import DataError, StorageError
from stt_model.corpus.source_digest import digest_dataset, digest_source
from tests.corpora import write_tone_dataset
from tests.loopback import LoopbackServer
from tests.stt_model.http_server import FileServer, Resource
from tests.stt_model.s3_server import S3Server


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """A dataset whose manifests name their clips relative to themselves."""
    root = write_tone_dataset(tmp_path_factory.mktemp("tones"), train=3, other=1)
    for manifest in root.glob("*.csv"):
        manifest.write_text(manifest.read_text().replace(f"{root}/", ""))
    return root


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["files", "store"])
def dataset(request, tones, tmp_path, monkeypatch):
    """The URI of a dataset, and the folder in which it can be changed."""
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "cache"))
    if request.param == "files":
        return str(shutil.copytree(tones, tmp_path / "data")), tmp_path / "data"
    server = request.getfixturevalue("s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    folder = shutil.copytree(tones, server.folder / "speech" / tmp_path.name / "my data")
    return f"s3://speech/{tmp_path.name}/my data", folder


def change_a_byte(path: Path) -> None:
    """Change the last byte, and neither size nor time."""
    stat = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def test_nothing_changed_is_the_same_digest(dataset):
    uri, _ = dataset
    assert digest_dataset(uri) == digest_dataset(uri)
    assert len(digest_dataset(uri)) == 64


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_one_byte_of_one_clip_changes_the_digest(dataset, split):
    uri, folder = dataset
    before = digest_dataset(uri)
    change_a_byte(folder / f"{split}-clips" / "1.wav")
    assert digest_dataset(uri) != before


def test_a_manifest_changes_the_digest(dataset):
    uri, folder = dataset
    before = digest_dataset(uri)
    manifest = folder / "dev.csv"
    manifest.write_text(manifest.read_text() + manifest.read_text().splitlines()[-1] + "\n")
    assert digest_dataset(uri) != before


def test_a_clip_that_goes_and_comes_back(dataset):
    uri, folder = dataset
    before = digest_dataset(uri)
    clip = folder / "train-clips" / "2.wav"
    clip.rename(folder / "elsewhere.wav")
    assert digest_dataset(uri) != before
    (folder / "elsewhere.wav").rename(clip)
    assert digest_dataset(uri) == before


def test_nothing_else_changes_the_digest(dataset):
    uri, folder = dataset
    before = digest_dataset(uri)
    (folder / "README.md").write_text("new")
    (folder / "train-clips" / "99.wav").write_bytes(b"named by no manifest")
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    assert digest_dataset(uri) == before


def test_clips_outside_of_the_dataset_count(dataset):
    uri, folder = dataset
    shared = shutil.copytree(folder / "train-clips", folder.parent / "shared" / "clips")
    manifest = folder / "train.csv"
    manifest.write_text(manifest.read_text().replace("train-clips/", "../shared/clips/"))
    before = digest_dataset(uri)
    change_a_byte(shared / "1.wav")
    assert digest_dataset(uri) != before


def test_clips_in_a_store_of_manifests_here(s3, tones, tmp_path, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    clips = shutil.copytree(tones / "train-clips", s3.folder / "audio" / "a" / "train-clips")
    other = shutil.copytree(tones / "dev-clips", s3.folder / "audio" / "b" / "dev-clips")
    for name in ("train", "dev"):
        text = (tones / f"{name}.csv").read_text()
        letter = {"train": "a", "dev": "b"}[name]
        (tmp_path / f"{name}.csv").write_text(
            text.replace(f"{name}-", f"s3://audio/{letter}/{name}-")
        )
    before = digest_dataset(str(tmp_path))
    change_a_byte(clips / "1.wav")
    between = digest_dataset(str(tmp_path))
    change_a_byte(other / "1.wav")
    assert len({before, between, digest_dataset(str(tmp_path))}) == 3


def test_a_clip_in_a_shard_is_of_the_version_of_its_shard(tmp_path):
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_text(
            f"wav_filename,wav_filesize,transcript\n{name}.tar#1.wav,1,a\n{name}.tar#2.wav,1,b\n"
        )
        (tmp_path / f"{name}.tar").write_bytes(b"shard")
    before = digest_dataset(str(tmp_path))
    change_a_byte(tmp_path / "dev.tar")
    assert digest_dataset(str(tmp_path)) != before


def test_a_dataset_without_manifests(tmp_path):
    with pytest.raises(DataError, match="expected a folder with train"):
        digest_dataset(str(tmp_path / "nowhere"))


class Listing(BaseHTTPRequestHandler):
    """Answers as S3 does for a bucket of many clips and their manifests."""

    protocol_version = "HTTP/1.1"
    clips = 0
    page = 1000
    requests: ClassVar[list[str]] = []

    def do_GET(self):
        address = urlsplit(self.path)
        self.requests.append(f"{self.command} {address.path}")
        if "list-type" in address.query:
            self._send(self._list(parse_qs(address.query)), "application/xml")
        else:
            split = Path(address.path).stem
            rows = range(self.clips) if split == "train" else range(0)
            lines = "".join(f"clips/{row}.wav,1,a\n" for row in rows)
            text = f"wav_filename,wav_filesize,transcript\n{lines}"
            self._send(text.encode(), "text/csv")

    do_HEAD = do_GET

    def _list(self, query):
        start = int(query.get("continuation-token", ["0"])[0])
        end = min(start + self.page, self.clips)
        entries = "".join(
            f"<Contents><Key>data/clips/{row}.wav</Key><Size>1</Size><ETag>&quot;{row}&quot;</ETag>"
            "<LastModified>2026-11-22T12:00:00.000Z</LastModified></Contents>"
            for row in range(start, end)
        )
        more = f"<IsTruncated>{str(end < self.clips).lower()}</IsTruncated>"
        token = f"<NextContinuationToken>{end}</NextContinuationToken>"
        result = f"<Name>speech</Name><Prefix>data/</Prefix>{more}{token}{entries}"
        namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
        return f'<ListBucketResult xmlns="{namespace}">{result}</ListBucketResult>'.encode()

    def _send(self, body, content_type):
        status, part = 200, body
        if asked := self.headers.get("Range"):
            first, last = asked.removeprefix("bytes=").split("-")
            status, part = 206, body[int(first) : int(last) + 1]
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", '"of-the-manifest"')
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 12:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(part)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("clips", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_clips_take_one_listing(clips, monkeypatch, tmp_path):
    monkeypatch.setattr(Listing, "clips", clips)
    monkeypatch.setattr(Listing, "requests", [])
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with LoopbackServer(Listing) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.address)
        assert len(digest_dataset("s3://speech/data")) == 64
    listing = [each for each in Listing.requests if not each.endswith(".csv")]
    assert len(listing) == clips / Listing.page
    manifests = len(Listing.requests) - len(listing)
    assert manifests < 20
    assert not [each for each in Listing.requests if each.endswith(".wav")]


@pytest.fixture(params=["file", "folder", "object", "objects"])
def source(request, tmp_path, monkeypatch):
    """The URI of a source, and a file that can be changed."""
    kind = request.param
    root = tmp_path
    if kind.startswith("object"):
        server = request.getfixturevalue("s3")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        root = server.folder / "models" / tmp_path.name
    folder = root / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "a.index").write_bytes(b"index")
    (root / "checkpoint-2").mkdir()
    (root / "checkpoint-2" / "a.index").write_bytes(b"another")
    place = folder if kind in ("folder", "objects") else folder / "a.index"
    stored = f"s3://models/{tmp_path.name}/{place.relative_to(root)}"
    return stored if kind.startswith("object") else str(place), folder / "a.index"


def test_sources_change_with_their_content_alone(source):
    uri, file = source
    before = digest_source(uri)
    (file.parent.parent / "checkpoint-2" / "a.index").write_bytes(b"changed")
    os.utime(file, (1, 1))
    assert digest_source(uri) == before
    change_a_byte(file)
    assert digest_source(uri) != before


@pytest.mark.parametrize("uri", ["{here}/gone", "file://{here}/gone", "s3://models/gone"])
def test_sources_that_are_not_there(uri, s3, tmp_path, monkeypatch):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    (s3.folder / "models").mkdir(exist_ok=True)
    with pytest.raises(StorageError, match="gone: "):
        digest_source(uri.format(here=tmp_path))


def test_a_server_that_says_its_version():
    with FileServer({"/c.zip": Resource(b"old", version='"v1"')}) as server:
        before = digest_source(server.url("/c.zip?X-Amz-Signature=1"))
        assert digest_source(server.url("/c.zip?X-Amz-Signature=2")) == before
        server.resources["/c.zip"] = Resource(b"new", version='"v2"')
        assert digest_source(server.url("/c.zip")) != before


@pytest.mark.parametrize("version", ["", 'W/"weak"'])
def test_a_server_that_does_not_say_its_version_is_never_unchanged(version):
    with FileServer({"/c.zip": Resource(b"old", version=version)}) as server:
        digests = {digest_source(server.url("/c.zip")) for _ in range(2)}
    assert len(digests) == 2
    assert all(digest.startswith("unknown-") for digest in digests)


def test_no_source_has_no_digest():
    assert digest_source("") == ""


def test_an_unreadable_source_has_an_unknown_digest_and_is_left_to_the_steps(
    tones, tmp_path, caplog
):
    found = jobs.digest_sources(str(tones), checkpoint_uri=str(tmp_path / "gone"))
    assert found.dataset_digest == digest_dataset(str(tones))
    assert found.checkpoint_digest.startswith("unknown-")
    assert (found.alphabet_digest, found.scorer_digest) == ("", "")
    assert f"{tmp_path}/gone: " in caplog.text
