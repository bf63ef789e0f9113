"""The result of validation: clean manifests, rejected rows, and a report with pictures."""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stt_model.base import ValidationError, embed, escape_markdown, new_figure
from stt_model.corpus.findings import Check, Finding, Rejected, Tally
from stt_model.corpus.manifests import COLUMNS, RaggedRow, Utterance, write_manifest
from stt_model.text import (
    FLAG_HINT,
    NormalisationLog,
    describe_kinds,
    needless_characters,
    shorten,
    show_characters,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BARS = 60
"""Number of characters in the histogram, the most frequent ones."""
_COLOUR = "#4c72b0"


@dataclass(frozen=True)
class ValidationResult:
    """Which rows of a corpus to keep, which not, and why."""

    manifests: Mapping[str, Path]
    """The manifest of each split, as given."""
    checks: Sequence[Check]
    """All checks that were run."""
    findings: Sequence[Finding]
    """In the order of splits and rows."""
    accepted: Mapping[str, Sequence[Utterance]]
    """By split, as in the clean manifests: transcripts in NFC, correct sizes."""
    seconds: Mapping[str, NDArray[np.float64]]
    """By split, the durations of the accepted utterances: float64 [utterances]."""
    rejected: Sequence[Rejected]
    tally: Tally
    """What was counted of all these."""
    strict: bool
    normalisation: NormalisationLog | None = None
    """The normaliser's changes to the transcripts, if there was one."""
    by_header: int = 0
    """Clips in a store of which only the header was read."""

    @cached_property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that reject a row or a whole file."""
        return tuple(each for each in self.findings if each.severity == "error")

    @property
    def characters(self) -> Counter[str]:
        """How often each character is in the accepted transcripts of all splits."""
        return self.tally.characters

    def metrics(self) -> dict[str, float]:
        """Return utterances, hours, rejected rows and warnings of each split; all finite."""
        metrics: dict[str, float] = {}
        for split in self.manifests:
            metrics[f"{split}_utterances"] = len(self.accepted[split])
            metrics[f"{split}_hours"] = float(self.seconds[split].sum()) / 3600
            metrics[f"{split}_rejected"] = self.tally.rejected[split]
            metrics[f"{split}_warnings"] = self.tally.count("warning", split)
        return metrics

    def summary(self) -> str:
        """Return the outcome in one line."""
        accepted = sum(map(len, self.accepted.values()))
        hours = sum(float(seconds.sum()) for seconds in self.seconds.values()) / 3600
        return (
            f"{accepted} utterances accepted ({hours:.2f} h), {len(self.rejected)} rejected, "
            f"{self.tally.count('warning')} warnings"
        )

    def advice(self) -> str:
        """Return what a normaliser would remove from the transcripts; empty if one was used."""
        kinds = {} if self.normalisation else needless_characters(self.characters)
        if not kinds:
            return ""
        return (
            f"The transcripts hold {describe_kinds(kinds)}, which few models learn well; to remove"
            f" these, give {FLAG_HINT}"
        )

    def unread(self) -> str:
        """Return what was not checked, of clips that were not read; empty if all were read."""
        if not self.by_header:
            return ""
        return (
            f"{self.by_header} clips in a store were checked by their headers alone, so silence,"
            " clipping and damage behind the header were not looked for; --check_audio whole"
            " does so"
        )

    def problem(self) -> str | None:
        """Return why the corpus must not be trained on, in one line; None if it may."""
        tally = self.tally
        if tally.unreadable:
            return str(tally.unreadable)
        for split, path in self.manifests.items():
            if not self.accepted[split]:
                first = tally.first_errors.get(split)
                why = f" but rejected ones, the first: {first}" if first else ""
                return f"{path}: expected rows to use for {split}, found none{why}"
        if self.strict and tally.first_mistake:
            return f"expected no errors (strict), found {tally.mistakes}: {tally.first_mistake}"
        return None

    def raise_for_errors(self) -> None:
        """Raise ValidationError if there is a ``problem``."""
        if problem := self.problem():
            raise ValidationError(problem)

    def write(self, out_dir: Path | str) -> None:
        """Write a clean manifest for each split, ``rejected.csv`` and ``report.md``.

        Manifests hold absolute audio paths, transcripts in NFC and true file sizes. If there is a
        ``problem``, only ``rejected.csv`` and ``report.md`` are written, manifests of an earlier
        run are removed, and ValidationError is raised.
        """
        out_dir = Path(out_dir)
        out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".validation.", dir=out_dir) as staging:
            beside = Path(staging)
            _write_rejected(beside / "rejected.csv", self.rejected)
            (beside / "report.md").write_text(self.to_markdown(), encoding="utf-8")
            if not self.problem():
                for split, utterances in self.accepted.items():
                    write_manifest(beside / f"{split}.csv", utterances)
            for split in self.manifests:
                (out_dir / f"{split}.csv").unlink(missing_ok=True)
            for path in beside.iterdir():
                path.replace(out_dir / path.name)
        self.raise_for_errors()

    def to_markdown(self) -> str:
        """Return the report, with its pictures in it."""
        problem = self.problem()
        outcome = f"Refused: {problem}" if problem else f"{self.summary()}."
        sections = [
            "# Dataset validation",
            escape_markdown(outcome),
            *([f"**{escape_markdown(advice)}.**"] if (advice := self.advice()) else []),
            *([escape_markdown(unread)] if (unread := self.unread()) else []),
            "\n".join(self._split_table()),
            *([self.normalisation.to_markdown().rstrip()] if self.normalisation else []),
            "## What was found",
            *self._found(),
            *self._examples(),
        ]
        if self.characters:
            sections += [
                "## Durations",
                embed(_draw_durations(self.seconds), "Histogram of durations"),
                "## Characters",
                self._character_note(),
                embed(_draw_characters(self.characters), "Histogram of characters"),
            ]
        return "\n\n".join(sections) + "\n"

    def _split_table(self) -> Iterator[str]:
        yield (
            "| split | accepted | rejected | warnings | hours | shortest | median | longest "
            "| characters |"
        )
        yield "| --- |" + " ---: |" * 8
        metrics = self.metrics()
        for split, utterances in self.accepted.items():
            low, middle, high = _quantiles(self.seconds[split])
            characters = self.tally.text_lengths[split]
            yield (
                f"| {split} | {len(utterances)} | {metrics[f'{split}_rejected']:.0f} "
                f"| {metrics[f'{split}_warnings']:.0f} | {metrics[f'{split}_hours']:.2f} "
                f"| {low} | {middle} | {high} | {characters} |"
            )

    def _found(self) -> Iterator[str]:
        """Yield the checks that found something, errors first, then the names of the others."""
        counts = self.tally.by_check()
        found = [each for each in self.checks if counts[each.name]]
        found.sort(key=lambda check: (check.severity, -counts[check.name]))
        rows = ["| check | severity | findings | what it finds |", "| --- | --- | ---: | --- |"]
        rows += [
            f"| {escape_markdown(each.name)} | {each.severity} | {counts[each.name]}"
            f" | {each.meaning} |"
            for each in found
        ]
        if found:
            yield "\n".join(rows)
        clean = [escape_markdown(each.name) for each in self.checks if not counts[each.name]]
        if clean:
            others = " other" if found else ""
            yield f"{len(clean)}{others} checks found nothing: {', '.join(clean)}."

    def _examples(self) -> Iterator[str]:
        counts = self.tally.by_check()
        for check in self.checks:
            examples = self.tally.examples.get(check.name)
            if not examples:
                continue
            yield f"### {escape_markdown(check.name)}"
            lines = ["| place | expected | found |", "| --- | --- | --- |"]
            for each in examples:
                place = f"{Path(each.file).name}, row {each.row}" if each.row else each.file
                cells = (place, each.expected, shorten(each.found, 300))
                lines.append(f"| {' | '.join(map(escape_markdown, cells))} |")
            yield "\n".join(lines)
            if (more := counts[check.name] - len(examples)) > 0:
                yield f"and {more} more."

    def _character_note(self) -> str:
        number = len(self.characters)
        shown = f" The {_BARS} most frequent:" if number > _BARS else ""
        return f"{number} different characters in the accepted transcripts.{shown}"


def _write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    """Write the original columns of each row, then its place and the reasons for rejection.

    ``surplus`` holds the extra fields of a row that had too many.
    """
    extra = dict.fromkeys(column for each in rejected for column in _fields(each.row)[0])
    columns = list(dict.fromkeys((*COLUMNS, *extra)))
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow([*columns, "surplus", "split", "file", "row", "check", "reason"])
        for each in rejected:
            values, surplus = _fields(each.row)
            errors = [finding for finding in each.findings if finding.severity == "error"]
            writer.writerow(
                _inert(cell)
                for cell in [
                    *(values.get(column, "") for column in columns),
                    surplus,
                    each.split,
                    str(each.row.source),
                    each.row.row,
                    "; ".join(finding.check for finding in errors),
                    "; ".join(finding.discrepancy for finding in errors),
                ]
            )


def _inert(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula, prefixed with ' if needed.

    People open this file in a spreadsheet, where a formula in an untrusted dataset could send
    data elsewhere.
    """
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{cell}"
    return cell


def _fields(row: Utterance | RaggedRow) -> tuple[dict[str, str], str]:
    if isinstance(row, RaggedRow):
        values = dict(zip(row.columns, row.fields, strict=False))
        return values, ",".join(row.fields[len(row.columns) :])
    size = str(row.wav_filesize or "")
    own = dict(zip(COLUMNS, (row.wav_filename, size, row.transcript), strict=True))
    return {**own, **row.extra}, ""


def _quantiles(seconds: NDArray[np.float64]) -> list[str]:
    if not seconds.size:
        return ["", "", ""]
    return [f"{value:.1f} s" for value in np.quantile(seconds, [0, 0.5, 1])]


def _draw_durations(seconds: Mapping[str, NDArray[np.float64]]) -> Figure:
    figure, axes = new_figure(height=2.8)
    splits = {split: values for split, values in seconds.items() if values.size}
    ends = [end for values in splits.values() for end in (values.min(), values.max())]
    edges = np.histogram_bin_edges(ends, 30)
    # Counted beforehand: matplotlib would copy the durations of all clips several times.
    counts = [np.histogram(values, edges)[0] for values in splits.values()]
    starts = [edges[:-1]] * len(counts)
    axes.hist(starts, edges.tolist(), weights=counts, stacked=True, label=list(splits))
    axes.set(xlabel="seconds", ylabel="utterances")
    axes.legend(frameon=False)
    return figure


def _draw_characters(counts: Counter[str]) -> Figure:
    figure, axes = new_figure(height=3.2)
    characters, numbers = zip(*counts.most_common(_BARS), strict=True)
    labels = [_tick(character) for character in characters]
    axes.bar(range(len(labels)), numbers, color=_COLOUR)
    axes.set_xticks(range(len(labels)), labels)
    for tick, label in zip(axes.get_xticklabels(), labels, strict=True):
        if label.startswith("U+"):
            tick.set(rotation=90, fontsize=6)
    # Start below 1, so that a character that occurs once has a bar too.
    axes.set(ylabel="occurrences", yscale="log", xlim=(-1, len(labels)), ylim=(0.7, None))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    return figure


def _tick(character: str) -> str:
    """Return a character if the font can show it, otherwise its number."""
    shown = show_characters(character)
    known = all(ord(part) in _glyphs() for part in shown)
    # A dollar sign would start a formula.
    return shown.replace("$", r"\$") if known else f"U+{ord(character):04X}"


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
