"""Jobs on a corpus: detect changes, validate, pack."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stt_model.base import (
    BootstrapError,
    DataError,
    StorageError,
    ValidationError,
    check_output,
    redact,
)
from stt_model.corpus import SPLITS, find_splits
from stt_model.jobs.reports import given_file, write_report
from stt_model.storage import check_writable, is_remote, is_stored
from stt_model.text import Alphabet, open_normaliser

if TYPE_CHECKING:
    from stt_model.corpus import Finding, ValidationResult

log = logging.getLogger(__name__)

_CHECKS_LOGGED = 5


class SourceDigests(NamedTuple):
    """Digests of a run's sources; see ``corpus.source_digest``."""

    dataset_digest: str
    checkpoint_digest: str
    alphabet_digest: str
    scorer_digest: str
    unlabelled_digest: str


def digest_sources(
    dataset_uri: str,
    *,
    checkpoint_uri: str,
    alphabet_uri: str = "",
    scorer_uri: str = "",
    drop_suspects_uri: str = "",
    checkpoint_alphabet_uri: str = "",
    unlabelled_uri: str = "",
    run_state_uri: str = "",
    export_uri: str = "",
    forecast: bool = False,
    nodes: int = 1,
) -> SourceDigests:
    """Return the digests of the content of these URIs; "" for an empty one.

    The dataset's digest includes the list of clips to leave out.
    A source that cannot be read gets an unknown digest; the step that needs it reports the error.

    Raises:
        BootstrapError: what ``check_for_nodes`` refuses.
        StorageError: ``run_state_uri`` or ``export_uri``, where the run's results will go, cannot
            be written to.
    """
    from stt_model.corpus import digest_dataset, digest_source, unknown_digest

    check_for_nodes(
        nodes, run_state_uri=run_state_uri, unlabelled_uri=unlabelled_uri, forecast=forecast
    )
    check_destinations(run_state_uri=run_state_uri, export_uri=export_uri)

    def known_or_not(digest: Callable[[str], str], uri: str) -> str:
        try:
            return digest(uri)
        except BootstrapError as error:
            log.warning("%s", error)
            return unknown_digest()

    dropped = known_or_not(digest_source, drop_suspects_uri)
    dataset = known_or_not(digest_dataset, dataset_uri)
    sources = (checkpoint_uri, alphabet_uri, scorer_uri, unlabelled_uri)
    found = SourceDigests(
        f"{dataset}-{dropped}" if dropped else dataset,
        *(known_or_not(digest_source, uri) for uri in sources),
    )
    if not checkpoint_alphabet_uri:
        return found
    labels = known_or_not(digest_source, checkpoint_alphabet_uri)
    return found._replace(checkpoint_digest=f"{found.checkpoint_digest} {labels}")


def check_for_nodes(nodes: int, *, run_state_uri: str, unlabelled_uri: str, forecast: bool) -> None:
    """Refuse a run on several nodes without shared state, or with settings that need one node.

    Raises:
        BootstrapError: one line about all problems.
    """
    if nodes == 1:
        return
    problems = []
    if not is_stored(run_state_uri):
        found = repr(redact(run_state_uri)) if run_state_uri else "nothing"
        problems.append(
            f"run_state_uri: expected an s3:// URI of a folder that all nodes reach, found {found}"
        )
    if unlabelled_uri:
        problems.append("unlabelled_uri: pseudo-labels need a second training, on one node")
    if forecast:
        problems.append("forecast: the trainings on parts of the corpus need one node")
    if problems:
        raise BootstrapError(
            f"training on {nodes} nodes: {'; '.join(problems)}; change these, or use a package that"
            " is compiled without --nodes"
        )


def check_destinations(**uris: str) -> None:
    """Refuse output URIs, given by parameter, that cannot be written to.

    Otherwise a long training would fail at its end. Stores are tested with an empty object. Paths
    are not tested, since the steps that write to them may have other folders mounted.

    Raises:
        StorageError: the first that cannot be written to, and why.
    """
    for name, uri in uris.items():
        if uri and is_remote(uri):
            try:
                check_writable(uri)
            except StorageError as error:
                raise StorageError(f"{name}: {error}") from error


def validate(
    dataset: str | Path,
    output: str | Path,
    *,
    strict: bool = False,
    alphabet: Alphabet | None = None,
    normalise: str = "",
    numbers: str = "set_aside",
    drop_suspects: str | Path = "",
    check_audio: str = "header",
    report: str | Path | None = None,
    show: Callable[[Finding], object] = lambda finding: None,
) -> ValidationResult:
    """Check a dataset; write its clean manifests, ``rejected.csv`` and ``report.md``.

    Args:
        dataset: folder with train.csv, dev.csv and test.csv: a path, ``file://`` or ``s3://`` URI.
        output: folder for the clean manifests.
        strict: refuse a dataset with any error, instead of rejecting the row.
        alphabet: transcripts may use only its labels.
        normalise: language whose rules normalise the transcripts, ``generic``, or a YAML file.
        numbers: what to do with digits then: ``set_aside``, ``spell`` or ``keep``.
        drop_suspects: ``suspects.csv`` of an earlier run: its rows with ``drop`` are left out of
            the train and dev splits.
        check_audio: whether clips in a store are read ``whole``, or by their ``header`` alone.
        report: where else the report is written.
        show: called with each finding before anything is written.

    Raises:
        DataError: ``output`` holds a corpus.
        ValidationError: the dataset must not be trained on; the report is written nevertheless.
        RulesError: there are no such rules.
    """
    from stt_model.corpus import read_dropped
    from stt_model.corpus import validate as check

    folder = Path(output)
    check_output(folder, is_folder=True)
    _check_no_corpus(folder)
    normaliser = open_normaliser(normalise, numbers=numbers) if normalise else None
    with given_file(str(drop_suspects)) as suspects:
        dropped = read_dropped(suspects) if suspects else {}
    result = check(
        find_splits(str(dataset)),
        alphabet=alphabet,
        strict=strict,
        normaliser=normaliser,
        dropped=dropped,
        check_audio=check_audio,
    )
    for finding in result.findings:
        show(finding)
    _log_summary(result)
    try:
        result.write(folder)
    except ValidationError as error:
        raise ValidationError(f"{error}; {folder / 'report.md'} shows them all") from error
    finally:
        written = folder / "report.md"
        if report and written.is_file():
            write_report(report, written.read_text(encoding="utf-8"))
    return result


def _check_no_corpus(folder: Path) -> None:
    """Refuse a folder with manifests that validation has not written: they would be lost."""
    found = sorted(path.name for path in folder.glob("*.csv") if path.stem in SPLITS)
    is_ours = (folder / "rejected.csv").exists() and not any(folder.glob("*import*.sqlite"))
    if found and not is_ours:
        raise DataError(
            f"{folder}: expected a folder without a corpus, or what an earlier validation wrote,"
            f" found {', '.join(found)}, which would be replaced; give another --output"
        )


def _log_summary(result: ValidationResult) -> None:
    """Log the findings by check, the most frequent first."""
    log.info("%s", result.summary())
    found: Counter[tuple[str, str]] = Counter()
    for (kind, check, _), count in result.tally.findings.items():
        found[kind, check] += count
    for (severity, check), count in found.most_common(_CHECKS_LOGGED):
        log.info("%s: %s, %d times", severity, check, count)


def pack(dataset: str | Path, target: str | Path, *, shard_size: int = 256) -> int:
    """Put the clips of a dataset into tar shards of up to ``shard_size`` MiB; return how many."""
    from stt_model.corpus import pack as pack_clips

    return pack_clips(str(dataset), str(target), shard_mib=shard_size)
