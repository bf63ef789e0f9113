"""The room that caches share."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_model.storage.bounded_folder import BoundedFolder

LIMIT = 1000


def fill(kept: BoundedFolder, name: str, size: int) -> bool:
    with kept.room_for(size) as there_is_room:
        if there_is_room:
            (kept.folder / name).write_bytes(bytes(size))
    return there_is_room


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@given(sizes=st.lists(st.integers(1, 1200), max_size=30))
def test_one_process_never_exceeds_the_limit(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    kept = BoundedFolder(folder, LIMIT, "the rest is made each time")
    for number, size in enumerate(sizes):
        fill(kept, str(number), size)
        assert size_of(folder) <= LIMIT


def test_a_file_that_is_being_written_counts(tmp_path: Path) -> None:
    kept = BoundedFolder(tmp_path, LIMIT, "")
    with kept.room_for(600) as first, kept.room_for(600) as second:
        assert (first, second) == (True, False)
    assert fill(kept, "later", 900), "room of a file that was never written is found again"


def test_room_comes_back_when_the_block_fails(tmp_path: Path) -> None:
    kept = BoundedFolder(tmp_path, LIMIT, "")
    for _ in range(5):
        with pytest.raises(ValueError, match="gone"), kept.room_for(900) as there_is_room:
            assert there_is_room
            raise ValueError("gone")
    assert fill(kept, "x", 900)


def test_one_line_says_once_that_it_is_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = BoundedFolder(tmp_path, LIMIT, "the rest is made each time")
    assert [fill(kept, str(number), 99) for number in range(15)].count(True) == 10
    (line,) = caplog.messages
    assert "full" in line and line.endswith("the rest is made each time")


def test_locks_stay_and_links_are_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "kept"
    outside.mkdir()
    (outside / "thesis").write_bytes(bytes(5000))
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "x.lock").write_bytes(bytes(10))
    (folder / "old").write_bytes(bytes(900))
    for path in (folder / "x.lock", folder / "old"):
        os.utime(path, (1, 1))
    assert fill(BoundedFolder(folder, LIMIT, ""), "new", 900)
    assert sorted(path.name for path in folder.iterdir()) == ["link", "new", "x.lock"]
    assert (outside / "thesis").exists()


def test_threads_together_stay_below_the_limit(tmp_path: Path) -> None:
    kept = BoundedFolder(tmp_path, 100_000, "")
    together = threading.Barrier(8)

    def work(name: str) -> None:
        together.wait()
        for number in range(40):
            fill(kept, f"{name}-{number}", 700)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 90_000 <= size_of(tmp_path) <= 100_000
