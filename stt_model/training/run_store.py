"""A copy of a run in an object store, so that it can resume after its machine is lost.

A process first claims the run with a number above all existing ones, and random letters:
``NUMBER-LETTERS/owner``. In that folder ``files/SHA-256`` holds the content of each
file, and ``run-000001.json``, ``run-000002.json`` and so on name the files of the run as it was
saved. The last of them counts, in the folder with the highest name that has any: a request that
timed out and was repeated, and that the store executes late, replaces nothing newer.

The store only has to be consistent: what was written can be read and listed afterwards. These
rules then keep the run intact, whatever the order of two processes' steps:

- an index is written after all that it names;
- a process removes its own files only when its last index no longer names them, and files of
  lower claims only when it has an index itself;
- so the highest index is always complete. A lower one may be incomplete, and is never read.

A process that finds a higher claim than its own before a save has been replaced, and ends. Runs
saved by versions without claims, directly in the folder, count as the lowest claim.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from stt_model.base import JSON_LIMIT, TrainingError, build, one_line, parse_json, redact
from stt_model.storage import (
    ChangedError,
    MissingError,
    Store,
    StoredObject,
    StoreError,
    is_stored,
    local_path,
    sha256_file,
    store_of,
    upload_text,
)

log = logging.getLogger(__name__)

RUN_ID_VARIABLE = "STT_BOOTSTRAP_RUN_ID"
"""Names the run, also to a replacement pod; set by the pipeline."""

_FORMAT = 1
_NAME = re.compile(
    r"(?:(?P<claim>[0-9]{10}-[0-9a-f]{16})/)?"
    r"(?P<name>owner|run(?:-[0-9]{6})?\.json|files/[0-9a-f]{64})"
)


def of_this_run(uri: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the folder below ``uri`` of the run that the environment names; ``uri`` without one.

    Not a parameter of the step, since that would keep runs from sharing cached results.
    """
    run_id = environ.get(RUN_ID_VARIABLE, "")
    return f"{uri.rstrip('/')}/{run_id}" if uri and run_id else uri


@contextmanager
def run_folder(
    uri: str, target: Path, *, writes: bool = True
) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield the folder that a run kept at ``uri`` saves into, and a function for after each save.

    When the block ends without an error, ``target`` holds the run. ``uri`` is a path, ``file://``
    or ``s3://`` URI; without one, the run is in ``target`` only. Of several workers one ``writes``;
    the others get a copy of the saved state.

    Raises:
        StorageError: the URI is none of these, or the store fails.
        TrainingError: what is kept there is damaged.
    """
    if not uri:
        yield target, _nothing
    elif is_stored(uri):
        kept = RunStore(store_of(uri), uri, target)
        if writes:
            kept.restore()
        else:
            kept.bring()
        yield target, kept.save if writes else _nothing
    else:
        folder = local_path(uri)
        yield folder, _nothing
        if not writes:
            return
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)


def bring_run(uri: str, target: Path) -> None:
    """Fetch the last saved state of the run kept at ``uri``, if there is any.

    Raises:
        StorageError: the store fails.
        TrainingError: what is kept there is damaged.
    """
    RunStore(store_of(uri), uri, target).bring()


def _nothing() -> None:
    pass


class _Found(NamedTuple):
    """An object below the URI of a run."""

    claim: str
    """Name of its folder; "" without one."""
    name: str
    stored: StoredObject


class RunStore:
    """The copy at ``uri``, a folder in an object store, of the run in ``directory``.

    All methods raise StoreError where the store fails, and TrainingError where the copy is damaged
    or another process has claimed the run since.
    """

    def __init__(self, store: Store, uri: str, directory: Path) -> None:
        self._store = store
        self._uri = uri.rstrip("/")
        self._directory = directory
        self._claim = ""
        self._saves = 0
        self._stored: set[str] = set()
        self._digests: dict[tuple[Path, int, int], str] = {}

    def restore(self) -> None:
        """Claim the run, and fetch its last saved state, if there is any."""
        self._make_claim()
        self.bring()

    def bring(self) -> None:
        """Fetch the last saved state of the run, without claiming it."""
        brought: set[Path] = set()
        before = ""
        while (index := self._last_saved()) is not None:
            try:
                files = self._parse(index, self._read(index))
                for name, digest in files.items():
                    self._bring(index, digest, self._directory / name)
                    brought.add(self._directory / name)
            except ChangedError:
                continue
            except MissingError as error:
                # Its owner may have saved again meanwhile, and removed the earlier files.
                if index.stored.version == before:
                    raise TrainingError(
                        f"{redact(index.stored.uri)}: names files that are not stored ({error});"
                        " give another place"
                    ) from error
                before = index.stored.version
                continue
            for path in brought - {self._directory / name for name in files}:
                path.unlink()
            return

    def save(self) -> None:
        """Store the current state of the run in place of the earlier one."""
        if not self._claim:
            self._make_claim()
        files = {path: self._digest(path) for path in self._files()}
        for path, digest in files.items():
            if digest not in self._stored:
                self._store.upload(path, self._place(f"files/{digest}"))
                self._stored.add(digest)
        found = self._survey()
        self._check_alone(found)
        names = {
            path.relative_to(self._directory).as_posix(): digest for path, digest in files.items()
        }
        self._saves += 1
        self._write(self._index, json.dumps({"format": _FORMAT, "files": names}, indent=1))
        self._stored = set(names.values())
        self._remove_old(found)

    def _make_claim(self) -> None:
        highest = max(
            (int(each.claim.partition("-")[0] or 0) for each in self._survey()), default=0
        )
        self._claim = f"{highest + 1:010}-{uuid.uuid4().hex[:16]}"
        self._write("owner", f"{socket.gethostname()}\n")

    def _survey(self) -> list[_Found]:
        """Return all objects of the run, without unrelated ones such as other runs."""
        found = []
        for stored in self._store.list(self._uri):
            if match := _NAME.fullmatch(stored.uri.removeprefix(f"{self._uri}/")):
                found.append(_Found(match["claim"] or "", match["name"], stored))
        return found

    def _last_saved(self) -> _Found | None:
        indexes = [each for each in self._survey() if each.name.startswith("run")]
        return max(indexes, key=lambda each: (each.claim, each.name), default=None)

    def _check_alone(self, found: Iterable[_Found]) -> None:
        if any(each.claim > self._claim for each in found):
            raise TrainingError(
                f"{redact(self._uri)}: another process has taken over this run and continues"
                " from its last save; if that is another run, give each a place of its own"
            )

    def _remove_old(self, found: Iterable[_Found]) -> None:
        """Remove files that the saved run does not need; the next save tries again."""
        wanted = {"owner", self._index, *(f"files/{digest}" for digest in self._stored)}
        for each in found:
            if each.claim < self._claim or each.name not in wanted:
                try:
                    self._store.remove(each.stored.uri)
                except StoreError as error:
                    log.warning("%s; it is no longer needed, and stays for now", error)
                    return

    def _read(self, index: _Found) -> bytes:
        if index.stored.size > JSON_LIMIT:
            raise TrainingError(
                f"{redact(index.stored.uri)}: expected what training saved of a run, found"
                f" {index.stored.size} bytes; give another place"
            )
        with self._store.open(index.stored.uri) as stream:
            return stream.read()

    def _bring(self, index: _Found, digest: str, target: Path) -> None:
        folder = index.stored.uri.rpartition("/")[0]
        self._store.download(f"{folder}/files/{digest}", target)
        if self._digest(target) != digest:
            raise TrainingError(
                f"{redact(folder)}/files/{digest}: its content does not have this SHA-256; give"
                " another place"
            )

    @property
    def _index(self) -> str:
        return f"run-{self._saves:06}.json"

    def _place(self, name: str) -> str:
        return f"{self._uri}/{self._claim}/{name}"

    def _write(self, name: str, text: str) -> None:
        upload_text(self._store, text, self._place(name))

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

    def _parse(self, index: _Found, content: bytes) -> dict[str, str]:
        try:
            read = parse_json(content)
            if not isinstance(read, dict) or read.get("format") != _FORMAT:
                raise ValueError("another format")
            files = build(_Index, {"files": read.get("files")}).files
            for name, digest in files.items():
                path = PurePosixPath(name)
                if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
                    raise ValueError("names outside of the folder")
                if not re.fullmatch("[0-9a-f]{64}", digest):
                    raise ValueError("a file without its SHA-256")
            return files
        except ValueError as error:
            raise TrainingError(
                f"{redact(index.stored.uri)}: expected what training saved of a run, found"
                f" something else ({one_line(str(error))}); give another place"
            ) from error


@dataclass(frozen=True)
class _Index:
    files: dict[str, str]
