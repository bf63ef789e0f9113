"""The job of alignment: cut long recordings with roughly matching text into clips."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stt_model.base import DataError, RefusedError, atomic_directory, configure
from stt_model.importing import as_it_is
from stt_model.jobs import startup
from stt_model.jobs.checkpoints import decide, fetch, transcripts_of
from stt_model.jobs.data import check_destinations
from stt_model.jobs.dividing import divide_manifest
from stt_model.jobs.reports import write_report
from stt_model.storage import is_stored, local_path, put
from stt_model.text import open_normaliser

if TYPE_CHECKING:
    from stt_model.alignment import AlignmentConfig, AlignmentResult
    from stt_model.importing import Normalise

log = logging.getLogger(__name__)

CLIPS = "clips.csv"
_FEWEST = 20
"""Minimum number of clips to train a model for the next round on."""


class Source(NamedTuple):
    """Where recordings and their texts are."""

    uri: str
    columns: str
    encoding: str


def align(
    source: str | Path,
    target: str | Path,
    checkpoint: str | Path,
    *,
    rounds: int = 1,
    normalise: str = "",
    numbers: str = "set_aside",
    columns: str = "",
    encoding: str = "",
    report: Path | None = None,
    training: dict[str, Any] | None = None,
    **settings: Any,
) -> AlignmentResult:
    """Cut long recordings into clips by their text, which needs to match only roughly.

    Args:
        source: a folder with a ``.txt`` beside each recording, a table with columns for audio and
            text or text file, or an archive: a path, ``file://``, ``http(s)://``, ``s3://``.
        target: folder for ``clips.csv``, the clips, and ``check`` with files for checking by hand:
            a path, ``file://`` or ``s3://`` URI. It must be empty, or not there yet.
        checkpoint: model to align with, of any language: a folder, archive or deployed model.
        rounds: times to align; further rounds use a model trained on the confident clips so far.
        normalise: language by whose rules the text is written, ``generic``, or a YAML file.
        numbers: what to do with digits then: ``set_aside``, ``spell`` or ``keep``.
        columns: roles of the columns of a table.
        encoding: of texts; empty to detect it.
        report: another place for the report.
        training: settings of ``train`` for the rounds after the first.
        settings: fields of ``AlignmentConfig``.

    Raises:
        DataError: the source has no such recordings, or nothing in it matches.
        BootstrapError: the checkpoint cannot be read, or a round cannot be trained.
    """
    from stt_model.alignment import AlignmentConfig

    config = configure(AlignmentConfig, **settings)
    written = open_normaliser(normalise, numbers=numbers) if normalise else as_it_is
    found = Source(str(source), columns, encoding)
    check_destinations(target=str(target))
    with (
        tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as scratch,
        _folder(str(target)) as folder,
    ):
        model = _local_checkpoint(str(checkpoint), Path(scratch))
        startup.start_tensorflow()
        for number in range(1, rounds):
            clips = Path(scratch, f"round-{number}")
            clips.mkdir()
            result = _one_round(model, found, clips, config, written)
            log.info("round %d: %s", number, result.summary().splitlines()[0])
            model = _trained(clips, model, Path(scratch, f"model-{number}"), training or {})
        result = _one_round(model, found, folder, config, written)
        if rounds > 1:
            result.notes.append(
                f"aligned in {rounds} rounds, the last with a model trained on earlier clips"
            )
    write_report(report, result.to_markdown())
    return result


def _one_round(
    model: Path, source: Source, folder: Path, config: AlignmentConfig, normalise: Normalise
) -> AlignmentResult:
    from stt_model.alignment import Aligner
    from stt_model.jobs.recognition import open_model

    alphabet, audio, _, infer = open_model(model)
    aligner = Aligner(alphabet, audio, infer, config, normalise)
    return aligner.align(source.uri, folder, columns=source.columns, encoding=source.encoding)


def _trained(clips: Path, model: Path, target: Path, settings: dict[str, Any]) -> Path:
    """Train the model that cut the clips of a round on them, and return the result."""
    from stt_model.jobs.training import train

    manifest = clips / CLIPS
    transcripts = transcripts_of([manifest])
    if len(transcripts) < _FEWEST:
        raise DataError(
            f"expected {_FEWEST} confident clips or more to train another round on, found"
            f" {len(transcripts)}; lower --min_confidence, or leave --rounds out"
        )
    decision = decide(transcripts, model)
    if decision.mode == "refuse":
        raise RefusedError(decision.reason)
    paths = divide_manifest(manifest, clips)
    log.info("training on the confident clips: %s (%s)", decision.mode, decision.reason)
    train(
        [paths["train"], paths["test"]],
        [paths["dev"]],
        load_checkpoint_dir=model,
        save_checkpoint_dir=target,
        alphabet=decision.alphabet,
        drop_source_layers=1 if decision.mode == "transfer" else 0,
        **settings,
    )
    return target


def _local_checkpoint(checkpoint: str, scratch: Path) -> Path:
    """Return a checkpoint folder on this machine; deployed models and archives are converted."""
    if not is_stored(checkpoint) and "://" not in checkpoint and Path(checkpoint).is_dir():
        return Path(checkpoint)
    fetch(checkpoint, scratch / "checkpoint")
    return scratch / "checkpoint"


@contextmanager
def _folder(target: str) -> Iterator[Path]:
    """Yield a folder that becomes the target if no error is raised."""
    if is_stored(target):
        with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as scratch:
            yield Path(scratch)
            put(Path(scratch), target)
        return
    path = local_path(target)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DataError(f"{target}: expected an empty folder, or none; give another target")
    with atomic_directory(path) as beside:
        yield beside
