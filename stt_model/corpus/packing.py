"""Pack the clips of a dataset into tar shards in WebDataset's layout.

A shard is a plain POSIX tar with two members per clip: ``KEY.wav`` (or the clip's own suffix) and
``KEY.txt``, its transcript. The manifests beside the shards give the position of each member, so a
packed dataset works wherever an unpacked one does. The same dataset gives the same bytes.
"""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from stt_model.base import DataError, atomic_directory, in_parallel, redact
from stt_model.corpus.audio import read_clip
from stt_model.corpus.clip_places import file_name, member_name
from stt_model.corpus.dataset import row_named
from stt_model.corpus.manifests import Utterance, find_splits, read_manifest, write_manifest
from stt_model.storage import MissingError, is_md5, is_stored, local_path, md5_file, store_of

_MIB = 2**20
_READERS = 8
_MARKER = "pack-unfinished.txt"
_SHARD = re.compile(r"\w+-\d{6}\.tar")


def pack(dataset: str, target: str, *, shard_mib: int = 256) -> int:
    """Pack a dataset into ``target``, which is empty or missing, and return the number of clips.

    Either is a path, ``file://`` or ``s3://``. A shard holds up to ``shard_mib`` MiB, or one larger
    clip. In a store the manifests are written last: without them there is no dataset, and the next
    call resumes an interrupted one.

    Raises DataError for a row or clip that cannot be used, or a target that is not empty, and
    StoreError if a store does not answer.
    """
    if shard_mib < 1:
        raise DataError(f"expected shards of at least 1 MiB, found {shard_mib}")
    splits = {split: read_manifest(path) for split, path in find_splits(dataset).items()}
    clips = sum(map(len, splits.values()))
    with (
        _folder(target) as (folder, finished),
        tqdm(desc="packing", total=clips, unit="utterance", disable=None) as bar,
    ):
        for split, utterances in splits.items():
            shards = _Shards(folder, split, shard_mib * _MIB, finished)
            packed = []
            for utterance, content in in_parallel(_read, utterances, workers=_READERS):
                packed.append(shards.add(utterance, content))
                bar.update()
            shards.close()
            write_manifest(folder / f"{split}.csv", packed, relative=True)
        for split in splits:
            finished(folder / f"{split}.csv")
    return clips


class _Shards:
    """Writes the shards of a split into a folder, one after another."""

    def __init__(
        self, folder: Path, split: str, limit: int, finished: Callable[[Path], None]
    ) -> None:
        self._folder, self._split, self._limit, self._finished = folder, split, limit, finished
        self._shards = 0
        self._clips = 0
        self._tar: tarfile.TarFile | None = None

    def add(self, utterance: Utterance, content: bytes) -> Utterance:
        """Pack a clip, and return its row for the manifest beside the shards."""
        if self._tar and self._tar.offset + len(content) > self._limit:
            self.close()
        if not self._tar:
            self._path = self._folder / f"{self._split}-{self._shards:06d}.tar"
            self._tar = tarfile.open(self._path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 (closed when full)
        key = f"{self._split}-{self._clips:08d}"
        name = key + PurePosixPath(file_name(utterance.place)).suffix.lower()
        start = _add(self._tar, name, content)
        _add(self._tar, f"{key}.txt", utterance.transcript.encode())
        self._clips += 1
        place = member_name(self._path.name, name, start, len(content))
        return replace(utterance, wav_filename=place, wav_filesize=len(content))

    def close(self) -> None:
        """Finish the shard that is being written, if there is one."""
        if self._tar:
            self._tar.close()
            self._tar = None
            self._shards += 1
            self._finished(self._path)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Add a member without time and owner; return the offset of its content in bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    start = tar.offset + tarfile.BLOCKSIZE
    tar.addfile(member, io.BytesIO(content))
    return start


def _read(utterance: Utterance) -> tuple[Utterance, bytes]:
    with row_named(utterance):
        return utterance, read_clip(utterance.place)


@contextmanager
def _folder(target: str) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """Yield a folder to write to, and a function to call with each finished file."""
    if not is_stored(target):
        folder = local_path(target)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder}: expected an empty folder, or none; give another place")
        with atomic_directory(folder) as beside:
            yield beside, lambda path: None
        return
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as scratch:
        upload = _Upload(target, Path(scratch))
        yield Path(scratch), upload.send
        upload.finish()


class _Upload:
    """Uploads a packed dataset into a store, with a marker there until it is complete.

    The marker distinguishes the leftovers of an interrupted call from other shards of the same
    name.
    """

    def __init__(self, target: str, scratch: Path) -> None:
        self._store, self._root = store_of(target), target.rstrip("/")
        self._sent: set[str] = set()
        if not self._is_unfinished() and next(self._store.list(target), None):
            raise DataError(f"{redact(target)}: expected nothing stored there; give another place")
        self._found = {each.uri: each for each in self._store.list(target)}
        marker = scratch / _MARKER
        marker.write_text("`stt-bootstrap pack` has not finished here; run it again.\n")
        self.send(marker)

    def send(self, path: Path) -> None:
        """Store a file, unless it is there already, and remove it here."""
        uri = self._uri(path.name)
        found = self._found.get(uri)
        if not (found and is_md5(found.etag) and md5_file(path) == found.etag):
            self._store.upload(path, uri)
        self._sent.add(uri)
        path.unlink()

    def finish(self) -> None:
        """Remove the marker, and shards that only an interrupted call wrote."""
        for uri in self._found.keys() - self._sent:
            if _SHARD.fullmatch(uri.removeprefix(f"{self._root}/")):
                self._store.remove(uri)
        self._store.remove(self._uri(_MARKER))

    def _is_unfinished(self) -> bool:
        with suppress(MissingError):
            self._store.stat(self._uri(_MARKER))
            return True
        return False

    def _uri(self, name: str) -> str:
        return f"{self._root}/{name}"
