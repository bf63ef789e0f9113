"""Fetching: from paths and the web, whole or not at all, and going on after a break."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import resource as resource_limits
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tenacity

from stt_model.base.errors import StorageError
from stt_model.storage import download
from stt_model.storage.transfer import digest_directory, fetch, local_path, sha256_file
from tests.stt_model.http_server import FileServer, Resource

FILES = {"best_dev-7.index": b"index" * 9, "alphabet.txt": "ж\n".encode()}
# Random, so that it does not shrink: breaks must fall into the middle of the download.
WEIGHTS = os.urandom(300_000)
FULL = 65_536


def make_tar(prefix: str = "", mode: str = "w:gz", weights: bytes = WEIGHTS) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in {**FILES, "best_dev-7.data": weights}.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = make_tar()
UNPACKED = {**FILES, "best_dev-7.data": WEIGHTS}
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and no waiting between attempts."""
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_WAIT", tenacity.wait_none())
    return tmp_path / "cache"


@pytest.fixture
def resource() -> Resource:
    return Resource(ARCHIVE)


@pytest.fixture
def server(resource: Resource) -> Iterator[FileServer]:
    with FileServer({"/model.tar.gz": resource}) as files:
        yield files


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with nothing else in it than what fetch leaves there."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def failure(uri: str, out: Path, **options: object) -> str:
    """Fetch, which must fail with one line and leave nothing where the target would be."""
    with pytest.raises(StorageError) as caught:
        fetch(uri, out / "target", **options)
    assert list(out.iterdir()) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond FULL bytes, which fails like a disk without room."""
    before = resource_limits.getrlimit(resource_limits.RLIMIT_FSIZE)
    resource_limits.setrlimit(resource_limits.RLIMIT_FSIZE, (FULL, before[1]))
    try:
        yield
    finally:
        resource_limits.setrlimit(resource_limits.RLIMIT_FSIZE, before)


def ranges(server: FileServer) -> list[str | None]:
    return [request.headers.get("Range") for request in server.requests]


class TestLocal:
    def write(self, folder: Path) -> Path:
        (folder / "sub").mkdir(parents=True)
        (folder / "a b").write_bytes(b"1")
        (folder / "sub" / "é").write_bytes(b"22")
        return folder

    def test_folder(self, tmp_path: Path, out: Path) -> None:
        source = self.write(tmp_path / "source")
        fetched = fetch(str(source), out / "new" / "target")
        assert fetched.path == out / "new" / "target"
        assert contents(fetched.path) == {"a b": b"1", "sub/é": b"22"}
        assert (fetched.sha256, fetched.bytes) == (digest_directory(source), 3)
        assert fetch(str(source), out / "again", sha256=fetched.sha256.upper()) != fetched

    def test_folder_with_links_is_copied_with_what_they_lead_to(
        self, tmp_path: Path, out: Path
    ) -> None:
        source = self.write(tmp_path / "source")
        (tmp_path / "links").mkdir()
        (tmp_path / "links" / "file").symlink_to(source / "a b")
        (tmp_path / "links" / "folder").symlink_to(source / "sub")
        fetched = fetch(str(tmp_path / "links"), out / "target")
        assert contents(fetched.path) == {"file": b"1", "folder/é": b"22"}
        assert not any(path.is_symlink() for path in fetched.path.rglob("*"))

    def test_an_empty_target_is_filled(self, tmp_path: Path, out: Path) -> None:
        (out / "target").mkdir()
        fetch(str(self.write(tmp_path / "source")), out / "target")
        assert (out / "target" / "a b").exists()

    def test_a_filled_target_is_left_alone(self, tmp_path: Path, out: Path) -> None:
        source = self.write(tmp_path / "source")
        target = self.write(out / "target")
        with pytest.raises(StorageError, match="not empty; give a new"):
            fetch(str(source), target)
        assert contents(target) == contents(source)

    def test_sources_that_cannot_be_fetched_are_named(self, tmp_path: Path, out: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "link").symlink_to("nowhere")
        (tmp_path / "text").write_text("hello")
        assert "no such file or folder" in failure(str(tmp_path / "missing"), out)
        assert "a folder without files" in failure(str(tmp_path / "empty"), out)
        assert "a link that is broken" in failure(str(tmp_path / "broken"), out)
        assert "not a whole tar or zip archive" in failure(str(tmp_path / "text"), out)

    def test_a_folder_that_leads_into_itself(self, tmp_path: Path, out: Path) -> None:
        source = self.write(tmp_path / "source")
        (source / "sub" / "loop").symlink_to(source)
        assert "a link that is broken or leads in a circle" in failure(str(source), out)

    def test_limits(self, tmp_path: Path, out: Path) -> None:
        source = self.write(tmp_path / "source")
        archive = tmp_path / "model.tar.gz"
        archive.write_bytes(ARCHIVE)
        assert "3 bytes, the limit is 2" in failure(str(source), out, size_limit=2)
        assert "the limit is 99" in failure(str(archive), out, size_limit=99)
        assert "more than the 99 bytes" in failure(str(archive), out, unpacked_limit=99)

    @pytest.mark.parametrize("prefix", ["", "./", "deepspeech-0.9.3-checkpoint/", "./a/b/"])
    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
    def test_archive(self, tmp_path: Path, out: Path, prefix: str, mode: str) -> None:
        archive = tmp_path / "model.tar"
        archive.write_bytes(make_tar(prefix, mode))
        fetched = fetch(str(archive), out / "target", sha256=sha256_file(archive))
        assert contents(fetched.path) == UNPACKED
        assert (fetched.sha256, fetched.bytes) == (sha256_file(archive), archive.stat().st_size)
        assert [path.name for path in out.iterdir()] == ["target"]

    def test_zip_that_macos_made(self, tmp_path: Path, out: Path) -> None:
        with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
            archive.writestr("model/x", b"1")
            archive.writestr("__MACOSX/model/._x", b"2")
        fetch((tmp_path / "model.zip").as_uri(), out / "target")
        assert contents(out / "target") == {"x": b"1"}

    def test_wrong_digest(self, tmp_path: Path, out: Path) -> None:
        source = self.write(tmp_path / "source")
        archive = tmp_path / "model.tar.gz"
        archive.write_bytes(ARCHIVE)
        for uri, digest in [(source, digest_directory(source)), (archive, DIGEST)]:
            message = failure(str(uri), out, sha256="0" * 64)
            assert f"{uri}: expected sha256 {'0' * 64}, found {digest}" in message
            assert uri.exists()
        assert "expected 64 hexadecimal digits, found 'abc'" in failure(
            str(archive), out, sha256="abc"
        )

    def test_full_disk(self, tmp_path: Path, out: Path) -> None:
        archive = tmp_path / "model.tar.gz"
        archive.write_bytes(ARCHIVE)
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "model").write_bytes(ARCHIVE)
        for source in (archive, tmp_path / "source"):
            with full_disk():
                message = failure(str(source), out)
            assert str(out) in message and "File too large" in message

    def test_a_target_that_cannot_be_written(self, tmp_path: Path) -> None:
        source = self.write(tmp_path / "source")
        with pytest.raises(StorageError, match=r"a b: File exists"):
            fetch(str(source), source / "a b" / "target")


class TestHttp:
    def test_archive(self, server: FileServer, out: Path, cache: Path) -> None:
        fetched = fetch(server.url("/model.tar.gz"), out / "target", sha256=DIGEST)
        assert contents(fetched.path) == UNPACKED
        assert (fetched.sha256, fetched.bytes) == (DIGEST, len(ARCHIVE))
        assert list(cache.iterdir()) == []
        assert ranges(server) == [None]

    @pytest.mark.parametrize(
        ("header", "version"), [("ETag", '"1"'), ("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT")]
    )
    def test_goes_on_after_breaks(
        self,
        server: FileServer,
        resource: Resource,
        out: Path,
        cache: Path,
        header: str,
        version: str,
    ) -> None:
        resource.version_header, resource.version = header, version
        resource.break_after = [100_000, 50_000]
        fetch(server.url("/model.tar.gz"), out / "target", sha256=DIGEST)
        assert contents(out / "target") == UNPACKED
        assert ranges(server) == [None, "bytes=100000-", "bytes=150000-"]
        assert list(cache.iterdir()) == []

    def test_goes_on_in_a_later_process(
        self, server: FileServer, resource: Resource, out: Path, cache: Path
    ) -> None:
        resource.break_after = [100_000, *[0] * 5]
        message = failure(server.url("/model.tar.gz"), out)
        (part,) = cache.glob("*.part")
        assert part.read_bytes() == ARCHIVE[:100_000]
        assert "broke off after 100000 bytes" in message
        assert f"run it again to resume from {part}" in message
        fetch_it = (
            "import sys; from pathlib import Path; from stt_model.storage.transfer import fetch;"
            "print(fetch(sys.argv[1], Path(sys.argv[2])).sha256)"
        )
        command = [sys.executable, "-c", fetch_it, server.url("/model.tar.gz"), str(out / "target")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == DIGEST
        assert contents(out / "target") == UNPACKED
        assert ranges(server)[-1] == "bytes=100000-"
        assert list(cache.iterdir()) == []

    @pytest.mark.parametrize("heeds_if_range", [True, False])
    def test_begins_anew_when_the_file_has_changed(
        self, server: FileServer, resource: Resource, out: Path, heeds_if_range: bool
    ) -> None:
        resource.break_after = [100_000, *[0] * 5]
        failure(server.url("/model.tar.gz"), out)
        server.resources["/model.tar.gz"] = Resource(
            make_tar("new/", "w"), version='"2"', heeds_if_range=heeds_if_range
        )
        fetched = fetch(server.url("/model.tar.gz"), out / "target")
        assert fetched.sha256 == hashlib.sha256(make_tar("new/", "w")).hexdigest()
        assert contents(out / "target") == UNPACKED

    @pytest.mark.parametrize("change", [{"ranges": False}, {"version": ""}, {"version": 'W/"1"'}])
    def test_begins_anew_where_going_on_is_not_safe(
        self, server: FileServer, resource: Resource, out: Path, change: dict[str, object]
    ) -> None:
        vars(resource).update(change, break_after=[100_000])
        fetch(server.url("/model.tar.gz"), out / "target", sha256=DIGEST)
        assert contents(out / "target") == UNPACKED
        assert len(server.requests) == 2

    def test_nothing_is_kept_that_cannot_be_continued(
        self, server: FileServer, resource: Resource, out: Path, cache: Path
    ) -> None:
        resource.version, resource.break_after = "", [100_000] * 6
        assert "run it again to start over" in failure(server.url("/model.tar.gz"), out)
        assert list(cache.iterdir()) == []

    def test_full_cache(self, server: FileServer, out: Path, cache: Path) -> None:
        with full_disk():
            message = failure(server.url("/model.tar.gz"), out)
        (part,) = cache.glob("*.part")
        assert f"{part}: File too large; make room, or set STT_BOOTSTRAP_CACHE" in message
        fetch(server.url("/model.tar.gz"), out / "target", sha256=DIGEST)
        assert ranges(server) == [None, f"bytes={FULL}-"]

    def test_a_whole_part_is_not_loaded_again(
        self,
        server: FileServer,
        resource: Resource,
        out: Path,
        cache: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        resource.content = make_tar(weights=bytes(2 * FULL))
        assert len(resource.content) < FULL
        with full_disk():
            message = failure(server.url("/model.tar.gz"), out)
        (part,) = cache.glob("*.part")
        assert f"{out / 'target'}: File too large" in message
        assert f"what arrived is kept in {part}" in caplog.text
        fetch(server.url("/model.tar.gz"), out / "target")
        assert (out / "target" / "best_dev-7.data").read_bytes() == bytes(2 * FULL)
        assert ranges(server) == [None, f"bytes={len(resource.content)}-"]

    def test_wrong_digest_keeps_nothing(self, server: FileServer, out: Path, cache: Path) -> None:
        message = failure(server.url("/model.tar.gz"), out, sha256="0" * 64)
        assert f"expected sha256 {'0' * 64}, found {DIGEST}" in message
        assert list(cache.iterdir()) == []

    def test_damaged_archive_keeps_nothing(
        self, server: FileServer, resource: Resource, out: Path, cache: Path
    ) -> None:
        resource.content = ARCHIVE[:-9]
        assert f"{server.url('/model.tar.gz')}: not a whole" in failure(
            server.url("/model.tar.gz"), out
        )
        assert list(cache.iterdir()) == []

    @pytest.mark.parametrize(
        ("status", "advice"), [(404, "check the address"), (403, "presigned"), (401, "login")]
    )
    def test_a_refusal_is_final(
        self,
        server: FileServer,
        resource: Resource,
        out: Path,
        cache: Path,
        status: int,
        advice: str,
    ) -> None:
        resource.statuses = [status]
        message = failure(server.url("/model.tar.gz"), out)
        assert f"/model.tar.gz: {status} " in message and advice in message
        assert len(server.requests) == 1
        assert list(cache.iterdir()) == []

    def test_a_busy_server_is_asked_again(
        self, server: FileServer, resource: Resource, out: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        resource.statuses = [503, 429, 500]
        fetch(server.url("/model.tar.gz"), out / "target", sha256=DIGEST)
        assert "the server answered 503" in caplog.text

    def test_a_silent_server_is_asked_again(
        self,
        server: FileServer,
        resource: Resource,
        out: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(download, "_TIMEOUT", (1, 0.1))
        resource.silence = [1]
        fetch(server.url("/model.tar.gz"), out / "target", sha256=DIGEST)
        assert "timed out" in caplog.text or "Timeout" in caplog.text

    def test_no_server(self, server: FileServer, out: Path) -> None:
        server.__exit__(None, None, None)
        message = failure(server.url("/model.tar.gz"), out)
        assert "Connection refused" in message

    def test_redirect(self, server: FileServer, out: Path) -> None:
        server.resources["/latest"] = Resource(b"", redirect="/model.tar.gz")
        server.resources["/loop"] = Resource(b"", redirect="/loop")
        fetch(server.url("/latest"), out / "target", sha256=DIGEST)
        shutil.rmtree(out / "target")
        assert "TooManyRedirects" in failure(server.url("/loop"), out)

    @pytest.mark.parametrize("declares_length", [True, False])
    def test_size_limit(
        self,
        server: FileServer,
        resource: Resource,
        out: Path,
        cache: Path,
        declares_length: bool,
    ) -> None:
        resource.declares_length = declares_length
        message = failure(server.url("/model.tar.gz"), out, size_limit=100_000)
        assert "larger than the limit of 100000 bytes" in message
        assert len(server.requests) == 1
        assert list(cache.iterdir()) == []

    def test_secrets_stay_secret(
        self,
        server: FileServer,
        resource: Resource,
        out: Path,
        cache: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.INFO)
        uri = f"http://user:hush@127.0.0.1:{server.port}/model.tar.gz?signature=hush#hush"
        resource.break_after = [9] * 6
        messages = [failure(uri, out)]
        resource.break_after, resource.statuses = [], [403]
        messages.append(failure(uri, out))
        messages.append(failure(uri, out, sha256="0" * 64))
        messages.append(failure("http://user:hush@127.0.0.1:1/x?hush", out))
        messages.append(failure("http://user:hush@[/x?hush", out))
        messages.append(failure("gs://user:hush@bucket/x?hush", out))
        server.resources["/away"] = Resource(b"", redirect="http://hush:hush@127.0.0.1:1/?hush")
        messages.append(failure(server.url("/away"), out))
        assert "hush" not in "".join(messages) + caplog.text
        assert not any(b"hush" in path.read_bytes() for path in cache.iterdir())

    def test_two_at_once(self, server: FileServer, resource: Resource, out: Path) -> None:
        resource.silence = [0.5]
        uri = server.url("/model.tar.gz")
        first = threading.Thread(target=fetch, args=(uri, out / "first"))
        first.start()
        while not server.requests:
            time.sleep(0.01)
        with pytest.raises(StorageError, match="another process is downloading it"):
            fetch(uri, out / "second")
        first.join()
        assert contents(out / "first") == UNPACKED

    def test_progress(self, server: FileServer, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = io.StringIO()
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stderr", terminal)
        fetch(server.url("/model.tar.gz"), out / "quiet")
        assert terminal.getvalue() == ""
        fetch(server.url("/model.tar.gz"), out / "drawn", progress=True)
        assert "model.tar.gz: 100%" in terminal.getvalue()
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        fetch(server.url("/model.tar.gz"), out / "no terminal", progress=True)
        assert sys.stderr.getvalue() == ""

    def test_no_home_folder(
        self, server: FileServer, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv(download.CACHE_VARIABLE)
        monkeypatch.setattr(Path, "home", home)
        assert "set STT_BOOTSTRAP_CACHE to a folder" in failure(server.url("/model.tar.gz"), out)

    def test_cache_folder_that_cannot_be_used(
        self, server: FileServer, out: Path, cache: Path
    ) -> None:
        cache.write_text("a file")
        message = failure(server.url("/model.tar.gz"), out)
        assert f"{cache}" in message and "File exists" in message


class TestUris:
    @pytest.mark.parametrize(
        ("uri", "path"),
        [
            ("/data/my set", "/data/my set"),
            ("relative/100%25", "relative/100%25"),
            ("file:///data/my%20set", "/data/my set"),
            ("FILE://localhost/data/%D1%80%D1%83%D1%87%D1%8C", "/data/ручь"),
            ("file:///data/речь?#", "/data/речь?#"),
        ],
    )
    def test_local(self, uri: str, path: str) -> None:
        assert local_path(uri) == Path(path)

    @pytest.mark.parametrize(
        ("uri", "reason"),
        [
            ("", "not a path"),
            ("file://server/data", "a file on the machine 'server'"),
            ("s3://bucket/model", "expected a path or file://"),
            ("gs://bucket/model", "unknown scheme gs://; supported are a path, file://, http://"),
            ("https://host/data", "expected a path or file://"),
            ("a\0b", "not a path"),
        ],
    )
    def test_not_local(self, uri: str, reason: str) -> None:
        with pytest.raises(StorageError, match=reason):
            local_path(uri)

    @pytest.mark.parametrize("uri", ["gs://bucket/x.tar", "ftp://host/x.tar"])
    def test_not_fetched(self, uri: str, out: Path) -> None:
        assert failure(uri, out).startswith(f"{uri}: ")


class TestDigests:
    def test_file(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"abc")
        assert sha256_file(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()

    def test_directory_as_documented(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "é\n").write_bytes(b"1")
        (tmp_path / "a.b").write_bytes(b"2")
        (tmp_path / "B").write_bytes(b"3")
        shell = (
            r"find -L . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum -z"
            " | sha256sum"
        )
        command = ["sh", "-c", shell]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert digest_directory(tmp_path) == done.stdout.split()[0]

    def test_directory_tells_names_from_contents(self, tmp_path: Path) -> None:
        digests = set()
        for number, (name, content) in enumerate([("a", b"b"), ("b", b"a"), ("a", b"")]):
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number) / name).write_bytes(content)
            digests.add(digest_directory(tmp_path / str(number)))
        assert len(digests) == 3
