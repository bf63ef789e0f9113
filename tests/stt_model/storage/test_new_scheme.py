"""A scheme is one class and its line in the registry: everything else works with it then."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

import pytest

from stt_model.base.errors import StorageError
from stt_model.corpus.audio import read_audio
from stt_model.corpus.manifests import find_splits, read_manifest
from stt_model.corpus.packing import pack
from stt_model.corpus.source_digest import digest_dataset
from stt_model.corpus.validation import validate
from stt_model.importing.importer import import_corpus
from stt_model.storage.schemes import registry
from stt_model.storage.schemes.protocol import Store, split_root
from stt_model.storage.store_cache import brought, find_objects
from stt_model.storage.store_errors import MissingError
from stt_model.storage.stored import StoredObject
from stt_model.storage.transfer import fetch, put
from stt_model.storage.write_trial import try_to_store
from stt_model.training.run_store import run_folder
from tests.corpora import write_tone_dataset


class FolderStore:
    """A store whose buckets are folders."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _path(self, uri: str) -> Path:
        bucket, key = split_root(uri)
        return self._root / bucket.partition("://")[2] / key

    def list(self, uri: str) -> Iterator[StoredObject]:
        folder = self._path(uri)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield self.stat(f"{uri.rstrip('/')}/{path.relative_to(folder).as_posix()}")

    def stat(self, uri: str) -> StoredObject:
        path = self._path(uri)
        if not path.is_file():
            raise MissingError(f"{uri}: nothing is stored there")
        found = path.stat()
        moment = datetime.fromtimestamp(int(found.st_mtime), timezone.utc)
        etag = hashlib.md5(path.read_bytes()).hexdigest()
        return StoredObject(uri, split_root(uri)[1], found.st_size, etag, moment)

    def open(self, uri: str) -> BinaryIO:
        self.stat(uri)
        return self._path(uri).open("rb")

    def read(self, stored: StoredObject, start: int, size: int) -> bytes:
        return self._path(stored.uri).read_bytes()[start : start + size]

    def download(self, uri: str, target: Path) -> None:
        self.download_version(self.stat(uri), target)

    def download_version(self, stored: StoredObject, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._path(stored.uri), target)

    def download_objects(
        self,
        objects: Iterable[StoredObject],
        uri: str,
        target_dir: Path,
        *,
        advance: Callable[[int], object] = bool,
    ) -> int:
        found = list(objects)
        for each in found:
            self.download_version(each, target_dir / each.uri.removeprefix(f"{uri.rstrip('/')}/"))
            advance(each.size)
        return len(found)

    def upload(self, path: Path, uri: str) -> None:
        self._path(uri).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, self._path(uri))

    def remove(self, uri: str) -> None:
        self._path(uri).unlink(missing_ok=True)


class FolderScheme:
    """``shelf://``."""

    names: tuple[str, ...] = ("shelf",)
    shown = "shelf://"
    is_local = False

    def __init__(self, root: Path) -> None:
        self._store = FolderStore(root)

    def store(self, environ: Mapping[str, str]) -> Store:
        return self._store

    def bring(
        self, uri: str, *, size_limit: int, progress: bool = False
    ) -> AbstractContextManager[Path]:
        return brought(self._store, uri, size_limit=size_limit)

    def check(self, uri: str) -> None:
        find_objects(self._store, uri)

    def check_writable(self, uri: str) -> None:
        try_to_store(self._store, uri)

    def put(self, source: Path, uri: str) -> None:
        files = [source] if source.is_file() else [p for p in source.rglob("*") if p.is_file()]
        for path in files:
            name = "" if source.is_file() else f"/{path.relative_to(source).as_posix()}"
            self._store.upload(path, f"{uri.rstrip('/')}{name}")


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "shelves"
    monkeypatch.setenv("STT_BOOTSTRAP_CACHE", str(tmp_path / "cache"))
    scheme = FolderScheme(root)
    monkeypatch.setattr(registry, "SCHEMES", (*registry.SCHEMES, scheme))
    monkeypatch.setattr(registry, "_STORED", registry._STORED | {"shelf"})
    monkeypatch.setattr(registry, "_REMOTE", registry._REMOTE | {"shelf"})
    return root


def write_corpus(folder: Path) -> Path:
    """Write a dataset whose manifests name clips relative to themselves."""
    write_tone_dataset(folder)
    for manifest in folder.glob("*.csv"):
        manifest.write_text(manifest.read_text().replace(f"{folder}/", ""))
    return folder


def test_a_dataset_is_read_validated_packed_and_told_by_its_content(
    tmp_path: Path, shelf: Path
) -> None:
    dataset = write_corpus(tmp_path / "corpus")
    put(dataset, "shelf://speech/corpus")
    assert registry.is_stored("shelf://speech/corpus") and registry.is_remote(
        "SHELF://speech/corpus"
    )
    splits = find_splits("shelf://speech/corpus")
    assert not list(validate(splits).rejected)
    first, there = (read_manifest(each["train"])[0] for each in (splits, find_splits(str(dataset))))
    assert (read_audio(first.place) == read_audio(there.place)).all()
    before = digest_dataset("shelf://speech/corpus")
    pack("shelf://speech/corpus", "shelf://speech/packed")
    assert list((shelf / "speech" / "packed").glob("train-*.tar"))
    assert not list(validate(find_splits("shelf://speech/packed")).rejected)
    clip = next((shelf / "speech" / "corpus").rglob("*.wav"))
    clip.write_bytes(clip.read_bytes() + b"\0\0")
    assert digest_dataset("shelf://speech/corpus") != before


def test_a_run_is_kept_and_found_again(tmp_path: Path) -> None:
    with run_folder("shelf://speech/runs/1", tmp_path / "here") as (folder, save):
        folder.mkdir(exist_ok=True)
        (folder / "weights").write_text("1")
        save()
    with run_folder("shelf://speech/runs/1", tmp_path / "there") as (folder, _):
        assert (folder / "weights").read_text() == "1"


def test_a_corpus_is_imported_from_there_and_to_there(tmp_path: Path, shelf: Path) -> None:
    put(write_corpus(tmp_path / "corpus"), "shelf://speech/source")
    import_corpus("shelf://speech/source", "shelf://speech/target")
    assert (shelf / "speech" / "target" / "train.csv").exists()


def test_folders_are_fetched(tmp_path: Path) -> None:
    put(write_corpus(tmp_path / "corpus"), "shelf://speech/corpus")
    assert (fetch("shelf://speech/corpus", tmp_path / "fetched").path / "train.csv").exists()
    with pytest.raises(StorageError, match="nothing is stored there"):
        fetch("shelf://speech/nothing", tmp_path / "more")


def test_a_web_address_is_no_store() -> None:
    with pytest.raises(StorageError, match=r"expected the address of an object in a store: s3://"):
        registry.store_of("https://example.org/x")
