"""Jobs that make a corpus: import, split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import check_name, configure
from stt_model.importing import ImportSettings
from stt_model.jobs.data import check_destinations
from stt_model.jobs.reports import write_report
from stt_model.storage import is_remote, local_path

if TYPE_CHECKING:
    from stt_model.importing import ImportResult


def import_dataset(
    source: str | Path,
    target: str | Path,
    *,
    normalise: str = "",
    numbers: str = "set_aside",
    report: Path | None = None,
    **settings: Any,
) -> ImportResult:
    """Import recordings into a corpus, or add new ones to it; write its report.

    Args:
        source: folder, table or archive, as a path, ``file://``, ``http(s)://`` or ``s3://`` URI.
        target: folder for the corpus, as a path, ``file://`` or ``s3://`` URI.
        normalise: language whose rules normalise the transcripts, ``generic``, or a YAML file.
        numbers: what to do with digits then: ``set_aside``, ``spell`` or ``keep``.
        report: where else the report is written.
        settings: fields of ``ImportSettings``, as values or as text.

    Raises:
        DataError: the source cannot be imported, or the target holds something else.
        StorageError: something cannot be reached.
        RulesError: there are no such rules.
    """
    from stt_model.importing import as_it_is, import_corpus
    from stt_model.text import open_normaliser

    for place in (str(source), str(target)):
        if not is_remote(place):
            check_name(local_path(place))
    check_destinations(target=str(target))
    written = open_normaliser(normalise, numbers=numbers) if normalise else as_it_is
    result = import_corpus(
        str(source), str(target), configure(ImportSettings, **settings), normalise=written
    )
    if report:
        write_report(report, result.to_markdown())
    return result
