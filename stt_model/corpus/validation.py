"""Check a whole corpus, and collect all findings.

Rows are streamed: only the duration of each stays in memory; the rest is in files that disappear
with the process.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from stt_model.base import Progress, open_regular, usable_cpus
from stt_model.corpus.audio import AudioError
from stt_model.corpus.checks import (
    FIELDS,
    MANIFEST,
    UTTERANCE_CHECKS,
    Discrepancy,
    Item,
    Limits,
    Settings,
    place_of,
)
from stt_model.corpus.clips import holder_of
from stt_model.corpus.corpus_checks import CORPUS_CHECKS
from stt_model.corpus.dataset import HEADER_THREADS, row_named
from stt_model.corpus.findings import Check
from stt_model.corpus.manifests import ManifestError, RaggedRow, Utterance, iter_manifest
from stt_model.corpus.measuring import (
    Measurement,
    TooLongError,
    measure_clip,
    measure_header,
)
from stt_model.corpus.stored_clips import StoredClips
from stt_model.corpus.validated_rows import Found, Rows
from stt_model.corpus.validation_report import ValidationResult
from stt_model.storage import StoredObject, is_stored
from stt_model.text import Alphabet, NormalisationLog, Normaliser, normalise

_CHUNK = 1024
"""Rows that are checked at once, so that a corpus of any size needs little memory."""
_TOGETHER = 16
"""Of these, how many a thread takes at once."""
_HEADERS_NEED_ALL = (".mp3",)
"""Formats whose length is known only after reading everything: fetched whole, not in parts."""
_READ_WHOLE = 32 * 2**10
"""Objects up to this many bytes are fetched whole: several requests for a header cost more."""
CHECKS: tuple[Check, ...] = (
    Check(MANIFEST, "error", "The file is not a valid manifest."),
    Check(FIELDS, "error", "The row has more or fewer fields than the header has columns."),
    *(
        Check(check.__name__, severity, (check.__doc__ or "").strip())
        for check, severity in (*UTTERANCE_CHECKS.items(), *CORPUS_CHECKS.items())
    ),
)
"""All checks, as the report explains them."""


def validate(
    splits: Mapping[str, Path],
    *,
    alphabet: Alphabet | None = None,
    limits: Limits | None = None,
    strict: bool = False,
    workers: int | None = None,
    normaliser: Normaliser | None = None,
    dropped: Mapping[str, str] | None = None,
    check_audio: str = "header",
) -> ValidationResult:
    """Run every check on every row and every audio file.

    ``splits`` names the manifests, from the one trained on to the most held out. With an
    ``alphabet``, transcripts may use only its labels. With ``strict``,
    ``ValidationResult.write`` refuses a corpus with any error. A ``normaliser`` rewrites the
    transcripts before they are checked; what it sets aside is rejected. ``dropped`` are reasons to
    leave clips out of training, by place (see ``read_dropped``). ``workers`` threads decode audio
    (default: one per processor). ``check_audio`` says whether clips that are objects of a store are
    read ``whole`` or by their ``header`` alone; clips elsewhere, and those whose header does not
    tell their length, are always read whole.
    Whatever is wrong with a manifest or an audio file becomes a finding. Only a store that does not
    answer raises: StoreError, which names the row.
    """
    settings = Settings(alphabet, limits or Limits(), dropped or {})
    normalisation = NormalisationLog(normaliser) if normaliser else None
    count = sum(map(_count_lines, splits.values()))
    with closing(Rows(splits)) as rows:
        with (
            closing(StoredClips(count)) as stored,
            ThreadPoolExecutor(max(workers or usable_cpus(), 1)) as pool,
            ThreadPoolExecutor(HEADER_THREADS) as waiting,
            Progress("checking", count) as progress,
        ):
            look = _Look(settings.limits, check_audio != "whole", stored, pool, waiting)
            for number, (split, path) in enumerate(splits.items()):
                for found in look.at(split, _read(rows, number, path), progress):
                    if isinstance(found, RaggedRow):
                        rows.add_ragged(number, found)
                    else:
                        item = _normalise(found, normalisation) if normalisation else found
                        rows.add(number, item, _check(item, settings))
        rows.check_corpus(settings)
        return rows.result(CHECKS, strict, normalisation)


def _check(item: Item, settings: Settings) -> list[Found]:
    return [
        Found(check.__name__, severity, *discrepancy)
        for check, severity in UTTERANCE_CHECKS.items()
        if (discrepancy := check(item, settings))
    ]


def _read(rows: Rows, split: int, path: Path) -> Iterator[Utterance | RaggedRow]:
    try:
        yield from iter_manifest(path)
    except ManifestError as error:
        rows.add_unreadable(split, Discrepancy(error.expected, error.found))


def _count_lines(path: Path) -> int:
    """Return about how many rows a manifest has, for the progress bar; 0 if it is no file."""
    lines = 0
    try:
        with open_regular(path) as file:
            while block := file.read(1 << 16):
                lines += block.count(b"\n")
    except OSError:
        return 0
    return max(lines - 1, 0)


def _normalise(item: Item, log: NormalisationLog) -> Item:
    written = item.utterance.transcript
    outcome = log.normaliser(written)
    log.add(place_of(item), written, outcome)
    return replace(item, text=normalise(outcome.text), normalised=outcome)


@dataclass(frozen=True)
class _Look:
    """Measures clips in parallel: some threads decode, and more wait for a store."""

    limits: Limits
    by_header: bool
    """Whether the headers of clips in a store will do."""
    stored: StoredClips
    pool: ThreadPoolExecutor
    waiting: ThreadPoolExecutor

    def at(
        self, split: str, rows: Iterable[Utterance | RaggedRow], progress: Progress
    ) -> Iterator[Item | RaggedRow]:
        """Yield each utterance with its audio measured, and each ragged row, in order."""
        rows = iter(rows)
        while chunk := list(itertools.islice(rows, _CHUNK)):
            utterances = [row for row in chunk if isinstance(row, Utterance)]
            items = iter(self._items(split, utterances))
            seconds = 0.0
            for row in chunk:
                if isinstance(row, RaggedRow):
                    yield row
                    continue
                item = next(items)
                seconds += item.audio.seconds if item.audio else 0.0
                yield item
            progress.update(len(chunk), seconds)

    def _items(self, split: str, utterances: list[Utterance]) -> list[Item]:
        places = [each.place for each in utterances]
        objects, known = self.stored.look(places, by_header=self.by_header)

        def measure(part: list[Utterance]) -> list[Item]:
            return [self._item(split, each, objects, known) for each in part]

        # Threads that wait take one clip each; those that decode take several, with less overhead.
        waits = self.by_header and any(is_stored(each.wav_filename) for each in utterances)
        pool, size = (self.waiting, 1) if waits else (self.pool, _TOGETHER)
        parts = [utterances[at : at + size] for at in range(0, len(utterances), size)]
        futures = [pool.submit(measure, part) for part in parts]
        try:
            items = [item for future in futures for item in future.result()]
        finally:
            for future in futures:
                future.cancel()
        measured = {
            each.utterance.place: each.audio
            for each in items
            if each.audio and is_stored(each.utterance.place)
        }
        self.stored.keep({place: each for place, each in measured.items() if place not in known})
        return items

    def _item(
        self,
        split: str,
        utterance: Utterance,
        objects: Mapping[str, StoredObject],
        known: Mapping[str, Measurement],
    ) -> Item:
        text = normalise(utterance.transcript)
        if not utterance.wav_filename.strip():
            return Item(split, utterance, text, None, "no file name")
        place = utterance.place
        with row_named(utterance):
            try:
                audio = known.get(place) or self._measure(place, objects.get(place))
            except AudioError as error:
                return Item(split, utterance, text, None, f"{error.found} at {place}")
            except TooLongError as error:
                found = f"{error.seconds:.0f} s in one file; cut it into utterances"
                return Item(split, utterance, text, None, found)
        return Item(split, utterance, text, audio, "")

    def _measure(self, place: str, stored: StoredObject | None) -> Measurement:
        limit = self.limits.max_seconds_read
        is_object = is_stored(place) and not holder_of(place)[1]
        is_small = stored is not None and stored.size <= _READ_WHOLE
        if not (self.by_header and is_object) or is_small or _needs_all(place):
            return measure_clip(place, stored, max_seconds=limit)
        return measure_header(place, stored, max_seconds=limit)


def _needs_all(place: str) -> bool:
    return place.lower().endswith(_HEADERS_NEED_ALL)
