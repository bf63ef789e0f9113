"""Models that were trained in several ways on one corpus, the best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stt_model.base import atomic_write, cell, page_environment
from stt_model.evaluation.significance import Difference, Rate, compare_rates, measure_rate

METHOD = (
    "Error rates of the dev split, which chose them: expect a little worse on other speech. Ranges"
    " are 95 % confidence intervals, by bootstrap over utterances; differences are tested with"
    " matched pairs (Gillick and Cox). The best of many is the best partly by chance."
)


@dataclass(frozen=True)
class Candidate:
    """A model, how it was trained, and its errors in each utterance of the dev split."""

    key: str
    source: str
    depth: int
    """Layers that were replaced; 0 for a model that was fine-tuned."""
    rate: float
    rate_given: bool
    epochs: int
    best_epoch: int
    seconds: float
    finished: bool
    """Whether it was trained to its end, and not stopped early."""
    word_errors: Sequence[int]
    words: Sequence[int]
    character_errors: Sequence[int]
    characters: Sequence[int]

    @cached_property
    def wer(self) -> Rate:
        """Word error rate with its interval."""
        return measure_rate(self.word_errors, self.words)

    @cached_property
    def cer(self) -> Rate:
        """Character error rate with its interval."""
        return measure_rate(self.character_errors, self.characters)

    @property
    def way(self) -> str:
        """How it was adapted to the language."""
        if not self.depth:
            return "fine-tuned"
        return f"{self.depth} new layer{'s' * (self.depth > 1)}"

    @property
    def trained(self) -> str:
        """How many epochs, and whether it was stopped."""
        return f"{self.epochs}{'' if self.finished else ', stopped'}"

    def difference(self, other: Candidate, by: str) -> Difference:
        """Return its error rate less another's."""
        if by == "wer":
            return compare_rates(self.word_errors, other.word_errors, self.words)
        return compare_rates(self.character_errors, other.character_errors, self.characters)


@dataclass(frozen=True)
class Leaderboard:
    """Candidates, the best first."""

    corpus: str
    by: str
    """``cer`` or ``wer``."""
    rows: Sequence[Candidate]

    def behind(self, row: Candidate) -> Difference:
        """Return how far a candidate is behind the first."""
        return row.difference(self.rows[0], self.by)

    @property
    def equals(self) -> int:
        """Candidates behind the first that are not significantly worse."""
        return sum(not self.behind(row).is_significant for row in self.rows[1:])

    @property
    def summary(self) -> str:
        """What to take from it, in one sentence."""
        first = self.rows[0]
        said = (
            f"{first.source}, {first.way}, learning rate {first.rate:g}: CER {first.cer}, WER"
            f" {first.wer} on dev after epoch {first.best_epoch}"
        )
        if self.equals:
            said += f"; {self.equals} of the {len(self.rows) - 1} others may be as good"
        return said

    def metrics(self) -> dict[str, float]:
        """Return the figures to show beside the run."""
        first = self.rows[0]
        return {
            "trainings": float(len(self.rows)),
            "winner_dev_cer": first.cer.value,
            "winner_dev_wer": first.wer.value,
            "winner_drop_source_layers": float(first.depth),
            "winner_learning_rate": first.rate,
            "not_significantly_worse": float(self.equals),
        }

    def write(self, page: Path, report: Path) -> None:
        """Write the page and the Markdown report, each whole or not at all."""
        for path, text in ((page, self.to_html()), (report, self.to_markdown())):
            with atomic_write(path) as beside:
                beside.write_text(text, encoding="utf-8", errors="backslashreplace")

    def to_markdown(self) -> str:
        """Return the report."""
        lines = [
            f"# Sweep on {cell(self.corpus)}",
            "",
            f"**The winner: {cell(self.summary)}.**",
            "",
            "| | source | way | rate | epochs | CER | WER | behind the first |",
            "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for place, row in enumerate(self.rows, 1):
            rate = f"{row.rate:g}{'' if row.rate_given else ' (chosen)'}"
            behind = str(self.behind(row)) if place > 1 else ""
            lines.append(
                f"| {place} | {cell(row.source)} | {row.way} | {rate} | {row.trained} | {row.cer}"
                f" | {row.wer} | {behind} |"
            )
        return "\n".join([*lines, "", METHOD]) + "\n"

    def to_html(self) -> str:
        """Return the page, which needs nothing else."""
        environment = page_environment("stt_model.evaluation")
        highest = max(self._high(row) for row in self.rows) or 1.0
        return environment.get_template("leaderboard.html").render(
            board=self, method=METHOD, highest=highest
        )

    def _high(self, row: Candidate) -> float:
        rate = row.wer if self.by == "wer" else row.cer
        return rate.interval.high if rate.interval else rate.value


def rank_candidates(corpus: str, candidates: Sequence[Candidate], by: str) -> Leaderboard:
    """Rank candidates by their error rate, ``cer`` or ``wer``.

    A training that was stopped early is ranked by its error rate, but never first: it was behind
    others when it was stopped, and those were trained further.
    """
    ranked = sorted(candidates, key=lambda each: (getattr(each, by).value, each.key))
    first = next(each for each in ranked if each.finished)
    return Leaderboard(corpus, by, [first, *(each for each in ranked if each is not first)])
