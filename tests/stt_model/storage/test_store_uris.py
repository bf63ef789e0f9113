"""Datasets, checkpoints and files in an object store, as the commands and the steps take them."""

from __future__ import annotations

import hashlib
import io
import logging
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import stt_model.export
from stt_model import jobs
from stt_model.base.errors import DataError, StorageError
from stt_model.corpus.manifests import find_splits, iter_manifest
from stt_model.export.config import ExportConfig
from stt_model.storage import download, store_client
from stt_model.storage.object_store import ObjectStore
from stt_model.storage.transfer import check_readable, digest_directory, fetch, local_file, put
from tests.command_line import call, tree
from tests.stt_model.s3_server import S3Server

GOLDEN = Path(__file__).parents[2] / "golden"
ROWS = 'wav_filename,wav_filesize,transcript,voice\nclips/a b.wav,1,"да, нет",x\n\nв.wav,2,два,y\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        (running.folder / "speech").mkdir()
        yield running


@pytest.fixture
def bucket(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder behind ``s3://speech``, and an environment that leads there."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(store_client, "_RETRIES", 1)
    return server.folder / "speech"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


class TestManifests:
    def test_they_name_their_audio_by_uri(self, bucket: Path) -> None:
        write(bucket / "set/train.csv", ROWS)
        write(bucket / "set/dev.csv", ROWS.replace("\n", "\r\n"))
        splits = find_splits("s3://speech/set/")
        assert list(splits) == ["train", "dev"]
        for path in splits.values():
            first, second = iter_manifest(path)
            assert first.wav_filename == "s3://speech/set/clips/a b.wav"
            assert (first.transcript, first.extra) == ("да, нет", {"voice": "x"})
            assert (second.wav_filename, second.row) == ("s3://speech/set/в.wav", 2)

    def test_names_that_are_whole_stay(self, bucket: Path) -> None:
        head = "wav_filename,wav_filesize,transcript"
        names = ["/data/a.wav", "s3://other/a.wav", "", "../up/a.wav"]
        rows = "".join(f"\n{name},1,x" for name in names)
        for split in ("train", "dev"):
            write(bucket / f"whole/{split}.csv", f"{head}{rows}\nragged")
        *rows, ragged = iter_manifest(find_splits("s3://speech/whole")["train"])
        assert [row.wav_filename for row in rows] == [*names[:3], "s3://speech/up/a.wav"]
        assert "row 5: expected 3 fields, found 1" in str(ragged)

    def test_one_that_cannot_be_read_is_reported_as_everywhere(self, bucket: Path) -> None:
        write(bucket / "bad/train.csv", b"wav_filename,wav_filesize,transcript\na,1,\xff\n")
        write(bucket / "bad/dev.csv", 'wav_filename,wav_filesize,transcript\na,1,"x\n')
        splits = find_splits("s3://speech/bad")
        with pytest.raises(DataError, match="expected UTF-8, found byte 0xff"):
            list(iter_manifest(splits["train"]))
        with pytest.raises(DataError, match="check the quotes there"):
            list(iter_manifest(splits["dev"]))

    def test_each_version_is_fetched_once(
        self, bucket: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(bucket / "twice/train.csv", ROWS)
        write(bucket / "twice/dev.csv", ROWS)
        first = find_splits("s3://speech/twice")
        caplog.set_level(logging.DEBUG)
        assert find_splits("s3://speech/twice") == first
        assert '"GET /speech/twice/train.csv' not in caplog.text
        write(bucket / "twice/train.csv", ROWS + "new.wav,1,x,z\n")
        changed = find_splits("s3://speech/twice")
        assert changed["dev"] == first["dev"]
        assert len(list(iter_manifest(changed["train"]))) == 3

    def test_a_missing_source_is_named(self, bucket: Path) -> None:
        write(bucket / "half/dev.csv", ROWS)
        for root, reason in [
            ("s3://speech/half", "s3://speech/half: expected train.csv, found dev.csv"),
            ("s3://speech/none", "s3://speech/none: expected train.csv and dev.csv, found no CSV"),
        ]:
            with pytest.raises(DataError, match=reason):
                find_splits(root)
        with pytest.raises(StorageError, match="s3://nowhere/set: no such bucket"):
            find_splits("s3://nowhere/set")


class TestFetch:
    def test_a_folder_of_objects(self, bucket: Path, tmp_path: Path) -> None:
        for name in ("a b.txt", "sub/два"):
            write(bucket / "model" / name, name)
        fetched = fetch("s3://speech/model/", tmp_path / "target")
        assert tree(tmp_path / "target") == tree(bucket / "model")
        assert fetched.sha256 == digest_directory(bucket / "model")
        assert list((tmp_path / "cache").iterdir()) == []
        again = fetch("s3://speech/model", tmp_path / "again", sha256=fetched.sha256)
        assert again.bytes == fetched.bytes == 7 + 10

    def test_an_archive(self, bucket: Path, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.add(write(tmp_path / "inside", "x"), "model/inside")
        write(bucket / "model.tar.gz", buffer.getvalue())
        fetched = fetch("s3://speech/model.tar.gz", tmp_path / "target")
        assert fetched.sha256 == hashlib.sha256(buffer.getvalue()).hexdigest()
        assert tree(tmp_path / "target") == {"inside": b"x"}

    @pytest.mark.parametrize(
        ("uri", "options", "reason"),
        [
            ("s3://speech/gone", {}, "s3://speech/gone: no such object"),
            ("s3://speech/gone/", {}, "s3://speech/gone/: nothing is stored there"),
            ("s3://nowhere/x", {}, "s3://nowhere/x: no such bucket"),
            ("s3://speech/large", {"size_limit": 2}, "s3://speech/large: 3 bytes, the limit is 2"),
            ("s3://speech/large", {}, "s3://speech/large: not a whole tar or zip archive"),
            ("s3://speech/large", {"sha256": "0" * 64}, "s3://speech/large: expected sha256 000"),
        ],
    )
    def test_sources_that_cannot_be_fetched_are_named(
        self, bucket: Path, tmp_path: Path, uri: str, options: dict[str, object], reason: str
    ) -> None:
        write(bucket / "large", "abc")
        with pytest.raises(StorageError, match=reason):
            fetch(uri, tmp_path / "target", **options)
        assert not (tmp_path / "target").exists()
        assert list((tmp_path / "cache").iterdir()) == []

    def test_bytes_that_arrived_before_the_store_failed_are_kept(
        self, bucket: Path, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(bucket / "parts/1", "one")
        write(bucket / "parts/2", "two")
        begin = ObjectStore._download

        def die_before_the_second(store: ObjectStore, stored: object, *rest: object) -> None:
            if stored.key.endswith("2"):
                while not list(tmp_path.glob("cache/*/content/1")):
                    pass
                server.kill()
            begin(store, stored, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(ObjectStore, "_download", die_before_the_second)
            with pytest.raises(StorageError, match="the store cannot be reached"):
                fetch("s3://speech/parts", tmp_path / "target")
        server.start()
        assert [path.name for path in tmp_path.glob("cache/*/content/*")] == ["1"]
        fetch("s3://speech/parts", tmp_path / "target")
        assert tree(tmp_path / "target") == {"1": b"one", "2": b"two"}

    def test_progress(self, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(bucket / "my model/x", "x" * 1000)
        terminal = io.StringIO()
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr(sys, "stderr", terminal)
        fetch("s3://speech/my model", tmp_path / "quiet")
        assert terminal.getvalue() == ""
        fetch("s3://speech/my model", tmp_path / "drawn", progress=True)
        assert "my model: 100%" in terminal.getvalue() and "1.00k/1.00k" in terminal.getvalue()

    def test_the_command(self, bucket: Path, tmp_path: Path) -> None:
        for path in (GOLDEN / "checkpoints/alphabet").iterdir():
            write(bucket / "coqui" / path.name, path.read_bytes())
        done = call("fetch", "s3://speech/coqui", tmp_path / "checkpoint")
        assert done.code == 0, done.err
        assert '"step": 360' in done.out
        missing = call("fetch", "s3://speech/coqi", tmp_path / "other")
        assert missing.error == ("s3://speech/coqi: no such object; check the address (NoSuchKey)")


class TestFiles:
    def test_a_file_keeps_its_name_while_it_is_needed(self, bucket: Path) -> None:
        write(bucket / "scorers/my words.scorer", "scorer")
        with local_file("s3://speech/scorers/my words.scorer") as path:
            assert (path.name, path.read_text()) == ("my words.scorer", "scorer")
        assert not path.exists()
        with (
            pytest.raises(StorageError, match="expected an object, found a folder"),
            local_file("s3://speech/scorers"),
        ):
            pass

    def test_put(self, bucket: Path, tmp_path: Path) -> None:
        source = write(tmp_path / "export/sub/model.tflite", "model").parents[1]
        put(source, "s3://speech/results/1")
        put(source / "sub/model.tflite", "s3://speech/results/2")
        put(source, str(tmp_path / "results/1"))
        put(source / "sub/model.tflite", (tmp_path / "results/2").as_uri())
        assert tree(bucket / "results") == tree(tmp_path / "results")
        # Again, as a second run or another attempt does; what else lies there stays.
        (tmp_path / "results/1/another").touch()
        put(source, str(tmp_path / "results/1"))
        assert (tmp_path / "results/1/another").exists()

    def test_check_readable(self, bucket: Path, tmp_path: Path) -> None:
        write(bucket / "there/x", "")
        for uri in ("s3://speech/there", "s3://speech/there/x", "http://no.host/x", str(tmp_path)):
            check_readable(uri)
        for uri in ("s3://speech/ther", str(tmp_path / "gone")):
            with pytest.raises(StorageError, match=f"{uri}: no such"):
                check_readable(uri)


@pytest.mark.parametrize("released", [True, False])
def test_an_export_is_copied_where_it_is_released(
    bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, released: bool
) -> None:
    def write_export(config: ExportConfig) -> SimpleNamespace:
        write(config.export_dir / "output_graph.tflite", "model")
        return SimpleNamespace(to_markdown=lambda: "# Export", directory=config.export_dir)

    monkeypatch.setitem(vars(stt_model.export), "export", write_export)
    monkeypatch.setattr("stt_model.jobs.startup.start_tensorflow", lambda: None)
    result = jobs.export_model(
        GOLDEN / "checkpoints/alphabet",
        tmp_path / "export",
        released=released,
        export_uri=f"s3://speech/deployed/{released}",
    )
    assert result.directory == tmp_path / "export"
    assert (bucket / f"deployed/{released}/output_graph.tflite").exists() is released
