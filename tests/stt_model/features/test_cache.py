import errno
import hashlib
import os
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from stt_model.base.errors import DataError
from stt_model.features.cache import FeatureCache

COLUMNS = 26
ROWS = 25
ENTRY = 4 + ROWS * COLUMNS * 4


def open_cache(folder, limit=2**30, **settings):
    return FeatureCache(folder, COLUMNS, {"revision": 1, **settings}, limit)


def features_of(number):
    return np.random.default_rng(number).standard_normal((ROWS, COLUMNS)).astype(np.float32)


def digest_of(number):
    return hashlib.md5(str(number).encode()).hexdigest()


class Source:
    """What computes features, and remembers of which clips."""

    def __init__(self):
        self.computed = []

    def of(self, number):
        def compute():
            self.computed.append(number)
            return features_of(number)

        return compute

    def through(self, cache, numbers):
        """Ask a cache for the features of clips; return which of them were computed."""
        self.computed.clear()
        for number in numbers:
            np.testing.assert_array_equal(
                cache.get(digest_of(number), self.of(number)), features_of(number)
            )
        return list(self.computed)


@pytest.fixture
def source():
    return Source()


def entries(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "settings.json"]


def age(folder, seconds):
    """Put what is in the folder back in time."""
    for path in folder.rglob("*"):
        if path.is_file():
            moment = path.stat().st_mtime - seconds
            os.utime(path, (moment, moment))


def test_an_entry_is_computed_once(tmp_path, source):
    cache = open_cache(tmp_path)
    assert source.through(cache, [1, 2, 1]) == [1, 2]
    assert source.through(open_cache(tmp_path), [2, 1]) == []


def test_other_settings_have_entries_of_their_own(tmp_path, source):
    source.through(open_cache(tmp_path), [1])
    assert source.through(open_cache(tmp_path, revision=2), [1]) == [1]
    assert source.through(open_cache(tmp_path), [1]) == []


def test_features_without_frames_are_an_entry_too(tmp_path):
    cache = open_cache(tmp_path)
    for _ in range(2):
        assert cache.get(digest_of(1), lambda: np.zeros((0, COLUMNS), np.float32)).shape == (0, 26)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-8],
        lambda data: b"",
        lambda data: bytes(len(data)),
        lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:],
        lambda data: data + b"more",
    ],
    ids=["cut off", "empty", "zeros", "one bit", "longer"],
)
def test_a_damaged_entry_is_computed_again_and_mended(tmp_path, source, damage):
    source.through(open_cache(tmp_path), [1])
    (path,) = entries(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert source.through(open_cache(tmp_path), [1]) == [1]
    assert source.through(open_cache(tmp_path), [1]) == []


def test_the_least_recently_used_features_are_removed_first(tmp_path, source):
    room_for_100 = 100 * ENTRY
    source.through(open_cache(tmp_path, room_for_100), range(90))
    age(tmp_path, 1000)
    source.through(open_cache(tmp_path, room_for_100), range(30))
    age(tmp_path, 1000)
    source.through(open_cache(tmp_path, room_for_100), range(100, 140))
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= room_for_100
    # 30 of the last run but one, all 40 of the last, and what there was room for of the first.
    assert source.through(open_cache(tmp_path), range(30)) == []
    assert source.through(open_cache(tmp_path), range(100, 140)) == []
    assert len(source.through(open_cache(tmp_path), range(30, 90))) in range(30, 40)


def test_entries_of_other_settings_make_room_too(tmp_path, source):
    source.through(open_cache(tmp_path, revision=0), range(100))
    age(tmp_path, 1000)
    source.through(open_cache(tmp_path, 100 * ENTRY), range(50))
    assert source.through(open_cache(tmp_path), range(50)) == []
    assert len(entries(tmp_path)) <= 100


def test_a_pass_over_more_than_there_is_room_for_still_finds_what_it_kept(tmp_path, source, caplog):
    cache = open_cache(tmp_path, 100 * ENTRY)
    assert len(source.through(cache, range(200))) == 200
    (warning,) = caplog.messages
    assert "full" in warning
    kept = 200 - len(source.through(cache, range(200)))
    assert 95 <= kept <= 102
    assert len(entries(tmp_path)) == kept


def test_nothing_outside_is_ever_deleted(tmp_path, source):
    other = tmp_path / "thesis.tex"
    other.write_bytes(bytes(200 * ENTRY))
    age(tmp_path, 10**6)
    source.through(open_cache(tmp_path, 100 * ENTRY), range(200))
    assert other.exists()


def test_a_folder_that_cannot_be_written_to_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file: cannot be written to: .*--feature_cache"):
        open_cache(tmp_path / "file")


def test_a_disk_that_fills_up_stops_the_keeping_and_not_the_run(
    tmp_path, source, caplog, monkeypatch
):
    cache = open_cache(tmp_path)
    source.through(cache, [1])
    write = Path.write_bytes

    def fail(path, data):
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert source.through(cache, [1, 2, 3]) == [2, 3]
    (warning,) = caplog.messages
    assert "No space left on device" in warning
    assert len(entries(tmp_path)) == 1


def fill(folder, seed, limit):
    cache = open_cache(folder, limit)
    draw = np.random.default_rng(seed)
    for number in draw.integers(0, 150, 600):
        found = cache.get(digest_of(number), lambda number=number: features_of(number))
        np.testing.assert_array_equal(found, features_of(number))


def test_processes_share_a_folder(tmp_path, source):
    """Three at once, each with less room than all of them want, and old entries to throw out."""
    limit = 100 * ENTRY
    source.through(open_cache(tmp_path, limit), range(1000, 1090))
    age(tmp_path, 1000)
    context = get_context("spawn")
    processes = [context.Process(target=fill, args=(tmp_path, seed, limit)) for seed in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 1.08 * limit
    assert not [path for path in entries(tmp_path) if path.name.startswith(".")]


def test_threads_share_a_cache(tmp_path):
    cache, failures = open_cache(tmp_path, 50 * ENTRY), []

    def work(seed):
        try:
            for number in np.random.default_rng(seed).integers(0, 80, 200):
                found = cache.get(digest_of(number), lambda number=number: features_of(number))
                np.testing.assert_array_equal(found, features_of(number))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 1.1 * 50 * ENTRY


def test_a_found_entry_counts_as_used(tmp_path, source):
    source.through(open_cache(tmp_path), [1])
    age(tmp_path, 1000)
    source.through(open_cache(tmp_path), [1])
    (path,) = entries(tmp_path)
    assert path.stat().st_mtime > time.time() - 100
