"""What an alignment leaves behind: clips, manifests, files to check it with, reasons."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stt_model.alignment.clips import AlignedClip, Unmatched
from stt_model.base import cell
from stt_model.corpus import COLUMNS

CHECK = "check"
"""Folder, within the target, of what people look at."""
OWN = ("confidence", "recording", "recording_start", "recording_end")
"""Columns of the manifests beyond Coqui's and those of the source."""


@dataclass(frozen=True)
class WrittenClip:
    """A clip and its file."""

    clip: AlignedClip
    recording: str
    place: str
    """Relative to the target."""
    size: int
    """Bytes."""
    extra: Mapping[str, str] = field(default_factory=dict)

    def row(self, columns: Sequence[str]) -> list[str]:
        """Return its line of a manifest."""
        clip = self.clip
        times = (f"{clip.start:.3f}", f"{clip.end:.3f}")
        own = (f"{clip.confidence:.3f}", self.recording, *times)
        more = (self.extra.get(name, "") for name in columns)
        return [self.place, str(self.size), clip.transcript, *own, *more]


@dataclass
class AlignmentResult:
    """What became of some recordings and their texts."""

    min_confidence: float
    clips: list[WrittenClip] = field(default_factory=list)
    unmatched: list[tuple[str, Unmatched]] = field(default_factory=list)
    """Recording and what of it is in no clip."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Length of each recording."""
    notes: list[str] = field(default_factory=list)

    @property
    def taken(self) -> list[WrittenClip]:
        """Clips with enough confidence, in the order of the recordings."""
        return [each for each in self.clips if each.clip.confidence >= self.min_confidence]

    @property
    def doubtful(self) -> list[WrittenClip]:
        """The others, the least confident first."""
        rest = [each for each in self.clips if each.clip.confidence < self.min_confidence]
        return sorted(rest, key=lambda each: each.clip.confidence)

    def metrics(self) -> dict[str, float]:
        """Return the figures by name."""
        return {
            "recordings": len(self.seconds),
            "recorded_hours": sum(self.seconds.values()) / 3600,
            "clips": len(self.taken),
            "clip_hours": hours(self.taken),
            "doubtful_clips": len(self.doubtful),
            "doubtful_hours": hours(self.doubtful),
            "unmatched_texts": sum(each.kind == "text" for _, each in self.unmatched),
            "unmatched_audio": sum(each.kind == "audio" for _, each in self.unmatched),
        }

    def summary(self) -> str:
        """Return the outcome in a few lines."""
        found = self.metrics()
        lines = [
            f"{found['recordings']:.0f} recordings, {found['recorded_hours']:.2f} h:"
            f" {found['clips']:.0f} clips, {found['clip_hours']:.2f} h;"
            f" {found['doubtful_clips']:.0f} doubtful ones, {found['doubtful_hours']:.2f} h, with a"
            f" confidence below {self.min_confidence:g}",
            *self.notes,
        ]
        lines += [f"unmatched: {why}: {count}" for why, count in self._reasons().most_common()]
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """Return the report."""
        parts = ["# Alignment", *self.summary().splitlines()[: 1 + len(self.notes)]]
        rows = []
        for name, seconds in self.seconds.items():
            taken = [each for each in self.taken if each.recording == name]
            rest = [each for each in self.doubtful if each.recording == name]
            share = 3600 * hours(taken) / seconds if seconds else 0.0
            rows.append(
                [cell(name), f"{seconds / 60:.1f}", str(len(taken)), f"{share:.0%}", str(len(rest))]
            )
        parts.append(_table(["recording", "minutes", "clips", "of the audio", "doubtful"], rows))
        if self.unmatched:
            parts.append("## In no clip\n\nEach one is in `check/unmatched.csv`.")
            parts.append(
                _table(
                    ["why", "how often"],
                    [[cell(why), str(count)] for why, count in self._reasons().most_common()],
                )
            )
        return "\n\n".join(parts) + "\n"

    def _reasons(self) -> Counter[str]:
        return Counter(_kind(each) for _, each in self.unmatched)


def hours(clips: Sequence[WrittenClip]) -> float:
    """Return how long clips are together."""
    return sum(each.clip.end - each.clip.start for each in clips) / 3600


def write_manifests(result: AlignmentResult, target: Path) -> None:
    """Write ``clips.csv``, and below ``check`` the doubtful clips and what is unmatched."""
    columns = sorted({name for each in result.clips for name in each.extra} - {*COLUMNS, *OWN})
    header = [*COLUMNS, *OWN, *columns]
    check = target / CHECK
    check.mkdir(exist_ok=True)
    _write(target / "clips.csv", header, [each.row(columns) for each in result.taken])
    doubtful = [each.row(columns) for each in result.doubtful]
    # Relative to the manifest, like everywhere.
    _write(check / "doubtful.csv", header, [[f"../{row[0]}", *row[1:]] for row in doubtful])
    _write(
        check / "unmatched.csv",
        ["recording", "kind", "start", "end", "reason", "text"],
        [
            [name, each.kind, f"{each.start:.3f}", f"{each.end:.3f}", each.reason, each.text]
            for name, each in result.unmatched
        ],
    )
    (target / "report.md").write_text(result.to_markdown(), encoding="utf-8")


def _kind(unmatched: Unmatched) -> str:
    if unmatched.kind == "audio":
        return "audio: speech that the text does not have"
    return f"text: {unmatched.reason}"


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        # Quoted, as a reader takes a bare CR for a line end.
        writer = csv.writer(handle, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
