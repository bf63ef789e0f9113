"""The object store, against a real S3 server on the loopback device."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
import tenacity

from stt_model.storage import store_client, store_requests
from stt_model.storage.object_store import ObjectStore
from stt_model.storage.store_errors import MissingError, StoreError
from stt_model.storage.store_requests import StoredObject, split_uri
from tests.stt_model.s3_server import S3Server

BLOCK = 8 * 2**20
BIG = 8 * BLOCK + 5
SIGNED = "s3://speech/x?X-Amz-Signature=hush"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_client, "_BACKOFF", 0.05)
    monkeypatch.setattr(store_requests, "_WAIT", tenacity.wait_fixed(0.1))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        (running.folder / "speech").mkdir()
        yield running


@pytest.fixture
def store(server: S3Server) -> ObjectStore:
    return ObjectStore.from_environment(server.environment)


def write_blocks(path: Path, size: int) -> Path:
    """Write a file that is mostly holes, and whose blocks differ from each other."""
    with path.open("wb") as file:
        for start in range(0, size, BLOCK):
            file.seek(start)
            file.write(f"block at {start}".encode())
        file.truncate(size)
    return path


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of eight blocks and a bit."""
    return write_blocks(tmp_path_factory.mktemp("big") / "big.bin", BIG)


def same(first: Path, second: Path) -> bool:
    """Compare two files without keeping either in memory."""
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as one, second.open("rb") as other:
        return all(block == other.read(BLOCK) for block in iter(lambda: one.read(BLOCK), b""))


def requests(caplog: pytest.LogCaptureFixture, method: str) -> int:
    return sum(
        record.name == "urllib3.connectionpool" and f'"{method} ' in record.getMessage()
        for record in caplog.records
    )


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


class TestSmall:
    @pytest.mark.parametrize(
        "key", ["plain.txt", "a b/c d.txt", "речь/ქართული.wav", "100%25 + ?#&=~'(1).txt"]
    )
    def test_there_and_back(self, store: ObjectStore, tmp_path: Path, key: str) -> None:
        uri = f"s3://speech/{key}"
        (tmp_path / "source").write_bytes("жук".encode())
        store.upload(tmp_path / "source", uri)
        stored = store.stat(uri)
        assert (stored.uri, stored.key, stored.size) == (uri, key, 6)
        assert abs((datetime.now(timezone.utc) - stored.modified).total_seconds()) < 60
        store.download(uri, tmp_path / "new" / "target")
        assert (tmp_path / "new" / "target").read_bytes() == "жук".encode()
        with store.open(uri) as stream:
            assert stream.read() == "жук".encode()
        assert uri in [each.uri for each in store.list("s3://speech")]

    def test_an_empty_file(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / "source").touch()
        store.upload(tmp_path / "source", "s3://speech/empty")
        store.download("s3://speech/empty", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b""
        with store.open("s3://speech/empty") as stream:
            assert stream.read(1) == b""

    def test_removed(self, store: ObjectStore, server: S3Server) -> None:
        (server.folder / "speech" / "old one").write_text("x")
        store.remove("s3://speech/old one")
        store.remove("s3://speech/old one")
        assert not (server.folder / "speech" / "old one").exists()

    def test_a_stream_can_be_read_from_any_place(
        self, store: ObjectStore, server: S3Server
    ) -> None:
        (server.folder / "speech" / "digits").write_bytes(b"0123456789")
        with store.open("s3://speech/digits") as stream:
            assert stream.read(3) == b"012"
            assert stream.seek(-2, os.SEEK_END) == 8
            assert stream.read() == b"89"
            assert stream.seek(4) == 4 and stream.read(2) == b"45"

    def test_folders(
        self, store: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = tmp_path / "source"
        for name in ("a b/one", "a b/два", "three"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(name)
        store.upload_directory(source, "s3://speech/folder")
        (tmp_path / "other").write_text("not below the folder")
        store.upload(tmp_path / "other", "s3://speech/folder-2/four")
        store.download_prefix("s3://speech/folder/", tmp_path / "target")
        assert files(tmp_path / "target") == files(source)
        assert (tmp_path / "target" / "a b" / "два").read_text() == "a b/два"

        caplog.set_level(logging.DEBUG, "urllib3.connectionpool")
        store.upload_directory(source, "s3://speech/folder")
        assert requests(caplog, "PUT") == 0
        (tmp_path / "target" / "three").write_text("what the user made of it")
        store.download_prefix("s3://speech/folder/", tmp_path / "target")
        assert requests(caplog, "GET") == 2 + 1, "two listings, and the file that is another"
        assert (tmp_path / "target" / "three").read_text() == "three"

    def test_10000_objects_are_listed_a_page_at_a_time(
        self, store: ObjectStore, server: S3Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = server.folder / "speech" / "many"
        folder.mkdir()
        for number in range(10_000):
            (folder / f"{number:05} клип.wav").write_text(str(number))
        caplog.set_level(logging.DEBUG, "urllib3.connectionpool")
        listing = store.list("s3://speech/many")
        assert next(listing).key == "many/00000 клип.wav"
        assert requests(caplog, "GET") == 1
        names = [stored.key for stored in listing]
        assert names == [f"many/{number:05} клип.wav" for number in range(1, 10_000)]
        assert requests(caplog, "GET") == 10


class TestBig:
    def test_200_mb_there_and_back(self, store: ObjectStore, tmp_path: Path) -> None:
        source = write_blocks(tmp_path / "source", 200_000_000)
        store.upload(source, "s3://speech/big")
        store.download("s3://speech/big", tmp_path / "target")
        assert same(tmp_path / "target", source)
        assert files(tmp_path) == {"source", "target"}

    def test_a_server_that_dies_while_it_is_read_from_and_comes_back(
        self,
        store: ObjectStore,
        big_file: Path,
        tmp_path: Path,
        server: S3Server,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        (server.folder / "speech" / "dies").hardlink_to(big_file)
        crash = Crash(server, after=5)
        stored = store.stat("s3://speech/dies")
        store.download_objects([stored], "s3://speech", tmp_path, advance=crash.count)
        crash.join()
        assert same(tmp_path / "dies", big_file)
        assert "the object store is asked again in" in caplog.text

    def test_a_server_that_dies_while_it_is_written_to_and_comes_back(
        self,
        store: ObjectStore,
        big_file: Path,
        server: S3Server,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        crash = Crash(server, after=5)
        send = store._client._upload_part

        def send_and_count(*arguments: object) -> str:
            crash.count(1)
            return send(*arguments)

        monkeypatch.setattr(store._client, "_upload_part", send_and_count)
        store.upload(big_file, "s3://speech/again")
        crash.join()
        assert same(server.folder / "speech" / "again", big_file)
        assert "the object store is asked again in" in caplog.text

    def test_a_download_goes_on_in_another_process(
        self, server: S3Server, big_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store_client, "_RETRIES", 1)
        (server.folder / "speech" / "on").hardlink_to(big_file)
        store = ObjectStore.from_environment(server.environment)
        crash = Crash(server, after=5, comes_back=False)
        with pytest.raises(StoreError, match="s3://speech/on: the store cannot be reached"):
            store.download_objects(
                [store.stat("s3://speech/on")], "s3://speech", tmp_path, advance=crash.count
            )
        crash.join()
        [part] = tmp_path.iterdir()
        kept = part.stat().st_size
        assert kept >= 3 * BLOCK
        server.start()
        advanced: list[int] = []
        store = ObjectStore.from_environment(server.environment)
        store.download_objects(
            [store.stat("s3://speech/on")], "s3://speech", tmp_path, advance=advanced.append
        )
        assert advanced[0] == kept and sum(advanced) == BIG
        assert files(tmp_path) == {"on"}
        assert same(tmp_path / "on", big_file)

    def test_parts_of_an_upload_that_fails_are_removed(
        self,
        store: ObjectStore,
        big_file: Path,
        server: S3Server,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        aborted = []
        abort = store._client._abort_multipart_upload

        def fail(*arguments: object) -> str:
            raise KeyboardInterrupt

        def abort_and_note(bucket: str, key: str, upload_id: str) -> None:
            abort(bucket, key, upload_id)
            aborted.append(key)

        monkeypatch.setattr(store._client, "_upload_part", fail)
        monkeypatch.setattr(store._client, "_abort_multipart_upload", abort_and_note)
        with pytest.raises(KeyboardInterrupt):
            store.upload(big_file, "s3://speech/stopped")
        assert aborted == ["stopped"]
        assert not (server.folder / "speech" / "stopped").exists()

    def test_an_object_that_changes_while_it_is_read(
        self, store: ObjectStore, big_file: Path, server: S3Server, tmp_path: Path
    ) -> None:
        place = server.folder / "speech" / "changing"
        place.hardlink_to(big_file)
        stream = store.open("s3://speech/changing")
        assert stream.read(8) == b"block at"
        replace(place, b"other content")
        with pytest.raises(StoreError, match="s3://speech/changing: it changed while"):
            stream.read()

        place.unlink()
        place.hardlink_to(big_file)
        stored = store.stat("s3://speech/changing")
        with pytest.raises(StoreError, match="s3://speech/changing: it changed while"):
            store.download_objects(
                [stored],
                "s3://speech",
                tmp_path,
                advance=lambda size: replace(place, b"other content"),
            )
        assert files(tmp_path) == set()


class TestRefusals:
    def test_credentials(self, server: S3Server) -> None:
        wrong = server.environment | {"AWS_SECRET_ACCESS_KEY": "wrong"}
        with pytest.raises(StoreError, match="AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS"):
            ObjectStore.from_environment(wrong).stat("s3://speech/x")
        wrong = server.environment | {"AWS_ACCESS_KEY_ID": "wrong"}
        with pytest.raises(StoreError, match="does not know this AWS_ACCESS_KEY_ID"):
            list(ObjectStore.from_environment(wrong).list("s3://speech"))

    def test_a_missing_object_is_named(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        for attempt in (
            lambda: store.stat("s3://nowhere/x"),
            lambda: list(store.list("s3://nowhere")),
            lambda: store.upload(tmp_path / "file", "s3://nowhere/x"),
            lambda: store.download("s3://nowhere/x", tmp_path / "x"),
        ):
            with pytest.raises(MissingError, match=r"s3://nowhere.*: no such bucket; check"):
                attempt()
        with pytest.raises(MissingError, match="s3://speech/none: no such object; check"):
            store.download("s3://speech/none", tmp_path / "x")
        with pytest.raises(MissingError, match="s3://speech/none: nothing is stored there"):
            store.download_prefix("s3://speech/none", tmp_path / "folder")
        assert files(tmp_path) == {"file"}

    def test_no_server(self, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_client, "_RETRIES", 1)
        for endpoint, reason in [
            ("http://127.0.0.1:1", r"cannot be reached \(Connection refused\)"),
            ("http://no-such-host.invalid", "cannot be reached"),
            (f"https://127.0.0.1:{server.port}", "no secure connection"),
        ]:
            elsewhere = server.environment | {"AWS_ENDPOINT_URL_S3": endpoint}
            with pytest.raises(StoreError, match=f"{reason}.*check AWS_ENDPOINT_URL"):
                ObjectStore.from_environment(elsewhere).stat("s3://speech/x")

    @pytest.mark.parametrize("name", ["../up", "a/../../up", "/etc/passwd", "a//b", "a/./b", "a\0"])
    def test_names_that_would_leave_the_folder(
        self, store: ObjectStore, tmp_path: Path, name: str
    ) -> None:
        moment = datetime.now(timezone.utc)
        stored = StoredObject(f"s3://speech/x/{name}", f"x/{name}", 1, "etag", moment)
        with pytest.raises(StoreError, match="cannot be the name of a file"):
            store.download_objects([stored], "s3://speech/x", tmp_path / "folder")
        assert files(tmp_path) == set()

    @pytest.mark.parametrize(
        ("uri", "parts"),
        [
            ("s3://speech", ("speech", "")),
            ("S3://speech/a b/ж?#%20", ("speech", "a b/ж?#%20")),
            ("s3://speech//x", ("speech", "/x")),
        ],
    )
    def test_uris(self, uri: str, parts: tuple[str, str]) -> None:
        assert split_uri(uri) == parts

    @pytest.mark.parametrize(
        "uri", ["s3://", "s3:///x", "http://speech/x", "s3://me:hush@speech", SIGNED]
    )
    def test_a_text_that_is_no_uri_is_refused(self, uri: str) -> None:
        with pytest.raises(StoreError, match="expected s3://BUCKET/KEY") as caught:
            split_uri(uri)
        assert "hush" not in str(caught.value)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID is not set"),
            ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY is not set"),
            ({"AWS_ENDPOINT_URL_S3": "minio:9000"}, "AWS_ENDPOINT_URL_S3: expected http://HOST"),
            ({"AWS_ENDPOINT_URL_S3": "http://a/b"}, "AWS_ENDPOINT_URL_S3: expected http://HOST"),
            ({"AWS_ENDPOINT_URL_S3": "http://a:b"}, "AWS_ENDPOINT_URL_S3: expected http://HOST"),
            ({"AWS_ENDPOINT_URL_S3": "", "AWS_ENDPOINT_URL": "x"}, "AWS_ENDPOINT_URL: expected"),
            ({"AWS_ENDPOINT_URL_S3": "http://me:hush@host"}, "found 'http://host'"),
            ({"AWS_CA_BUNDLE": "/no/file"}, "AWS_CA_BUNDLE: expected a file"),
            ({"S3_ADDRESSING_STYLE": "none"}, "S3_ADDRESSING_STYLE: expected auto, path or virt"),
        ],
    )
    def test_environment(self, server: S3Server, changes: dict[str, str], reason: str) -> None:
        with pytest.raises(StoreError, match=reason):
            ObjectStore.from_environment(server.environment | changes)


class Crash:
    """Kills the server when it has been counted to ``after``, and starts it again a bit later."""

    def __init__(self, server: S3Server, *, after: int, comes_back: bool = True) -> None:
        self._server = server
        self._left = after
        self._comes_back = comes_back
        self._lock = threading.Lock()
        self._restart = threading.Timer(0.3, server.start)

    def count(self, size: int) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._server.kill()
                if self._comes_back:
                    self._restart.start()

    def join(self) -> None:
        assert self._left <= 0, "the server was never killed"
        if self._comes_back:
            self._restart.join()


def replace(path: Path, content: bytes) -> None:
    path.with_name("beside").write_bytes(content)
    path.with_name("beside").replace(path)
