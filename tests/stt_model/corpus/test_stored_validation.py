"""Validation of clips in an object store: what is read of them, at first and again."""

import csv
import logging
import sqlite3

import numpy as np
import pytest
import soundfile

from stt_model.corpus.clip_places import member_name
from stt_model.corpus.manifests import COLUMNS, find_splits
from stt_model.corpus.packing import pack
from stt_model.corpus.stored_clips import NAME
from stt_model.corpus.validation import validate
from stt_model.storage.object_store import ObjectStore
from stt_model.storage.store_errors import StoreAnswerError, StoreError
from tests.stt_model.faulty_store import FaultyStore

CLIPS = 4


@pytest.fixture
def local(tmp_path):
    """Three splits of loud, silent and repeated clips of a second or more, in several formats."""
    folder = tmp_path / "local"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for at, split in enumerate(("train", "dev", "test")):
        rows = [COLUMNS]
        for number in range(CLIPS):
            name = f"{split}-{number}.{('wav', 'flac', 'ogg', 'mp3')[number]}"
            sound = 0.1 * draw.uniform(-1, 1, 16000 * 3)
            if split == "train" and number == 0:
                sound *= 0
            if split == "dev" and number == 0:
                sound *= 50
            soundfile.write(folder / name, np.clip(sound, -1, 1), 16000)
            words = f"word {chr(97 + 4 * at + number)}"
            rows.append([name, (folder / name).stat().st_size, words])
        with (folder / f"{split}.csv").open("w", newline="") as handle:
            csv.writer(handle).writerows(rows)
    return folder


@pytest.fixture
def server(tmp_path, monkeypatch, local):
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "cache"))
    with FaultyStore() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        for path in local.iterdir():
            running.objects[f"/speech/loose/{path.name}"] = path.read_bytes()
        yield running


@pytest.fixture
def read(monkeypatch):
    """A list that grows by the name and the bytes of each part that is read of a clip."""
    parts = []
    original = ObjectStore.read

    def counted(store, stored, start, size):
        parts.append((stored.uri.rpartition("/")[2], size))
        return original(store, stored, start, size)

    monkeypatch.setattr(ObjectStore, "read", counted)
    return parts


def check(uri="s3://speech/loose", **options):
    return validate(find_splits(uri), **options)


def found(result):
    return [(each.split, each.row, each.check) for each in result.findings]


def bytes_of(parts, suffix):
    return sum(size for name, size in parts if name.endswith(suffix))


def test_of_a_clip_only_the_header_is_read_and_nothing_again(server, read, local):
    result = check()
    assert {name: len(rows) for name, rows in result.accepted.items()} == {
        "train": CLIPS,
        "dev": CLIPS,
        "test": CLIPS,
    }
    assert bytes_of(read, ".wav") == bytes_of(read, ".flac") == 3 * 8192
    # No header of mp3 tells its length, and small files are asked for at once.
    for suffix in (".mp3", ".ogg"):
        files = list(local.glob(f"*{suffix}"))
        assert bytes_of(read, suffix) == sum(path.stat().st_size for path in files)
        assert len([name for name, _ in read if name.endswith(suffix)]) == len(files)
    assert result.by_header == 6 and "6 clips in a store" in result.to_markdown()
    durations = [validate(find_splits(local)).seconds[split] for split in ("train", "dev")]
    np.testing.assert_allclose(np.concatenate(durations), 3, atol=1e-3)
    for split in ("train", "dev"):
        np.testing.assert_allclose(result.seconds[split], 3, atol=0.08)
    read.clear()
    again = check()
    assert not read
    assert found(again) == found(result) and again.metrics() == result.metrics()


def test_read_whole_the_findings_are_those_of_files(server, read, local):
    whole = check(check_audio="whole")
    here = validate(find_splits(local))
    assert found(whole) == found(here)
    assert {"audio_silent", "audio_clipped"} <= {check for _, _, check in found(here)}
    assert whole.metrics() == here.metrics() and not whole.by_header
    read.clear()
    # What was read once is known whichever way it is asked for.
    assert found(check()) == found(check(check_audio="whole")) == found(here)
    assert not read


def test_headers_are_no_answer_where_all_is_to_be_read(server, read):
    check()
    read.clear()
    assert "audio_silent" in {name for _, _, name in found(check(check_audio="whole"))}
    assert bytes_of(read, ".wav") > 3 * 90_000


def test_a_changed_clip_is_read_again(server, read, local):
    check()
    read.clear()
    soundfile.write(local / "new.wav", np.full(16000, 0.1), 16000)
    server.objects["/speech/loose/train-0.wav"] = (local / "new.wav").read_bytes()
    result = check()
    assert {name for name, _ in read} == {"train-0.wav"}
    assert result.seconds["train"][0] == 1


def test_copies_are_found_by_what_the_store_says_of_them(server):
    server.objects["/speech/loose/train-1.flac"] = server.objects["/speech/loose/test-1.flac"]
    expected = [("train", 2, "audio_across_splits"), ("train", 2, "wav_filesize")]
    assert sorted(found(check())) == expected


def test_a_clip_that_is_gone_or_damaged_is_a_rejected_row(server):
    del server.objects["/speech/loose/train-0.wav"]
    server.objects["/speech/loose/train-1.flac"] = b"nothing of the kind"
    server.objects["/speech/loose/train-2.ogg"] = b""
    result = check()
    reasons = [str(each.findings[0].found) for each in result.rejected]
    assert [reason.split(" at ")[0][:31] for reason in reasons] == [
        "nothing",
        "a file that cannot be decoded: ",
        "an empty file",
    ]


def test_who_may_not_list_asks_for_each_clip(server, read, monkeypatch):
    def refuse(store, uri):
        raise StoreAnswerError(f"{uri}: these credentials may not do that")

    splits = find_splits("s3://speech/loose")
    monkeypatch.setattr(ObjectStore, "list", refuse)
    result = validate(splits)
    assert result.by_header == 9 and len(result.accepted["train"]) == CLIPS


def test_a_folder_of_far_more_than_the_corpus_is_not_listed_to_its_end(server, monkeypatch):
    monkeypatch.setattr("stt_model.corpus.stored_clips._LISTED", 2)
    monkeypatch.setattr("stt_model.corpus.stored_clips._LISTED_A_ROW", 0)
    assert len(check().accepted["test"]) == CLIPS


def test_a_store_that_is_gone_is_named_with_the_row_and_not_asked_for_all(server, monkeypatch):
    splits = find_splits("s3://speech/loose")
    monkeypatch.setattr("stt_model.storage.store_client._RETRIES", 0)
    monkeypatch.setattr("stt_model.storage.store_requests._ATTEMPTS", 1)
    server.begin("refused", 1, lasting=True)
    with pytest.raises(StoreError, match=r"train\.csv, row 1: s3://speech/loose/train-0\.wav"):
        validate(splits)


def test_packed_clips_are_not_read_again_either(server, read, local, monkeypatch):
    pack(str(local), "s3://speech/packed")
    first = check("s3://speech/packed")
    assert found(first) == found(validate(find_splits(local)))
    assert not first.by_header
    read.clear()
    brought = []
    monkeypatch.setattr(ObjectStore, "download_version", lambda *each: brought.append(each))
    monkeypatch.setattr("stt_model.corpus.clip_cache._caches", {})
    assert found(check("s3://speech/packed")) == found(first)
    assert not read and not brought


@pytest.mark.parametrize("content", [b"no database", b""])
def test_a_file_of_measurements_that_is_damaged_is_done_without(server, tmp_path, caplog, content):
    check()
    path = tmp_path / "cache" / NAME
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert len(check().accepted["train"]) == CLIPS
    if content:
        assert f"{path}: measurements cannot be kept" in caplog.text
        assert "remove the file" in caplog.text


def test_each_clip_keeps_one_small_row(server, tmp_path):
    check()
    path = tmp_path / "cache" / NAME
    with sqlite3.connect(path) as rows:
        (count,) = rows.execute("SELECT count(*) FROM clips").fetchone()
    assert count == 3 * CLIPS


def test_names_of_members_tell_the_shard_and_the_part():
    from stt_model.corpus.clips import holder_of

    assert holder_of(member_name("s3://a/b.tar", "c.wav", 5, 9)) == ("s3://a/b.tar", "5+9")
    assert holder_of("s3://a/b.wav") == ("s3://a/b.wav", "")
