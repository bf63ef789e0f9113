"""Analyse the errors of an evaluation by groups of utterances and by characters."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from stt_model.evaluation.alignment import ErrorCounts
from stt_model.evaluation.samples import EvaluatedSample
from stt_model.evaluation.significance import Rate, measure_rate
from stt_model.text import show_characters

NOTHING = "∅"
"""In a confusion matrix: no character, for deletions and insertions."""

_BAND_EDGES = (0.0, 2.0, 5.0, 10.0, 20.0, math.inf)  # seconds
_GROUPS_SHOWN = 20
_CHARACTERS_SHOWN = 16


@dataclass(frozen=True)
class Group:
    """Utterances with a common property."""

    name: str
    utterances: int
    seconds: float
    wer: Rate
    cer: Rate


@dataclass(frozen=True)
class Breakdown:
    """All utterances, grouped by one property."""

    title: str
    groups: tuple[Group, ...]
    left_out: int
    """Number of smaller groups that are not shown."""


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often each character was recognised as each.

    ``counts[i][j]`` is of ``characters[i]`` in the reference and ``characters[j]`` in the
    hypothesis; the last of them is ``NOTHING``.
    """

    characters: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def names(self) -> list[str]:
        """The characters with invisible ones made visible: a space as ``␣``."""
        return list(map(show_characters, self.characters))


def measure(name: str, samples: Sequence[EvaluatedSample]) -> Group:
    """Return the totals of some utterances."""
    words = ([each.word_distance for each in samples], [each.word_length for each in samples])
    characters = ([each.char_distance for each in samples], [each.char_length for each in samples])
    return Group(
        name,
        len(samples),
        sum(each.seconds for each in samples),
        measure_rate(*words),
        measure_rate(*characters),
    )


def break_down(samples: Sequence[EvaluatedSample]) -> list[Breakdown]:
    """Group the utterances by manifest, by duration, and by each further column of the manifests.

    Columns that do not form groups are left out: those with a single value, or with a different
    value for nearly every utterance.
    """
    columns = dict.fromkeys(column for sample in samples for column in sample.extra)
    manifests = {sample.manifest for sample in samples}
    folder = os.path.commonpath([str(Path(name).parent) for name in manifests] or [""])
    keys: dict[str, Callable[[EvaluatedSample], str]] = {
        "file": lambda sample: os.path.relpath(sample.manifest, folder),
        "duration": lambda sample: _band(sample.seconds),
    }
    keys |= {
        column: _column(column)
        for column in columns
        if len(set(map(_column(column), samples))) <= len(samples) / 2
    }
    found = (_by(title, samples, key) for title, key in keys.items())
    return [breakdown for breakdown in found if breakdown]


def _column(name: str) -> Callable[[EvaluatedSample], str]:
    return lambda sample: sample.extra.get(name) or "(none)"


def _band(seconds: float) -> str:
    for low, high in pairwise(_BAND_EDGES):
        if seconds < high < math.inf:
            return f"{low:.0f} to {high:.0f} s"
    return f"over {_BAND_EDGES[-2]:.0f} s"


def _by(
    title: str, samples: Sequence[EvaluatedSample], key: Callable[[EvaluatedSample], str]
) -> Breakdown | None:
    members: dict[str, list[EvaluatedSample]] = {}
    for sample in samples:
        members.setdefault(key(sample), []).append(sample)
    if len(members) < 2:
        return None
    largest = sorted(members, key=lambda name: (-len(members[name]), name))[:_GROUPS_SHOWN]
    in_order = sorted(largest, key=_numbers_first)
    groups = tuple(measure(name, members[name]) for name in in_order)
    return Breakdown(title, groups, len(members) - len(groups))


def _numbers_first(name: str) -> tuple[float, str]:
    number = re.match(r"\d+", name)
    return (float(number.group()) if number else math.inf, name)


def confusion_matrix(characters: ErrorCounts) -> ConfusionMatrix:
    """Return the confusion matrix of the characters that are most often mistaken for another.

    If there are fewer than fit, the most frequent other characters are added.
    """
    errors: Counter[str] = characters.deletions + characters.insertions
    frequency: Counter[str] = characters.hits + characters.deletions
    for (reference, hypothesis), count in characters.substitutions.items():
        errors.update({reference: count, hypothesis: count})
        frequency[reference] += count
    ranked = sorted(errors | frequency, key=lambda each: (-errors[each], -frequency[each], each))
    chosen = sorted(ranked[:_CHARACTERS_SHOWN])
    rows = [
        (
            *(
                characters.hits[reference]
                if reference == hypothesis
                else characters.substitutions[reference, hypothesis]
                for hypothesis in chosen
            ),
            characters.deletions[reference],
        )
        for reference in chosen
    ]
    last_row = (*(characters.insertions[each] for each in chosen), 0)
    return ConfusionMatrix((*chosen, NOTHING), (*rows, last_row))
