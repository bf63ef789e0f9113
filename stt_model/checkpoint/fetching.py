"""Fetch a checkpoint from any URI and convert it to Coqui's layout."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from stt_model.base import CheckpointError, redact
from stt_model.checkpoint.directory import Checkpoint, open_checkpoint, read_weights
from stt_model.checkpoint.formats.registry import is_model
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.storage import GIB, Fetched, fetch
from stt_model.text import Alphabet, write_alphabet

SIZE_LIMIT, UNPACKED_LIMIT = 20 * GIB, 40 * GIB


def fetch_checkpoint(
    uri: str,
    target: Path,
    *,
    sha256: str = "",
    size_limit: int = SIZE_LIMIT,
    unpacked_limit: int = UNPACKED_LIMIT,
    progress: bool = False,
    alphabet: Alphabet | None = None,
) -> Fetched:
    """Make ``target`` a checkpoint directory from ``uri``.

    Args:
        uri: a folder, an archive, or a deployed model, as a path, ``file://``, ``s3://`` or
            ``http(s)://``.
        target: must not exist, or be an empty folder.
        sha256: of the file, archive or folder, in hexadecimal; empty for no check.
        size_limit: maximum to fetch, in bytes.
        unpacked_limit: maximum to unpack from an archive, in bytes.
        progress: draw a bar where there is a terminal.
        alphabet: the labels of the classes, if the source does not hold them.

    Returns:
        What was fetched, before conversion.

    Raises:
        StorageError: it cannot be fetched.
        CheckpointError: it is not a checkpoint; ``target`` is not created.
    """

    def convert(folder: Path) -> None:
        try:
            found = open_checkpoint(_place_of(folder), alphabet=alphabet)
            if found.model:
                _replace_by_checkpoint(folder, found)
            elif alphabet is not None and not alphabet.is_bytes:
                # For later readers of the folder.
                write_alphabet(alphabet, folder / "alphabet.txt")
        except CheckpointError as error:
            # The temporary folder that the error names will be gone.
            said = str(error).replace(str(folder), redact(uri))
            raise CheckpointError(f"{redact(uri)}: fetched, but not kept: {said}") from error

    return fetch(
        uri,
        target,
        sha256=sha256,
        size_limit=size_limit,
        unpacked_limit=unpacked_limit,
        progress=progress,
        check=convert,
        is_wanted=is_model,
    )


def _place_of(folder: Path) -> Path:
    """Return the only file of a folder if it is a deployed model; otherwise the folder."""
    first, *others = folder.iterdir()
    return first if not others and first.is_file() and is_model(first) else folder


def _replace_by_checkpoint(folder: Path, found: Checkpoint) -> None:
    """Replace a fetched deployed model by a checkpoint."""
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        made = Path(scratch, "checkpoint")
        write_checkpoint(
            made, read_weights(found), found.alphabet, flags=found.flags, lineage=found.lineage
        )
        shutil.rmtree(folder)
        made.replace(folder)
