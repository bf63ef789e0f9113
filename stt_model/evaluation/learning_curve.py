"""What more speech would come to: a power law through the error rates of smaller corpora.

Error rates of trained models fall with the amount of data along a power law, over several orders of
magnitude (Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017), down to a
floor that nobody knows before reaching it. With very little speech a model makes errors everywhere,
and no law of powers begins at 1; so what falls along it here are the odds, errors over what is
right, which are the same as the rate where errors are few.

The curve is fitted in logarithms. Its interval takes in what is uncertain about it:

- which utterances are tested: bootstrap over utterances, the same for all amounts;
- how training runs differ: the scatter of the points around the curve, taken together with what is
  known of such runs beforehand, as there are few points;
- the floor: anywhere between nothing and half of the lowest error rate.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stt_model.base import build, embed, new_figure, read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

CONFIDENCE = 0.9
REPLICATES = 2000
TWICE, TENFOLD = 2.0, 10.0
CEILING = 0.95
"""Error rate above which a model has learnt too little to be on the curve."""
FEWEST_SIZES = 3
HIGHEST_FLOOR = 0.5
"""Of the lowest error rate: a floor above it would show in the points."""
USUAL_SCATTER, SCATTER_WORTH = 0.12, 4
"""Standard deviation of the logarithm of the odds in runs that differ in seed and clips, and how
many degrees of freedom that is worth beside the points' own."""

_SEED = 4568
_HIGHEST = 0.99
"""Rates are cut off here: insertions can bring them to 1 and above, where odds mean nothing."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Amount:
    """What a model that learnt from so much speech makes of a test set."""

    hours: float
    utterances: int
    errors: Sequence[int]
    """Of each tested utterance; those of all amounts are the same, in the same order."""
    lengths: Sequence[int]
    """Words or characters of each reference."""

    @property
    def rate(self) -> float:
        """All errors over all words or characters."""
        return sum(self.errors) / max(sum(self.lengths), 1)


@dataclass(frozen=True)
class Point:
    """An amount of speech and the error rate that was reached with it."""

    hours: float
    utterances: int
    wer: float


@dataclass(frozen=True)
class Prediction:
    """An amount of speech, and where the error rate will be with it."""

    name: str
    hours: float
    wer: float
    low: float
    high: float
    """With 90 % confidence between the two."""

    def __str__(self) -> str:
        return f"{self.wer:.1%} ({self.low:.1%} to {self.high:.1%})"


@dataclass(frozen=True)
class Forecast:
    """The curve and where it leads."""

    points: list[Point]
    """In the order of amounts; the last is all the speech there is."""
    exponent: float
    """The odds of an error fall with the amount to this power; 0 where there is no curve."""
    predictions: list[Prediction] = field(default_factory=list)
    """With one more hour, with twice and with ten times as much; none where there is no curve."""
    curve: list[Prediction] = field(default_factory=list)
    """The same along the way, for drawing."""
    problem: str = ""
    """Why there is no curve."""

    @property
    def now(self) -> Point:
        """What there is."""
        return self.points[-1]

    @property
    def twice(self) -> Prediction:
        """What twice as much speech will come to; IndexError where there is no curve."""
        return self.predictions[1]

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        parts = ", ".join(f"{each.name} {each}" for each in self.predictions)
        return f"WER now {self.now.wer:.1%}; {parts}"

    def to_markdown(self) -> str:
        """Return the report, with its picture in it."""
        return "\n\n".join(["# Forecast", *self.sections()]) + "\n"

    def sections(self) -> Iterator[str]:
        """Yield the parts of the report below its heading."""
        if self.problem:
            yield f"**{self.problem[0].upper()}{self.problem[1:]}.**"
        else:
            yield (
                f"{_hours(self.now.hours)} of speech come to a WER of {self.now.wer:.1%}. The"
                f" curve says what more of the same kind will come to, with"
                f" {CONFIDENCE:.0%} confidence in brackets:"
            )
            rows = ["| with | speech | WER |", "| --- | ---: | ---: |"]
            rows += [f"| {p.name} | {_hours(p.hours)} | {p} |" for p in self.predictions]
            yield "\n".join(rows)
        yield embed(self.draw(), "Learning curve over the amount of speech")
        rows = ["| trained on | utterances | WER |", "| ---: | ---: | ---: |"]
        rows += [f"| {_hours(p.hours)} | {p.utterances} | {p.wer:.1%} |" for p in self.points]
        yield "\n".join(rows)
        yield (
            "Each row is a training of its own, tested on the same utterances by the best label of"
            " each frame, unless a scorer was given. More of the same kind means the same speakers"
            " and the same way of recording: other speech may help more, or less."
        )

    def draw(self) -> Figure:
        """Draw the points, the curve and its interval over the hours of speech."""
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

        figure, axes = new_figure(3.6)
        if self.curve:
            hours = [each.hours for each in self.curve]
            low, high = [e.low for e in self.curve], [e.high for e in self.curve]
            axes.fill_between(hours, low, high, alpha=0.2, linewidth=0, label="90 % interval")
            axes.plot(hours, [each.wer for each in self.curve], label="forecast")
        axes.plot(
            [each.hours for each in self.points],
            [each.wer for each in self.points],
            "o",
            color="black",
            label="trained and tested",
        )
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _hours(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", labelsize=8)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("speech to train on")
        axes.set_ylabel("WER")
        axes.legend(frameon=False)
        return figure


def forecast_errors(amounts: Sequence[Amount]) -> Forecast:
    """Fit the curve to what was reached, and say where it leads.

    Args:
        amounts: three sizes or more, of which the largest is all the speech there is; a size may
            be there several times.
    """
    amounts = sorted(amounts, key=lambda each: each.hours)
    points = [Point(each.hours, each.utterances, each.rate) for each in amounts]
    used = [each for each in amounts if each.rate < CEILING]
    if problem := _problem(amounts, used):
        return Forecast(points, 0.0, problem=problem)
    fitted = _Curves(used)
    now = points[-1].hours
    wanted = {
        "one more hour": now + 1,
        "twice as much": TWICE * now,
        "ten times as much": TENFOLD * now,
    }
    way = np.geomspace(used[0].hours, TENFOLD * now, 25).tolist()
    return Forecast(
        points,
        fitted.exponent,
        predictions=[fitted.predict(name, hours) for name, hours in wanted.items()],
        curve=[fitted.predict("", hours) for hours in way],
    )


def read_forecast(folder: Path) -> Forecast | None:
    """Return the forecast that lies beside a checkpoint, None where there is none to be read."""
    path = folder / "forecast" / "forecast.json"
    if not path.is_file():
        return None
    try:
        return build(Forecast, read_json(path))
    except (OSError, ValueError) as error:
        log.warning("%s: is no forecast (%s); the report does without", path, error)
        return None


def _problem(amounts: Sequence[Amount], used: Sequence[Amount]) -> str:
    if amounts[-1].rate == 0:
        return "no forecast: no error is left that more speech could mend"
    if len({each.utterances for each in used}) < FEWEST_SIZES:
        return (
            f"no forecast: fewer than {FEWEST_SIZES} amounts of speech come to a WER below"
            f" {CEILING:.0%}; there is too little to see what more would change"
        )
    return ""


class _Curves:
    """As many curves as replicates, each through what other circumstances might have come to.

    ``level + slope * log(hours)`` is the logarithm of (rate - floor) / (1 - rate); all arrays are
    [replicates].
    """

    def __init__(self, amounts: Sequence[Amount]) -> None:
        random = np.random.default_rng(_SEED)
        x = np.log([each.hours for each in amounts])
        # The larger count more: what comes next is nearest to them.
        weights = np.sqrt([each.utterances for each in amounts])
        weights = weights / weights.mean()
        rates = _resampled(amounts, random)
        self.floor = random.uniform(0, HIGHEST_FLOOR, REPLICATES) * rates.min(axis=1)
        y = np.log((rates - self.floor[:, None]) / (1 - rates))
        total = weights.sum()
        middle = (weights * x).sum() / total
        spread = (weights * (x - middle) ** 2).sum()
        slope = (weights * (x - middle) * y).sum(axis=1) / spread
        level = (weights * y).sum(axis=1) / total
        residuals = y - level[:, None] - slope[:, None] * (x - middle)
        squares = (weights * residuals**2).sum(axis=1) + SCATTER_WORTH * USUAL_SCATTER**2
        freedom = len(amounts) - 2 + SCATTER_WORTH
        scatter = np.sqrt(squares / random.chisquare(freedom, REPLICATES))
        slope = slope + scatter * random.standard_normal(REPLICATES) / math.sqrt(spread)
        level = level + scatter * random.standard_normal(REPLICATES) / math.sqrt(total)
        # More speech of the same kind makes no model worse.
        self.slope = np.minimum(slope, 0)
        self.level = level - self.slope * middle
        self.run = scatter * random.standard_normal(REPLICATES)

    @property
    def exponent(self) -> float:
        return float(-np.median(self.slope))

    def predict(self, name: str, hours: float) -> Prediction:
        odds = np.exp(self.level + self.slope * math.log(hours))
        center = float(np.median((self.floor + odds) / (1 + odds)))
        odds = odds * np.exp(self.run)
        rates = (self.floor + odds) / (1 + odds)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(rates, [tail, 1 - tail])
        return Prediction(name, hours, center, float(low), float(high))


def _resampled(amounts: Sequence[Amount], random: np.random.Generator) -> Array:
    """Return error rates, [replicates, amounts], over utterances drawn anew."""
    errors = np.array([each.errors for each in amounts], np.float64)
    lengths = np.array(amounts[0].lengths, np.float64)
    utterances = len(lengths)
    found = np.empty((REPLICATES, len(amounts)))
    for place in range(REPLICATES):
        # How often each is drawn.
        times = random.multinomial(utterances, np.full(utterances, 1 / utterances))
        found[place] = np.maximum(errors @ times, 0.5) / max(float(lengths @ times), 1.0)
    return np.minimum(found, _HIGHEST)


def _hours(hours: float) -> str:
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.1f} min" if hours < 1 / 6 else f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h"
