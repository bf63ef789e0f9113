"""The rows of a corpus while it is checked: on disk, except what whole-corpus checks need."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stt_model.base import Spool, SpooledList, SpooledSequence
from stt_model.corpus.checks import FIELDS, MANIFEST, Discrepancy, Item, Settings
from stt_model.corpus.corpus_checks import CORPUS_CHECKS, DIGEST, Utterances
from stt_model.corpus.findings import Check, Finding, Rejected, Severity, Tally
from stt_model.corpus.manifests import RaggedRow, Utterance
from stt_model.corpus.validation_report import ValidationResult
from stt_model.text import NormalisationLog, shorten


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
    findings: list[Found]


class Rows:
    """All rows and what was found about them, on disk; what whole-corpus checks need, in memory."""

    def __init__(self, splits: Mapping[str, Path]) -> None:
        self._names, self._files = list(splits), [Path(path) for path in splits.values()]
        self._splits = splits
        self._spool: Spool[_Record] = Spool()
        self._places = array("q")
        self._is_sound = bytearray()
        """For each row, whether it has no error so far."""
        self._sound_rows = array("i")
        """For each of ``_utterances``, its row."""
        self._utterances = Utterances([path.absolute() for path in self._files], self._text_of)
        self._late: Spool[Found] = Spool()
        """The findings of whole-corpus checks; below, their rows and their places in the spool."""
        self._late_rows, self._late_places = array("i"), array("q")
        self._unreadable: dict[int, Discrepancy] = {}
        self._by_header = 0

    def add_unreadable(self, split: int, problem: Discrepancy) -> None:
        """Note that a manifest cannot be read to its end."""
        self._unreadable[split] = problem

    def add_ragged(self, split: int, row: RaggedRow) -> None:
        """Add a row with too many or too few fields."""
        found = f"{len(row.fields)}: {shorten(','.join(row.fields))!r}"
        finding = Found(FIELDS, "error", f"{len(row.columns)} fields", found)
        self._append(_Record(split, row.row, (row.columns, row.fields), None, 0, [finding]))

    def add(self, split: int, item: Item, findings: list[Found]) -> None:
        """Add an utterance with what was found about it alone."""
        each, audio = item.utterance, item.audio
        fields = (each.wav_filename, each.wav_filesize, each.transcript, dict(each.extra))
        file_bytes = audio.file_bytes if audio else 0
        self._by_header += audio is not None and audio.level is None
        is_sound = self._append(_Record(split, each.row, fields, item.text, file_bytes, findings))
        if is_sound and audio:
            self._sound_rows.append(len(self._places) - 1)
            text = hashlib.blake2b(item.text.encode("utf-8", "surrogatepass"), digest_size=DIGEST)
            self._utterances.add(
                split, each.row, len(item.text), audio.seconds, audio.digest, text.digest()
            )

    def _append(self, record: _Record) -> bool:
        self._places.append(self._spool.append(record))
        is_sound = not any(each.severity == "error" for each in record.findings)
        self._is_sound.append(is_sound)
        return is_sound

    def check_corpus(self, settings: Settings) -> None:
        """Run the checks that look at all utterances."""
        for check, severity in CORPUS_CHECKS.items():
            for at, discrepancy in check(self._utterances, self._kept(), settings):
                row = self._sound_rows[at]
                self._late_rows.append(row)
                finding = Found(check.__name__, severity, *discrepancy)
                self._late_places.append(self._late.append(finding))
                if severity == "error":
                    self._is_sound[row] = False

    def result(
        self, checks: Sequence[Check], strict: bool, normalisation: NormalisationLog | None
    ) -> ValidationResult:
        """Return all that was found, and what is left to train on."""
        tally = Tally()
        findings: SpooledList[Finding] = SpooledList()
        rejected: SpooledList[Rejected] = SpooledList()
        accepted = {name: array("q") for name in self._names}
        late = self._late_by_row()
        at = 0
        for split, name in enumerate(self._names):
            if split in self._unreadable:
                problem = Found(MANIFEST, "error", *self._unreadable[split])
                findings.append(tally.add(self._finding(split, 0, problem)))
            while at < len(self._places):
                record = self._spool.read(self._places[at])
                if record.split != split:
                    break
                about = [*record.findings, *next(late)]
                found = [tally.add(self._finding(split, record.row, each)) for each in about]
                for finding in found:
                    findings.append(finding)
                if self._is_sound[at]:
                    accepted[name].append(self._places[at])
                    tally.add_text(name, record.text or "")
                else:
                    row = self._row(record)
                    rejected.append(Rejected(name, row, tuple(found)))
                    tally.rejected[name] += 1
                at += 1
        return ValidationResult(
            manifests=dict(self._splits),
            checks=checks,
            findings=findings,
            accepted={
                name: SpooledSequence(self._spool, places, self._clean)
                for name, places in accepted.items()
            },
            seconds=self._seconds(),
            rejected=rejected,
            tally=tally,
            strict=strict,
            normalisation=normalisation,
            by_header=self._by_header,
        )

    def _late_by_row(self) -> Iterator[list[Found]]:
        """Yield for each row what the checks on the whole corpus found, in their order."""
        rows = np.array(self._late_rows, np.int64)
        order = np.argsort(rows, kind="stable")
        at = 0
        for row in range(len(self._places)):
            found = []
            while at < len(order) and rows[order[at]] == row:
                found.append(self._late.read(self._late_places[order[at]]))
                at += 1
            yield found

    def _seconds(self) -> dict[str, NDArray[np.float64]]:
        kept = self._kept()
        seconds = np.array(self._utterances.seconds, np.float64)
        splits = self._utterances.split_numbers
        return {name: seconds[kept & (splits == at)] for at, name in enumerate(self._names)}

    def _kept(self) -> NDArray[np.bool_]:
        """Return for each of ``_utterances`` whether it has no error so far."""
        sound = np.frombuffer(bytes(self._is_sound), np.bool_)
        return sound[np.array(self._sound_rows, np.int64)]

    def _finding(self, split: int, row: int, found: Found) -> Finding:
        file, name = str(self._files[split]), self._names[split]
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

    def _text_of(self, at: int) -> str:
        return self._spool.read(self._places[self._sound_rows[at]]).text or ""
