from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_model import clips
from stt_model.audio import read_audio, read_clip
from stt_model.cli import main
from stt_model.corpus import find_splits, read_manifest
from stt_model.errors import DataError
from stt_model.object_store import ObjectStore, StoreError
from stt_model.pack import pack
from stt_model.source_digest import digest_dataset
from stt_model.validation import validate
from tests.stt_model.s3_server import S3Server

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


def _requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Return a list that grows with every read from the store."""
    made: list[tuple[str, int, int]] = []
    read, download = ObjectStore.read, ObjectStore.download

    def counted_read(
        store: ObjectStore, stored: clips.StoredObject, start: int, size: int
    ) -> bytes:
        made.append((stored.uri, start, size))
        return read(store, stored, start, size)

    def counted_download(store: ObjectStore, uri: str, target: Path) -> None:
        made.append((uri, 0, -1))
        download(store, uri, target)

    monkeypatch.setattr(ObjectStore, "read", counted_read)
    monkeypatch.setattr(ObjectStore, "download", counted_download)
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


def test_shards_are_webdatasets_and_bounded(dataset: Path, tmp_path: Path) -> None:
    loud = np.random.default_rng(2).integers(-9999, 9999, 300_000).astype(np.int16)
    for number in range(CLIPS):
        soundfile.write(dataset / f"train clip-{number}.wav", loud, 16000)
    (dataset / "train clip-1.flac").write_bytes((dataset / "train clip-1.flac").read_bytes())
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
    monkeypatch.setenv(clips.LIMIT_VARIABLE, "0.00001")
    made = _requests(monkeypatch)
    row = read_manifest(find_splits("s3://speech/packed")["train"])[2]
    assert len(read_audio(row.place)) == 16000 + 1400
    assert [size for _, _, size in made] == [row.wav_filesize]
    assert not list((tmp_path / "cache" / "stt-bootstrap-clips").glob("*/*"))


def test_old_clips_make_room(
    dataset: Path, tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ObjectStore.from_environment().upload_directory(dataset, "s3://speech/loose")
    monkeypatch.setenv(clips.LIMIT_VARIABLE, f"{100_000 / 2**30:.9f}")
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
    clips._open_cache.cache_clear()
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
    with pytest.raises(StoreError) as error:
        validate(splits)
    assert "another-secret" not in str(error.value)


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
