"""A run kept in an object store too, so that it goes on after the machine that it was on is gone.

Below its URI, ``run.json`` names the files of the run as it was last saved, and ``files/SHA-256``
holds the content of each. What ``run.json`` names is never changed, and it is replaced after
everything that it names has been stored: whenever a save is broken off, the one before it counts.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stt_model.base import TrainingError, redact
from stt_model.storage import MissingError, ObjectStore, is_stored, local_path, sha256_file

RUN_ID_VARIABLE = "STT_BOOTSTRAP_RUN_ID"
"""Names the run, to a pod that takes the place of another one too; set by the pipeline."""

_FORMAT = 1


def of_this_run(uri: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the folder below ``uri`` of the run that the environment names; ``uri`` without one.

    Not a parameter of the step: with one of its own, no run could take over what another did.
    """
    run_id = environ.get(RUN_ID_VARIABLE, "")
    return f"{uri.rstrip('/')}/{run_id}" if uri and run_id else uri


@contextmanager
def run_folder(uri: str, target: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield the folder that a run kept at ``uri`` saves into, and what to call after each save.

    When the block ends well, ``target`` holds the run. ``uri`` is a path, ``file://`` or ``s3://``
    URI; without one, the run lies in ``target`` only.

    Raises:
        StorageError: the URI is none of these, or the store fails.
        TrainingError: what is kept there is damaged.
    """
    if not uri:
        yield target, _nothing
    elif is_stored(uri):
        kept = RunStore(ObjectStore.from_environment(), uri, target)
        kept.restore()
        yield target, kept.save
    else:
        folder = local_path(uri)
        yield folder, _nothing
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)


def _nothing() -> None:
    pass


class RunStore:
    """The copy at ``uri``, ``s3://bucket/prefix``, of the run in ``directory``.

    All methods raise StoreError where the store fails, and TrainingError where the copy is damaged
    or another process writes it too.
    """

    def __init__(self, store: ObjectStore, uri: str, directory: Path) -> None:
        self._store = store
        self._uri = uri.rstrip("/")
        self._directory = directory
        self._version = ""
        self._stored: dict[str, str] = {}
        self._digests: dict[tuple[Path, int, int], str] = {}

    def restore(self) -> None:
        """Bring the run as it was last saved; nothing happens where there is none."""
        try:
            self._version = self._store.stat(self._index).etag
        except MissingError:
            return
        with self._store.open(self._index) as stream:
            self._stored = self._parse(stream.read())
        for name, digest in self._stored.items():
            self._store.download(self._place(digest), self._directory / name)
        # Of saves that were broken off.
        kept = set(map(self._place, self._stored.values()))
        for found in self._store.list(f"{self._uri}/files"):
            if found.uri not in kept:
                self._store.remove(found.uri)

    def save(self) -> None:
        """Store the run as it is now in place of what was stored before."""
        files = {path: self._digest(path) for path in self._files()}
        before = set(self._stored.values())
        for path, digest in files.items():
            if digest not in before:
                self._store.upload(path, self._place(digest))
        self._check_alone()
        self._stored = {
            path.relative_to(self._directory).as_posix(): digest for path, digest in files.items()
        }
        self._write_index()
        for digest in before - set(self._stored.values()):
            self._store.remove(self._place(digest))

    @property
    def _index(self) -> str:
        return f"{self._uri}/run.json"

    def _place(self, digest: str) -> str:
        return f"{self._uri}/files/{digest}"

    def _files(self) -> list[Path]:
        """Return the files of the run; those whose names begin with a dot are not complete yet."""
        return [
            path
            for path in sorted(self._directory.rglob("*"))
            if path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(self._directory).parts)
        ]

    def _digest(self, path: Path) -> str:
        """Return the SHA-256 of a file, read once for as long as it does not change."""
        found = path.stat()
        key = (path, found.st_size, found.st_mtime_ns)
        if key not in self._digests:
            self._digests[key] = sha256_file(path)
        return self._digests[key]

    def _check_alone(self) -> None:
        try:
            version = self._store.stat(self._index).etag
        except MissingError:
            version = ""
        if version != self._version:
            raise TrainingError(
                f"{redact(self._uri)}: another run has saved there meanwhile; give each run a place"
                " of its own"
            )

    def _write_index(self) -> None:
        content = {"format": _FORMAT, "files": self._stored}
        with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
            index = Path(folder) / "run.json"
            index.write_text(json.dumps(content, indent=1), encoding="utf-8")
            self._store.upload(index, self._index)
        self._version = self._store.stat(self._index).etag

    def _parse(self, content: bytes) -> dict[str, str]:
        try:
            read = json.loads(content)
            if read["format"] != _FORMAT:
                raise ValueError(f"format {read['format']}")
            files: Mapping[str, str] = read["files"]
            if any(Path(name).is_absolute() or ".." in Path(name).parts for name in files):
                raise ValueError("names outside of the folder")
            return dict(files)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"{redact(self._index)}: expected what training saved of a run, found something"
                f" else ({error}); give another place"
            ) from error
