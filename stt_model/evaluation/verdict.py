"""Summarise an evaluation in a verdict, and suggest what to do next.

``docs/training-well.md`` describes the rules.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stt_model.corpus import SPEAKER_COLUMNS
from stt_model.evaluation.measured import Measured
from stt_model.evaluation.samples import EvaluatedSample
from stt_model.evaluation.significance import FEWEST_FOR_TEST

GOOD = "good"
WITH_LANGUAGE_MODEL = "usable with a language model"
MORE_DATA = "needs more data"
WRONG_DATA = "something is wrong with the data"

GOOD_WER = 0.20
USABLE_CER = 0.15
NOTHING_LEARNT_CER = 0.85
"""Thresholds of character error rates, from 0 to 1."""
STRANGE_CER, USUAL_CER, STRANGE_SHARE = 0.6, 0.25, 0.05
"""Utterances above the first are strange if half of all are below the second; many of them
suggest wrong transcripts."""
SPACES_SHARE, SUSPECT_SHARE = 0.25, 0.01
RISE_OF_OVERFITTING = 1.05
STILL_IMPROVING = 0.02
FALL_OF_LEARNING = 0.7
OTHER_SPEECH = 2.0
"""Multiple of the dev set's character error rate above which the test set is different speech."""
MOST_STEPS = 2


@dataclass(frozen=True)
class Verdict:
    """What a model can be used for, why, and what to do next."""

    level: str
    """One of ``GOOD``, ``WITH_LANGUAGE_MODEL``, ``MORE_DATA`` and ``WRONG_DATA``."""
    reason: str
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(
            [f"{self.level}: {self.reason}", *(f"next: {step}" for step in self.steps)]
        )


@dataclass(frozen=True)
class TrainingCurve:
    """The training history of a model, from its lineage."""

    epochs: Sequence[Mapping[str, Any]]

    @property
    def trained(self) -> list[Mapping[str, Any]]:
        """The epochs after the source was measured."""
        return [epoch for epoch in self.epochs if epoch.get("number", 0) > 0]

    @property
    def hours(self) -> float:
        """Hours of speech in an epoch, 0 if not known."""
        if not self.trained:
            return 0.0
        last = self.trained[-1]
        return float(last["seconds"] * last["audio_seconds_per_second"] / 3600)

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The best epoch."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.get("best")), None)

    @property
    def dev_cer(self) -> float | None:
        """Character error rate of the best epoch on the dev set."""
        return self.best.get("dev_cer") if self.best else None

    @property
    def overfits_from(self) -> int:
        """The epoch after which the dev loss only rose while the train loss fell; 0 for none."""
        losses = [(e["number"], e["dev_loss"]) for e in self.trained if e.get("dev_loss")]
        if len(losses) < 3:
            return 0
        number, lowest = min(losses, key=lambda each: each[1])
        tail = [loss for place, loss in losses if place > number]
        train = [e["train_loss"] for e in self.trained]
        rose = len(tail) >= 2 and statistics.fmean(tail[-2:]) > RISE_OF_OVERFITTING * lowest
        return number if rose and train[-1] < train[number - 1] else 0

    @property
    def still_improving(self) -> bool:
        """Whether the last epoch is the best, and clearly better than those shortly before."""
        losses = [e["dev_loss"] for e in self.trained if e.get("dev_loss")]
        if len(losses) < 2 or losses[-1] > min(losses):
            return False
        before = losses[-1 - max(1, len(losses) // 10)]
        return bool(losses[-1] < (1 - STILL_IMPROVING) * before)

    @property
    def hardly_learnt(self) -> bool:
        """Whether the train loss hardly fell, regardless of the number of epochs."""
        losses = [e["train_loss"] for e in self.trained if e.get("train_loss")]
        return len(losses) > 1 and losses[-1] > FALL_OF_LEARNING * losses[0]


def judge_model(
    result: Measured, training_speakers: Mapping[str, set[str]] | None = None
) -> Verdict:
    """Return the verdict on a model.

    Args:
        result: of the test set.
        training_speakers: the speakers of the training split, by column of the manifest.
    """
    curve = _curve(result)
    strange = _strange(result.samples)
    level, reason = _level(result, curve, strange)
    steps = dict.fromkeys(_steps(result, curve, strange, level, training_speakers or {}))
    return Verdict(level, reason, tuple(steps)[:MOST_STEPS])


def _curve(result: Measured) -> TrainingCurve:
    described = result.provenance.checkpoint if result.provenance else {}
    return TrainingCurve((described.get("lineage") or {}).get("history") or [])


def _strange(samples: Sequence[EvaluatedSample]) -> list[EvaluatedSample]:
    """Return the utterances that are recognised as something else although most are right."""
    if not samples or statistics.median(each.cer for each in samples) > USUAL_CER:
        return []
    return [each for each in samples if each.cer >= STRANGE_CER]


def _level(
    result: Measured, curve: TrainingCurve, strange: Sequence[EvaluatedSample]
) -> tuple[str, str]:
    rates = f"WER {result.wer:.1%}, CER {result.cer:.1%}"
    if len(strange) > max(2, STRANGE_SHARE * len(result.samples)):
        return WRONG_DATA, f"{rates}, yet {_of(strange, result)} recognised as something else"
    if result.wer <= GOOD_WER:
        return GOOD, rates
    if result.cer <= USABLE_CER and not result.with_scorer:
        return WITH_LANGUAGE_MODEL, f"{rates}: most characters are right, many words are not"
    if result.cer >= NOTHING_LEARNT_CER and curve.hardly_learnt:
        return MORE_DATA if _is_small(curve) else WRONG_DATA, f"{rates}: the model learnt nothing"
    return MORE_DATA, f"{rates}{f' with {_amount(curve)} to learn from' if curve.hours else ''}"


def _steps(
    result: Measured,
    curve: TrainingCurve,
    strange: Sequence[EvaluatedSample],
    level: str,
    training_speakers: Mapping[str, set[str]],
) -> Iterator[str]:
    """Yield suggestions, the most important first."""
    if level == WRONG_DATA and strange:
        yield (
            f"listen to the {len(strange)} worst test utterances and compare their transcripts;"
            " where they are wrong, so are some in training"
        )
    marked = sum(each.drop for each in result.suspects)
    if marked and marked >= SUSPECT_SHARE * len(result.samples):
        share = marked / len(result.samples)
        yield f"{marked} transcripts ({share:.1%}) look wrong: see the suspects in the report"
    yield from _about_training(curve)
    spaces, errors = _space_errors(result)
    if errors and spaces / errors >= SPACES_SHARE and not result.with_scorer:
        yield f"{spaces} of {errors} character errors are spaces: decode with a scorer"
    elif level == WITH_LANGUAGE_MODEL:
        yield "decode with a scorer, a language model made from text of the language"
    yield from _about_speakers(result.samples, training_speakers)
    dev_cer = curve.dev_cer
    if dev_cer and result.cer > OTHER_SPEECH * dev_cer and result.cer - dev_cer > 0.05:
        yield (
            f"CER {result.cer:.1%} on test, {dev_cer:.1%} on dev: add speech like the test"
            " set's to training"
        )
    if level == MORE_DATA:
        yield f"record or find more speech: {_amount(curve)} is little"
    if len(result.samples) < FEWEST_FOR_TEST:
        yield f"test on more than {len(result.samples)} utterances: these figures are rough"


def _about_training(curve: TrainingCurve) -> Iterator[str]:
    if not curve.trained:
        return
    last = curve.trained[-1]
    if curve.hardly_learnt:
        yield (
            f"the train loss hardly fell in {last['number']} epochs: give a higher learning_rate"
            f" than {last['learning_rate']:g}, or leave it to auto"
        )
    elif curve.still_improving:
        yield (
            f"it was still improving when it ended, after epoch {last['number']}: give more"
            " epochs, or leave them to auto"
        )
    elif first := curve.overfits_from:
        yield f"it overfits from epoch {first}: more speech, augmentation or dropout help"


def _about_speakers(
    samples: Sequence[EvaluatedSample], training_speakers: Mapping[str, set[str]]
) -> Iterator[str]:
    for column in SPEAKER_COLUMNS:
        known = training_speakers.get(column) or set()
        speakers = {each.extra[column] for each in samples if each.extra.get(column)}
        if not known or not speakers:
            continue
        shared = speakers & known
        if shared == speakers:
            yield (
                "all test speakers are in the training split too, so expect worse for others:"
                " test on speakers of their own"
            )
        elif shared:
            yield (
                f"{len(shared)} of {len(speakers)} test speakers are in the training split too:"
                " look at the rates of the others"
            )
        return


def _space_errors(result: Measured) -> tuple[int, int]:
    """Return the number of character errors that are spaces, and of all."""
    _, *mistaken = result.space_errors or (0, 0)
    return sum(mistaken), result.characters.distance


def _of(strange: Sequence[EvaluatedSample], result: Measured) -> str:
    return f"{len(strange)} of {len(result.samples)} utterances are"


def _is_small(curve: TrainingCurve) -> bool:
    return curve.hours < 1


def _amount(curve: TrainingCurve) -> str:
    if not curve.hours:
        return "what there is"
    if curve.hours < 1:
        return f"{60 * curve.hours:.0f} minutes of speech"
    return f"{curve.hours:.1f} h of speech"
