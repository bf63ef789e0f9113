"""Places of results, tried before the work that is to be written there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_model.base.errors import BootstrapError, StorageError
from stt_model.storage import store_client
from stt_model.storage.transfer import check_writable
from tests.stt_model.faulty_store import FaultyStore


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    with FaultyStore() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(store_client, "_RETRIES", 1)
        yield running


def test_a_store_that_lets_us_write_is_left_as_it_was(store: FaultyStore) -> None:
    store.objects["/speech/models/mine"] = b"x"
    check_writable("s3://speech/models")
    check_writable("s3://speech/new/place/")
    assert store.objects == {"/speech/models/mine": b"x"}
    assert store.requests > 2


def test_credentials_that_may_not_write_are_refused_in_one_line(store: FaultyStore) -> None:
    store.begin("403", at=1, lasting=True)
    with pytest.raises(StorageError, match=r"s3://speech/models/.*these credentials may not") as it:
        check_writable("s3://speech/models")
    assert "\n" not in str(it.value)
    assert store.objects == {}


def test_credentials_that_may_not_remove_are_enough(
    store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    # Stored and looked at, and only then refused.
    store.begin("403", at=3)
    check_writable("s3://speech/models")
    (left,) = store.objects
    assert left.startswith("/speech/models/.write-test-")
    assert "left: s3://speech/models/.write-test-" in caplog.text


def test_a_web_server_takes_no_results() -> None:
    with pytest.raises(StorageError, match=r"expected a path, file:// or a store to write to"):
        check_writable("https://models.example.org/new")


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    check_writable(str(tmp_path / "new" / "place"))
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(BootstrapError, match="expected a folder, found a file"):
        check_writable(f"file://{tmp_path}/file/place")
