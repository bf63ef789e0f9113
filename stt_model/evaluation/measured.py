"""What an evaluation measured: error rates, baselines, speed, and whether the model passes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from stt_model.evaluation.alignment import ErrorCounts, count_errors
from stt_model.evaluation.error_analysis import (
    Breakdown,
    ConfusionMatrix,
    Group,
    break_down,
    confusion_matrix,
    measure,
)
from stt_model.evaluation.learning_curve import Forecast
from stt_model.evaluation.samples import EvaluatedSample
from stt_model.evaluation.significance import Difference, Rate
from stt_model.evaluation.suspects import Suspect


@dataclass(frozen=True)
class Baseline:
    """The same utterances transcribed in another way; differences are the model minus this one."""

    name: str
    note: str
    """A note on the comparison; may be empty."""
    wer: Rate
    cer: Rate
    wer_difference: Difference
    cer_difference: Difference
    decoding_seconds: float


@dataclass(frozen=True)
class Speed:
    """Wall-clock times.

    ``seconds`` are from audio files to text; ``decoding_seconds`` are the part spent on decoding,
    which overlaps with the network's next batch.
    """

    audio_seconds: float
    seconds: float
    decoding_seconds: float
    device: str

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of audio."""
        return self.seconds / self.audio_seconds if self.audio_seconds else math.inf


@dataclass(frozen=True)
class Gate:
    """The requirements on the model, and why it does not pass, one line each."""

    asked: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the model may be released."""
        return not self.reasons

    def __str__(self) -> str:
        if self.passed:
            return f"passed: {'; '.join(self.asked)}" if self.asked else "nothing was asked"
        return f"not passed: {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Provenance:
    """What was evaluated, on what and how, to reproduce it."""

    checkpoint: Mapping[str, Any]
    """``Checkpoint.describe()``, with the digest of its weights."""
    source: Mapping[str, Any] | None
    """The same for the checkpoint to compare with."""
    manifests: Mapping[str, str]
    """The digest of each manifest, by path."""
    decoding: str
    command: str
    """A command line that repeats it."""
    run: Mapping[str, Any]
    """Time and versions."""


@dataclass(frozen=True)
class Measured:
    """The samples, best first, and their totals.

    ``wer`` and ``cer`` are total distances over total lengths; they may exceed 1.
    """

    checkpoint: str
    samples: list[EvaluatedSample] = field(default_factory=list)
    report_count: int = 5
    note: str = ""
    """A note for the top of the report; may be empty."""
    source: Baseline | None = None
    """The source checkpoint's figures."""
    greedy: Baseline | None = None
    """The model's figures with greedy decoding, if there was a beam search."""
    speed: Speed | None = None
    gate: Gate = field(default_factory=Gate)
    language: str = ""
    """Of the dataset, as a BCP 47 tag; may be empty."""
    dataset: str = ""
    """The name of the dataset; may be empty."""
    with_scorer: bool = False
    """Whether a language model was used in decoding."""
    training_speakers: Mapping[str, set[str]] = field(default_factory=dict)
    """The speakers of the training split, by column of its manifest; empty if not known."""
    provenance: Provenance | None = None
    forecast: Forecast | None = None
    """Where it was asked for, what more speech would come to."""
    suspects: Sequence[Suspect] = ()
    """The most suspicious clips first; empty if they were not looked for."""

    @property
    def title(self) -> str:
        """What was tested, and in which language, as far as that is known."""
        return ", ".join(filter(None, [self.dataset or self.checkpoint, self.language]))

    @property
    def wer(self) -> float:
        """Word error rate, 0 for none."""
        return self.overall.wer.value

    @property
    def cer(self) -> float:
        """Character error rate, 0 for none."""
        return self.overall.cer.value

    @property
    def loss(self) -> float:
        """Mean CTC loss, in nats, of the utterances whose loss is finite."""
        finite = [sample.loss for sample in self.samples if math.isfinite(sample.loss)]
        return sum(finite) / len(finite) if finite else math.inf

    @property
    def impossible(self) -> int:
        """Utterances whose loss is infinite: they have more labels than frames."""
        return sum(not math.isfinite(sample.loss) for sample in self.samples)

    @property
    def baselines(self) -> list[Baseline]:
        """The available baselines."""
        return [each for each in (self.greedy, self.source) if each]

    @cached_property
    def overall(self) -> Group:
        """All utterances, with intervals."""
        return measure("all", self.samples)

    @cached_property
    def breakdowns(self) -> Sequence[Breakdown]:
        """The utterances, grouped by each property."""
        return break_down(self.samples)

    @cached_property
    def words(self) -> ErrorCounts:
        """The errors by word."""
        return count_errors(((each.src, each.res) for each in self.samples), "word")

    @cached_property
    def characters(self) -> ErrorCounts:
        """The errors by character."""
        return count_errors(((each.src, each.res) for each in self.samples), "character")

    @property
    def space_errors(self) -> tuple[int, int, int, int] | None:
        """Counts of spaces: in the references, substituted, missing, and extra.

        None if there are no errors in spaces.
        """
        found = self.characters
        pairs = [(pair, count) for pair, count in found.substitutions.items() if " " in pair]
        substituted = sum(count for _, count in pairs)
        missing, extra = found.deletions[" "], found.insertions[" "]
        reference = (
            found.hits[" "] + missing + sum(count for pair, count in pairs if pair[0] == " ")
        )
        return (reference, substituted, missing, extra) if substituted + missing + extra else None

    @cached_property
    def confusions(self) -> ConfusionMatrix:
        """The characters that are most often mistaken."""
        return confusion_matrix(self.characters)

    def metrics(self) -> dict[str, float]:
        """Return the figures to show with the run, without those that are not finite."""
        figures = {
            "wer": self.wer,
            "cer": self.cer,
            "loss": self.loss,
            "utterances": float(len(self.samples)),
        }
        for name, rate in {"wer": self.overall.wer, "cer": self.overall.cer}.items():
            if rate.interval:
                figures |= {f"{name}_low": rate.interval.low, f"{name}_high": rate.interval.high}
        for name, baseline in {"source": self.source, "greedy": self.greedy}.items():
            if baseline:
                figures |= {f"{name}_wer": baseline.wer.value, f"{name}_cer": baseline.cer.value}
        if self.suspects:
            figures["suspects"] = float(sum(bool(each.reasons) for each in self.suspects))
        if self.speed:
            figures["real_time_factor"] = self.speed.real_time_factor
        return {name: figure for name, figure in figures.items() if math.isfinite(figure)}
