"""The job of exporting a checkpoint for deployed runtimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import check_output, configure
from stt_model.checkpoint import open_checkpoint
from stt_model.corpus import iter_manifest
from stt_model.export import ExportConfig, ModelIdentity
from stt_model.jobs import startup
from stt_model.jobs.checkpoints import check_scorer_fits
from stt_model.jobs.reports import given_file, write_report
from stt_model.jobs.starting_point import check_n_hidden
from stt_model.storage import put
from stt_model.text import Alphabet

if TYPE_CHECKING:
    from stt_model.export import ExportResult


def export_model(
    checkpoint: str | Path,
    export_dir: str | Path,
    *,
    test_files: Sequence[str | Path] = (),
    load_evaluate: str = "auto",
    alphabet: Alphabet | None = None,
    n_hidden: int | None = None,
    scorer_uri: str | Path = "",
    identity: Mapping[str, str] | None = None,
    zip_path: str | Path | None = None,
    released: bool = True,
    gate: str = "",
    export_uri: str = "",
    report: str | Path | None = None,
    **settings: Any,
) -> ExportResult:
    """Export a checkpoint for deployed runtimes, and compare the export with the checkpoint.

    Args:
        checkpoint: folder in Coqui's layout.
        export_dir: a new or empty folder.
        test_files: manifests of utterances to compare on.
        load_evaluate: best, last, or auto: best, else last.
        alphabet: the checkpoint's, if it is stored elsewhere.
        n_hidden: width that the checkpoint must have.
        scorer_uri: language model to include: a path, ``file://``, ``s3://`` or ``http(s)://``.
        identity: fields of the model card by name; empty ones keep their defaults.
        zip_path: file for a zip of the export.
        released: whether the model may be used, for the model card.
        gate: the reason for that.
        export_uri: folder to copy the export to: a path, ``file://`` or ``s3://``. A model that is
            not released is not copied, since the existing one may be in use.
        report: where the report is written.
        settings: further fields of ``ExportConfig``, such as ``export_quantize``.

    Raises:
        ExportError: the export cannot be made, or differs too much from the checkpoint.
    """
    card = {name: value for name, value in (identity or {}).items() if value}
    tests = [Path(path) for path in test_files]
    with given_file(str(scorer_uri)) as scorer:
        config = configure(
            ExportConfig,
            load_checkpoint_dir=Path(checkpoint),
            export_dir=Path(export_dir),
            test_files=tests,
            load_evaluate=load_evaluate,
            alphabet=alphabet,
            zip_path=zip_path,
            scorer_path=scorer,
            identity=ModelIdentity(**card),
            released=released,
            gate=gate,
            **settings,
        )
        config.check()
        for path in tests:
            next(iter_manifest(path), None)
        check_output(Path(export_dir), is_folder=True)
        opened = open_checkpoint(checkpoint, which=load_evaluate, alphabet=alphabet)
        check_n_hidden(n_hidden, opened)
        check_scorer_fits(scorer, opened.alphabet)
        startup.start_tensorflow()
        from stt_model.export import export as run_export

        result = run_export(config)
    if export_uri and released:
        put(result.directory, export_uri)
    write_report(report, result.to_markdown())
    return result
