from __future__ import annotations

import errno
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import soundfile
import webdataset

from stt_model.base.errors import DataError
from stt_model.cli.parser import main
from stt_model.corpus import clip_cache
from stt_model.corpus.audio import read_audio, read_clip
from stt_model.corpus.manifests import find_splits, read_manifest
from stt_model.corpus.packing import pack
from stt_model.corpus.source_digest import digest_dataset
from stt_model.corpus.validation import validate
from stt_model.storage.object_store import ObjectStore
from stt_model.storage.store_errors import StoreError
from stt_model.storage.stored import StoredObject
from tests.stt_model.s3_server import SECRET_KEY, S3Server

CLIPS = 6


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    folder = tmp_path / "loose"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        rows = ["wav_filename,wav_filesize,transcript,speaker"]
        for number in range(CLIPS):
            name = f"{split} clip-{number}.{'flac' if number == 1 else 'wav'}"
            sound = random.integers(-9999, 9999, 16000 + 700 * number).astype(np.int16)
            soundfile.write(folder / name, sound, 16000)
            size = (folder / name).stat().st_size
            rows.append(f"{name},{size},ab ba {'ab' * number} ж,s{number}")
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    served = tmp_path / "served"
    (served / "speech").mkdir(parents=True)
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "cache"))
    with S3Server(served) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def _samples(root: str) -> list[np.ndarray]:
    return [
        read_audio(row.place) for path in find_splits(root).values() for row in read_manifest(path)
    ]


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _failing(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


def _limit_cache(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setenv(clip_cache.LIMIT_VARIABLE, f"{(size + 0.5) / 2**30:.20f}")


def _requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Return a list that grows with every read from the store."""
    made: list[tuple[str, int, int]] = []
    read, download = ObjectStore.read, ObjectStore.download_version

    def counted_read(store: ObjectStore, stored: StoredObject, start: int, size: int) -> bytes:
        made.append((stored.uri, start, size))
        return read(store, stored, start, size)

    def counted_download(store: ObjectStore, stored: StoredObject, target: Path) -> None:
        made.append((stored.uri, 0, -1))
        download(store, stored, target)

    monkeypatch.setattr(ObjectStore, "read", counted_read)
    monkeypatch.setattr(ObjectStore, "download_version", counted_download)
    return made


def test_packed_clips_are_the_loose_ones(dataset: Path, tmp_path: Path, server: S3Server) -> None:
    ObjectStore.from_environment().upload_directory(dataset, "s3://speech/loose")
    assert pack(str(dataset), str(tmp_path / "packed")) == 3 * CLIPS
    assert pack("s3://speech/loose", "s3://speech/packed") == 3 * CLIPS
    expected = _samples(str(dataset))
    for root in ("s3://speech/loose", str(tmp_path / "packed"), "s3://speech/packed"):
        for found, samples in zip(_samples(root), expected, strict=True):
            np.testing.assert_array_equal(found, samples)
    for name in ("train-000000.tar", "train.csv"):
        stored = (server.folder / "speech" / "packed" / name).read_bytes()
        assert stored == (tmp_path / "packed" / name).read_bytes()


def test_shards_are_plain_tars_and_bounded(dataset: Path, tmp_path: Path) -> None:
    loud = np.random.default_rng(2).integers(-9999, 9999, 300_000).astype(np.int16)
    for number in range(CLIPS):
        soundfile.write(dataset / f"train clip-{number}.wav", loud, 16000)
    pack(str(dataset), str(tmp_path / "packed"), shard_mib=1)
    shards = sorted((tmp_path / "packed").glob("train-*.tar"))
    assert len(shards) > 1
    assert max(shard.stat().st_size for shard in shards) <= 2**20 + tarfile.RECORDSIZE
    with tarfile.open(shards[0]) as tar:
        names = tar.getnames()
        text = tar.extractfile("train-00000000.txt")
        assert text is not None and text.read().decode() == "ab ba  ж"
    assert names[:4] == [
        "train-00000000.wav",
        "train-00000000.txt",
        "train-00000001.flac",
        "train-00000001.txt",
    ]
    rows = read_manifest(tmp_path / "packed" / "train.csv")
    assert [row.extra["speaker"] for row in rows] == [f"s{number}" for number in range(CLIPS)]
    assert read_clip(rows[2].place) == (dataset / "train clip-2.wav").read_bytes()


def test_webdataset_reads_the_shards(dataset: Path, tmp_path: Path) -> None:
    pack(str(dataset), str(tmp_path / "packed"))
    shard = str(tmp_path / "packed" / "dev-000000.tar")
    found = list(webdataset.WebDataset(shard, shardshuffle=False))
    loose = read_manifest(dataset / "dev.csv")
    assert [each["txt"].decode() for each in found] == [row.transcript for row in loose]
    assert [each.get("wav") or each["flac"] for each in found] == [
        row.path.read_bytes() for row in loose
    ]


def test_validation_takes_a_packed_store(dataset: Path, tmp_path: Path, server: S3Server) -> None:
    pack(str(dataset), "s3://speech/packed")
    result = validate(find_splits("s3://speech/packed"))
    result.write(tmp_path / "clean")
    clean = read_manifest(tmp_path / "clean" / "train.csv")
    assert len(clean) == CLIPS
    assert clean[0].wav_filename.startswith("s3://speech/packed/train-000000.tar#")
    assert len(read_audio(clean[0].place)) == 16000


def test_clips_are_read_from_the_store_once(
    dataset: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore.from_environment()
    store.upload_directory(dataset, "s3://speech/loose")
    pack(str(dataset), "s3://speech/packed")
    made = _requests(monkeypatch)
    _samples("s3://speech/loose")
    loose = len(made)
    _samples("s3://speech/packed")
    shards = [uri for uri, _, size in made[loose:] if size == -1]
    assert sorted(shards) == [
        f"s3://speech/packed/{s}-000000.tar" for s in ("dev", "test", "train")
    ]
    assert len(made) == loose + len(shards)
    _samples("s3://speech/loose")
    assert len(made) == loose + len(shards)


def test_a_cache_without_room_reads_single_members(
    dataset: Path, tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(str(dataset), "s3://speech/packed")
    monkeypatch.setenv(clip_cache.LIMIT_VARIABLE, "0.00001")
    made = _requests(monkeypatch)
    row = read_manifest(find_splits("s3://speech/packed")["train"])[2]
    assert len(read_audio(row.place)) == 16000 + 1400
    assert [size for _, _, size in made] == [row.wav_filesize]
    assert not list((tmp_path / "cache" / "stt-bootstrap-clips").glob("*/*"))


def test_old_clips_make_room(
    dataset: Path, tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ObjectStore.from_environment().upload_directory(dataset, "s3://speech/loose")
    monkeypatch.setenv(clip_cache.LIMIT_VARIABLE, f"{100_000 / 2**30:.9f}")
    kept = tmp_path / "cache" / "stt-bootstrap-clips"
    old = kept / "00" / "old"
    old.parent.mkdir(parents=True)
    old.write_bytes(bytes(90_000))
    os.utime(old, (1, 1))
    _samples("s3://speech/loose")
    assert not old.exists()
    assert 0 < sum(path.stat().st_size for path in kept.glob("*/*")) <= 100_000


def test_a_changed_clip_is_another(dataset: Path, server: S3Server) -> None:
    store = ObjectStore.from_environment()
    store.upload_directory(dataset, "s3://speech/loose")
    row = read_manifest(find_splits("s3://speech/loose")["train"])[0]
    assert len(read_audio(row.place)) == 16000
    store.upload(dataset / "train clip-2.wav", "s3://speech/loose/train clip-0.wav")
    clip_cache._caches.clear()
    assert len(read_audio(row.place)) == 16000 + 1400


def test_a_missing_clip_is_a_rejected_row_and_a_dead_server_is_not(
    dataset: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore.from_environment()
    store.upload_directory(dataset, "s3://speech/loose")
    store.remove("s3://speech/loose/train clip-0.wav")
    splits = find_splits("s3://speech/loose")
    result = validate(splits)
    assert [each.row.row for each in result.rejected] == [1]
    assert "s3://speech/loose/train clip-0.wav" in str(result.findings[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(dataset.parent / "empty"))
    with pytest.raises(StoreError, match=r"train\.csv, row 1: s3://speech/loose/") as error:
        validate(splits)
    assert "another-secret" not in str(error.value)


@pytest.mark.parametrize("stored", [False, True])
def test_clips_beyond_the_end_of_a_shard_are_rejected_rows(
    stored: bool, dataset: Path, tmp_path: Path, server: S3Server
) -> None:
    root, folder = str(tmp_path / "packed"), tmp_path / "packed"
    if stored:
        root, folder = "s3://speech/packed", server.folder / "speech" / "packed"
    pack(str(dataset), root)
    os.truncate(folder / "dev-000000.tar", 100_000)
    result = validate(find_splits(root))
    rows = [each.row.row for each in result.rejected if each.split == "dev"]
    assert rows and rows == list(range(CLIPS - len(rows) + 1, CLIPS + 1))
    assert {each.split for each in result.rejected} == {"dev"}
    assert "a shard of 100000 bytes" in str(result.rejected[0].findings[0])


def test_threads_that_want_one_shard_take_its_room_once(
    dataset: Path, tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(str(dataset), "s3://speech/packed")
    size = (server.folder / "speech" / "packed" / "train-000000.tar").stat().st_size
    _limit_cache(monkeypatch, 2 * size + 1)
    splits = find_splits("s3://speech/packed")
    made = _requests(monkeypatch)
    download = ObjectStore.download_version

    def slow_download(store: ObjectStore, stored: StoredObject, target: Path) -> None:
        time.sleep(0.2)
        download(store, stored, target)

    monkeypatch.setattr(ObjectStore, "download_version", slow_download)
    places = [row.place for row in read_manifest(splits["train"])]
    with ThreadPoolExecutor(CLIPS) as pool:
        assert all(pool.map(read_clip, places))
    read_clip(read_manifest(splits["dev"])[0].place)
    shards = [f"s3://speech/packed/{split}-000000.tar" for split in ("train", "dev")]
    assert made == [(shard, 0, -1) for shard in shards]
    assert not list((tmp_path / "cache").rglob("*.lock"))


def test_a_shard_that_did_not_come_gives_its_room_back(
    dataset: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(str(dataset), "s3://speech/packed")
    shard = server.folder / "speech" / "packed" / "train-000000.tar"
    _limit_cache(monkeypatch, shard.stat().st_size + 1)
    place = read_manifest(find_splits("s3://speech/packed")["train"])[0].place
    with monkeypatch.context() as broken, pytest.raises(StoreError, match="gone"):
        broken.setattr(ObjectStore, "download_version", _failing(StoreError("gone")))
        read_clip(place)
    made = _requests(monkeypatch)
    read_clip(place)
    assert made == [("s3://speech/packed/train-000000.tar", 0, -1)]


def test_a_full_disk_does_not_keep_clips_from_being_read(
    dataset: Path,
    server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ObjectStore.from_environment().upload_directory(dataset, "s3://speech/loose")
    pack(str(dataset), "s3://speech/packed")
    splits = [find_splits(f"s3://speech/{kind}")["train"] for kind in ("loose", "packed")]
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(ObjectStore, "download_version", _failing(full))
    monkeypatch.setattr(clip_cache, "atomic_write", _failing(full))
    for manifest in splits:
        clip_cache._caches.clear()
        caplog.clear()
        found = [read_clip(row.place) for row in read_manifest(manifest)]
        assert found == [
            read_clip(row.place) for row in read_manifest(find_splits(dataset)["train"])
        ]
        assert [record.getMessage() for record in caplog.records] == [
            f"{dataset.parent / 'cache' / 'stt-bootstrap-clips'}: cannot be written to any more: No"
            " space left on device; other clips are read from the store each time"
        ]


def test_a_shard_is_not_kept_as_a_version_that_it_is_not(
    dataset: Path, tmp_path: Path, server: S3Server
) -> None:
    store = ObjectStore.from_environment()
    store.upload(dataset / "train.csv", "s3://speech/x")
    stored = store.stat("s3://speech/x")
    store.upload(dataset / "dev.csv", "s3://speech/x")
    with pytest.raises(StoreError, match="changed"):
        store.download_version(stored, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_process_has_one_cache_and_it_is_not_known_by_credentials(server: S3Server) -> None:
    clip_cache._caches.clear()
    with ThreadPoolExecutor(8) as pool:
        found = {
            id(each) for each in pool.map(lambda _: clip_cache.cache_of("s3://speech/x"), range(64))
        }
    assert len(found) == len(clip_cache._caches) == 1
    assert SECRET_KEY not in repr(clip_cache._caches)


def test_packing_into_a_store_goes_on_where_it_broke_off(
    dataset: Path, tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = ObjectStore.upload
    sent: list[str] = []

    def breaking_upload(store: ObjectStore, path: Path, uri: str) -> None:
        if uri.endswith("dev.csv") and "train-000000.tar" in sent:
            raise StoreError("gone")
        sent.append(uri.rpartition("/")[2])
        upload(store, path, uri)

    with monkeypatch.context() as broken, pytest.raises(StoreError, match="gone"):
        broken.setattr(ObjectStore, "upload", breaking_upload)
        pack(str(dataset), "s3://speech/packed")
    target = server.folder / "speech" / "packed"
    (target / "train-000001.tar").write_bytes(b"of smaller shards")
    (target / "dev-000000.tar").write_bytes(b"of another dataset")
    sent.clear()
    monkeypatch.setattr(ObjectStore, "upload", breaking_upload)
    pack(str(dataset), "s3://speech/packed")
    assert sorted(sent) == ["dev-000000.tar", "dev.csv", "test.csv"]
    pack(str(dataset), str(tmp_path / "packed"))
    assert _files(target) == _files(tmp_path / "packed")


@pytest.mark.parametrize("name", ["train-000000.tar", "train.csv", "notes.txt"])
def test_packing_does_not_touch_what_others_stored(
    name: str, dataset: Path, server: S3Server
) -> None:
    target = server.folder / "speech" / "packed"
    target.mkdir()
    (target / name).write_bytes(b"of others")
    with pytest.raises(DataError, match="expected nothing stored there"):
        pack(str(dataset), "s3://speech/packed")
    assert _files(target) == {name: b"of others"}


def test_digests_follow_shards(dataset: Path, tmp_path: Path) -> None:
    root = tmp_path / "packed"
    pack(str(dataset), str(root))
    before = digest_dataset(str(root))
    assert digest_dataset(str(root)) == before
    shard = root / "dev-000000.tar"
    content = bytearray(shard.read_bytes())
    content[5000] ^= 1
    shard.write_bytes(content)
    assert digest_dataset(str(root)) != before


def test_nothing_is_written_over_or_left_half(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "packed"
    (dataset / "test clip-3.wav").unlink()
    assert main(["pack", str(dataset), str(target)]) == 1
    assert "test.csv, row 4: " in capsys.readouterr().err
    assert not target.exists()
    with pytest.raises(DataError, match="expected an empty folder"):
        pack(str(dataset), str(dataset))
