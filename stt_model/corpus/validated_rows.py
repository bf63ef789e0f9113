"""The rows of a corpus while it is checked, on disk."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stt_model.base import Spool, SpooledList, SpooledNumbers, SpooledSequence
from stt_model.corpus.checks import FIELDS, MANIFEST, Discrepancy, Item, Settings
from stt_model.corpus.corpus_checks import CORPUS_CHECKS
from stt_model.corpus.findings import Check, Finding, Rejected, Severity, Tally
from stt_model.corpus.manifests import RaggedRow, Utterance
from stt_model.corpus.utterance_table import Utterances
from stt_model.corpus.validation_report import ValidationResult
from stt_model.text import NormalisationLog, shorten

_NOTHING: tuple[int, Iterator[tuple[int, int]]] = (-1, iter(()))
"""What stands for an utterance that something was noted about, after the last of them."""


class Found(NamedTuple):
    """A finding without its place."""

    check: str
    severity: Severity
    expected: str
    found: str


class _Record(NamedTuple):
    """A row as it is spooled."""

    split: int
    row: int
    fields: tuple[Any, ...]
    """Of an utterance, or of a ragged row."""
    text: str | None
    """None for a ragged row."""
    file_bytes: int
    seconds: float
    findings: list[Found]


class Rows:
    """All rows and what was found about them, on disk; of each, only the duration is in memory."""

    def __init__(self, splits: Mapping[str, Path]) -> None:
        self._names, self._files = list(splits), [Path(path) for path in splits.values()]
        self._splits = splits
        self._spool: Spool[_Record] = Spool()
        self._count = 0
        self._utterances = Utterances([path.absolute() for path in self._files], self._text_at)
        self._late: SpooledList[Found] = SpooledList()
        """The findings of whole-corpus checks, in any order."""
        self._unreadable: dict[int, Discrepancy] = {}
        self._by_header = 0

    def close(self) -> None:
        """Let go of what ``check_corpus`` and ``result`` need."""
        self._utterances.close()

    def add_unreadable(self, split: int, problem: Discrepancy) -> None:
        """Note that a manifest cannot be read to its end."""
        self._unreadable[split] = problem

    def add_ragged(self, split: int, row: RaggedRow) -> None:
        """Add a row with too many or too few fields."""
        found = f"{len(row.fields)}: {shorten(','.join(row.fields))!r}"
        finding = Found(FIELDS, "error", f"{len(row.columns)} fields", found)
        self._append(_Record(split, row.row, (row.columns, row.fields), None, 0, 0.0, [finding]))

    def add(self, split: int, item: Item, findings: list[Found]) -> None:
        """Add an utterance with what was found about it alone."""
        each, audio = item.utterance, item.audio
        fields = (each.wav_filename, each.wav_filesize, each.transcript, dict(each.extra))
        size, seconds = (audio.file_bytes, audio.seconds) if audio else (0, 0.0)
        self._by_header += audio is not None and audio.level is None
        place = self._append(_Record(split, each.row, fields, item.text, size, seconds, findings))
        if audio and _is_sound(findings):
            at = self._count - 1
            self._utterances.add(at, split, each.row, place, seconds, audio.digest, item.text)

    def _append(self, record: _Record) -> int:
        self._count += 1
        return self._spool.append(record)

    def check_corpus(self, settings: Settings) -> None:
        """Run the checks that look at all utterances."""
        for check, severity in CORPUS_CHECKS.items():
            for at, discrepancy in check(self._utterances, settings):
                self._utterances.note(at, len(self._late))
                self._late.append(Found(check.__name__, severity, *discrepancy))
            if severity == "error":
                self._utterances.drop_found()

    def result(
        self, checks: Sequence[Check], strict: bool, normalisation: NormalisationLog | None
    ) -> ValidationResult:
        """Return all that was found, and what is left to train on."""
        tally = Tally()
        findings: SpooledList[Finding] = SpooledList()
        rejected: SpooledList[Rejected] = SpooledList()
        accepted = {name: SpooledNumbers() for name in self._names}
        seconds = {name: array("d") for name in self._names}
        for split, place, record, about in self._judged():
            found = [tally.add(self._finding(split, record, each)) for each in about]
            for finding in found:
                findings.append(finding)
            if record is None:
                continue
            name = self._names[split]
            if _is_sound(about):
                accepted[name].append(place)
                seconds[name].append(record.seconds)
                tally.add_text(name, record.text or "")
            else:
                rejected.append(Rejected(name, self._row(record), tuple(found)))
                tally.rejected[name] += 1
        return ValidationResult(
            manifests=dict(self._splits),
            checks=checks,
            findings=findings,
            accepted={
                name: SpooledSequence(self._spool, places, self._clean)
                for name, places in accepted.items()
            },
            seconds={name: np.frombuffer(each, np.float64) for name, each in seconds.items()},
            rejected=rejected,
            tally=tally,
            strict=strict,
            normalisation=normalisation,
            by_header=self._by_header,
        )

    def _judged(self) -> Iterator[tuple[int, int, _Record | None, list[Found]]]:
        """Yield split, place, row and all findings of each row; no row for a manifest as a whole.

        What was found about a manifest comes before its rows.
        """
        unreadable = sorted(self._unreadable, reverse=True)

        def about_manifests(last: int) -> Iterator[tuple[int, int, None, list[Found]]]:
            while unreadable and unreadable[-1] <= last:
                split = unreadable.pop()
                yield split, 0, None, [Found(MANIFEST, "error", *self._unreadable[split])]

        noted = groupby(self._utterances.noted(), key=itemgetter(0))
        next_noted, late = next(noted, _NOTHING)
        for at, (place, record) in enumerate(self._spool):
            yield from about_manifests(record.split)
            found = list(record.findings)
            if at == next_noted:
                found += [self._late[number] for _, number in late]
                next_noted, late = next(noted, _NOTHING)
            yield record.split, place, record, found
        yield from about_manifests(len(self._names))

    def _finding(self, split: int, record: _Record | None, found: Found) -> Finding:
        file, name, row = str(self._files[split]), self._names[split], record.row if record else 0
        return Finding(found.check, found.severity, file, row, found.expected, found.found, name)

    def _row(self, record: _Record) -> Utterance | RaggedRow:
        source = self._files[record.split].absolute()
        if record.text is None:
            columns, fields = record.fields
            return RaggedRow(columns, fields, record.row, source)
        name, size, transcript, extra = record.fields
        return Utterance(name, source.parent / name, size, transcript, record.row, source, extra)

    def _clean(self, record: _Record) -> Utterance:
        row = self._row(record)
        assert isinstance(row, Utterance)
        return replace(row, transcript=record.text or "", wav_filesize=record.file_bytes)

    def _text_at(self, place: int) -> str:
        return self._spool.read(place).text or ""


def _is_sound(findings: Sequence[Found]) -> bool:
    return not any(each.severity == "error" for each in findings)
