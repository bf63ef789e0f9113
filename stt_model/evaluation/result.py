"""What an evaluation found: what was measured, and what that comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from stt_model.evaluation import report
from stt_model.evaluation.measured import Gate, Measured
from stt_model.evaluation.verdict import Verdict, judge_model

HIGHEST_WER = 0.9
"""The gate of a model that is released without requirements."""


def judge(
    wer: float,
    source_wer: float | None,
    max_wer: float,
    must_beat_source: bool,
    release_any: bool = False,
) -> Gate:
    """Return whether a word error rate is good enough.

    Without requirements, a model is still not released if it is worse than its source, or if its
    WER is above ``HIGHEST_WER``.

    Args:
        wer: the model's.
        source_wer: that of the source checkpoint on the same utterances.
        max_wer: the highest allowed; 0 allows any.
        must_beat_source: whether ``wer`` has to be below ``source_wer``.
        release_any: without requirements, release any model.
    """
    asked, reasons = [], []
    if max_wer:
        asked.append(f"WER at most {max_wer:.2%}")
        if wer > max_wer:
            reasons.append(f"WER {wer:.2%} is above the {max_wer:.2%} allowed")
    if must_beat_source and source_wer is not None:
        asked.append(f"WER below the source checkpoint's {source_wer:.2%}")
        if wer >= source_wer:
            reasons.append(f"WER {wer:.2%} is not below the source checkpoint's {source_wer:.2%}")
    if not asked and not release_any:
        reasons += _unasked(wer, source_wer)
    return Gate(tuple(asked), tuple(reasons))


def _unasked(wer: float, source_wer: float | None) -> Iterator[str]:
    anyway = "; --release_any releases it anyway"
    if source_wer is not None and wer > source_wer:
        yield f"WER {wer:.2%} is worse than the source checkpoint's {source_wer:.2%}{anyway}"
    elif wer > HIGHEST_WER:
        yield f"WER {wer:.2%} is above {HIGHEST_WER:.0%}{anyway}"


@dataclass(frozen=True)
class EvaluationResult(Measured):
    """What was measured, with the verdict."""

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict on the model, and what to do next."""
        return judge_model(self, self.training_speakers)

    def to_markdown(self) -> str:
        """Return the report for a terminal or Kubeflow's UI."""
        return report.to_markdown(self, self.verdict)
