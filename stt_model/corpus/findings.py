"""What checks find in a corpus, and what is counted of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stt_model.corpus.manifests import RaggedRow, Utterance

Severity = Literal["error", "warning"]

CHECK_AUDIO = ("header", "whole")
"""How clips in a store may be checked."""
_EXAMPLES = 10
"""Findings of each check that are kept for the report."""
SUSPECT_DROPPED = "suspect_dropped"
"""The check that rejects rows that the user asked to leave out; it is no mistake of the corpus."""


class Check(NamedTuple):
    """A check and its explanation for the report."""

    name: str
    severity: Severity
    meaning: str


@dataclass(frozen=True)
class Finding:
    """A finding of a check; ``str()`` is one line."""

    check: str
    severity: Severity
    file: str
    row: int
    """Data row in ``file``, from 1; 0 for the file as a whole."""
    expected: str
    found: str
    split: str

    def __str__(self) -> str:
        return f"{self.place}: {self.check}: {self.discrepancy}"

    @property
    def place(self) -> str:
        """The file and the row."""
        return f"{self.file}, row {self.row}" if self.row else self.file

    @property
    def discrepancy(self) -> str:
        """What was expected and what was found."""
        return f"expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class Rejected:
    """A row that cannot be trained on, with all its findings."""

    split: str
    row: Utterance | RaggedRow
    findings: tuple[Finding, ...]


@dataclass
class Tally:
    """Counts over a corpus and its findings, which are added in their order."""

    rejected: Counter[str] = field(default_factory=Counter)
    """Rows by split."""
    characters: Counter[str] = field(default_factory=Counter)
    """In the accepted transcripts of all splits."""
    text_lengths: Counter[str] = field(default_factory=Counter)
    """Characters by split."""
    findings: Counter[tuple[Severity, str, str]] = field(default_factory=Counter)
    """By severity, check and split."""
    examples: dict[str, list[Finding]] = field(default_factory=dict)
    """The first few of each check."""
    first_errors: dict[str, Finding] = field(default_factory=dict)
    """By split."""
    unreadable: Finding | None = None
    """The first about a file as a whole."""
    mistakes: int = 0
    """Errors of the corpus itself."""
    first_mistake: Finding | None = None

    def add(self, finding: Finding) -> Finding:
        """Count a finding; return it."""
        self.findings[finding.severity, finding.check, finding.split] += 1
        examples = self.examples.setdefault(finding.check, [])
        if len(examples) < _EXAMPLES:
            examples.append(finding)
        if finding.severity == "error":
            self.first_errors.setdefault(finding.split, finding)
            if not finding.row:
                self.unreadable = self.unreadable or finding
            if finding.check != SUSPECT_DROPPED:
                self.mistakes += 1
                self.first_mistake = self.first_mistake or finding
        return finding

    def add_text(self, split: str, text: str) -> None:
        """Count an accepted transcript."""
        self.characters.update(text)
        self.text_lengths[split] += len(text)

    def count(self, severity: Severity, split: str = "") -> int:
        """Return how many findings there are, of a split or of all."""
        return sum(
            number
            for (kind, _, where), number in self.findings.items()
            if kind == severity and split in ("", where)
        )

    def by_check(self) -> Counter[str]:
        """Return how many findings each check made."""
        counts: Counter[str] = Counter()
        for (_, check, _), number in self.findings.items():
            counts[check] += number
        return counts
