"""Write an imported corpus to a folder, or through a local folder to an object store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from stt_model.base import BootstrapError, in_parallel, redact
from stt_model.importing.clip import ImportSourceError
from stt_model.importing.state import NAME, State
from stt_model.storage import MissingError, is_stored, local_path, store_of


@contextmanager
def corpus_folder(target: str) -> Iterator[Path]:
    """Yield the folder to write to; its new content is removed if the import fails."""
    if is_stored(target):
        with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as scratch:
            _bring_state(target, Path(scratch))
            yield Path(scratch)
        return
    folder = local_path(target)
    is_new = not folder.exists()
    if not is_new and not folder.is_dir():
        raise ImportSourceError(f"{target}: expected a folder, or none, found a file")
    if not is_new and any(folder.iterdir()) and not list(folder.glob("*import*.sqlite")):
        raise ImportSourceError(
            f"{target}: expected an empty folder, none, or an imported corpus; give another target"
        )
    was_empty = is_new or not any(folder.iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BootstrapError:
        if was_empty:
            shutil.rmtree(folder)
            if not is_new:
                folder.mkdir()
        raise


def _bring_state(target: str, scratch: Path) -> None:
    store = store_of(target)
    try:
        store.download(f"{target.rstrip('/')}/{NAME}", scratch / NAME)
    except MissingError:
        if next(store.list(target), None):
            raise ImportSourceError(
                f"{redact(target)}: expected nothing stored there, or an imported corpus; give"
                " another target"
            ) from None
        return
    state = State(scratch)
    state.tell("target_is_stored", "yes")
    state.finish()


def upload(corpus: Path, target: str) -> None:
    """Store a corpus, its manifests last: without them it does not count as a corpus."""
    store = store_of(target)
    root = target.rstrip("/")
    last = [corpus / f"{split}.csv" for split in ("dev", "test", "train")]
    rest = [path for path in sorted(corpus.rglob("*")) if path.is_file() and path not in last]

    def send(path: Path) -> None:
        store.upload(path, f"{root}/{path.relative_to(corpus).as_posix()}")

    _each(in_parallel(send, rest, workers=8), len(rest))
    for path in last:
        if path.exists():
            send(path)


def _each(done: Iterable[object], total: int) -> None:
    for _ in tqdm(done, desc="uploading", total=total, unit="file", disable=None):
        pass
