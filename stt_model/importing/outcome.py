"""Write a corpus: manifests, rejected clips with reasons, a report."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stt_model.base import cell
from stt_model.corpus import COLUMNS, digest_dataset
from stt_model.importing.state import State

_SPLITS = {0: "train", 1: "dev", 2: "test"}


class PlacedCorpus(NamedTuple):
    """A corpus as the steps of a pipeline pass it on."""

    dataset_uri: str
    dataset_digest: str
    """Changes with any byte of a manifest or clip."""


@dataclass(frozen=True)
class ImportResult:
    """What an import did, and the resulting corpus."""

    format: str
    source: str
    new: int
    """Clips that were added."""
    known: int
    """Clips that were there already."""
    changed: int
    """Clips that were there with another text, other audio or other columns."""
    split_by: str
    kept: float
    """Share of the audio that is in the splits."""
    notes: Sequence[str]
    totals: Mapping[int, tuple[int, float, int]]
    """Clips, seconds and speakers of each split: 0 train, 1 dev, 2 test."""
    reasons: Sequence[tuple[str, int, str]]
    """Why clips are set aside: kind, count, one reason in full."""
    rules: Sequence[tuple[str, int, str, str]]
    """Rules that changed transcripts: name, count, one text before and after."""

    @property
    def set_aside(self) -> int:
        """Clips that cannot be used."""
        return sum(count for _, count, _ in self.reasons)

    def metrics(self) -> dict[str, float]:
        """Return the figures by name."""
        found: dict[str, float] = {"set_aside": self.set_aside, "new": self.new}
        for number, name in _SPLITS.items():
            clips, seconds, speakers = self.totals.get(number, (0, 0.0, 0))
            found[f"{name}_utterances"] = clips
            found[f"{name}_hours"] = seconds / 3600
            found[f"{name}_speakers"] = speakers
        return found

    def placed(self, target: str) -> PlacedCorpus:
        """Return where the corpus is, and its digest."""
        return PlacedCorpus(target, digest_dataset(target))

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        lines = [
            f"{self.format}: {self.new} clips new, {self.known} there already, {self.changed}"
            f" changed, {self.set_aside} set aside",
            *self.notes,
        ]
        for number, name in _SPLITS.items():
            if number in self.totals:
                clips, seconds, speakers = self.totals[number]
                who = f", speakers: {speakers}" if speakers else ""
                long = f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
                lines.append(f"{name}: {clips} clips, {long}{who}")
        lines += [
            f"set aside: {check}: {count}, such as: {why}" for check, count, why in self.reasons
        ]
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Return the report."""
        parts = [
            "# Import",
            f"{cell(self.format)}, from {cell(self.source)}: {self.new} clips new, {self.known}"
            f" there already, {self.changed} changed, {self.set_aside} set aside.",
            *(f"- {cell(note)}" for note in self.notes),
            _table(
                ["split", "clips", "hours", "speakers"],
                [
                    [name, str(clips), f"{seconds / 3600:.2f}", str(speakers or "unknown")]
                    for number, name in _SPLITS.items()
                    for clips, seconds, speakers in [self.totals.get(number, (0, 0.0, 0))]
                ],
            ),
            f"Split by {self.split_by}; {self.kept:.1%} of the audio is kept.",
        ]
        if self.reasons:
            parts.append("## Set aside\n\nEach one is in `rejected.csv`.")
            rows = [[check, str(count), why] for check, count, why in self.reasons]
            parts.append(_table(["check", "clips", "such as"], rows))
        if self.rules:
            parts.append("## Transcripts that rules changed")
            rows = [[rule, str(n), before, after] for rule, n, before, after in self.rules]
            parts.append(_table(["rule", "times", "before", "after"], rows))
        return "\n\n".join(parts) + "\n"


def write_corpus(corpus: Path, state: State, result: ImportResult) -> None:
    """Write manifests, ``rejected.csv`` and ``report.md`` into the folder, all or none."""
    extra = [name for name in state.columns() if name not in COLUMNS]
    with tempfile.TemporaryDirectory(prefix=".import.", dir=corpus) as staging:
        beside = Path(staging)
        for number, name in _SPLITS.items():
            if number in result.totals:
                _write_manifest(beside / f"{name}.csv", state, number, extra)
        _write_set_aside(beside / "rejected.csv", state)
        (beside / "report.md").write_text(result.to_markdown(), encoding="utf-8")
        for path in beside.iterdir():
            path.replace(corpus / path.name)


def _write_manifest(path: Path, state: State, split: int, extra: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        # Quoted, since readers take a bare CR for a line end.
        writer = csv.writer(handle, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow([*COLUMNS, *extra])
        for each in state.records(split):
            values = (each.extra.get(name, "") for name in extra)
            writer.writerow([each.place, each.size, each.transcript, *values])


def _write_set_aside(path: Path, state: State) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(["clip", "place", "check", "reason", "transcript"])
        writer.writerows(state.all_set_aside())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell(each) for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
