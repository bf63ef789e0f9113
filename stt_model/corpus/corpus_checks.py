"""Checks on a corpus as a whole, one function each: what is equal, or far from the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Literal

from stt_model.corpus.checks import Discrepancy, Settings
from stt_model.corpus.findings import Severity
from stt_model.corpus.utterance_table import Utterances
from stt_model.text import shorten

_PACE_FLOOR = 0.05
"""Minimum spread of the pace, so that very even (synthesised) speech does not flag every clip."""


def audio_across_splits(found: Utterances, settings: Settings) -> Iterator[tuple[int, Discrepancy]]:
    """The same audio is in a more held-out split, which keeps it: this copy is rejected."""
    for at, kept in _held_out(found, "sound"):
        yield at, Discrepancy("audio of this split only", f"it is {kept} too")


def audio_repeated(found: Utterances, settings: Settings) -> Iterator[tuple[int, Discrepancy]]:
    """The same audio is in this split already."""
    rows = found.select("sound, split, at, row, place, text", order="sound, split, at")
    for (_, split), group in groupby(rows, key=lambda row: row[:2]):
        *_, first_row, first_place, first_text = next(group)
        where = f"it is {found.place(split, first_row)} already"
        other = ""
        for _, _, at, _, _, text in group:  # noqa: B031 (those after the first)
            if text != first_text and not other:
                other = f"the text {shorten(found.text_of(first_place))!r}"
            said = "the same text" if text == first_text else other
            yield at, Discrepancy("new audio", f"{where}, with {said}")


def text_across_splits(found: Utterances, settings: Settings) -> Iterator[tuple[int, Discrepancy]]:
    """The same transcript is in a more held-out split, which makes that test easier."""
    for at, kept in _held_out(found, "text"):
        yield at, Discrepancy("text of this split only", f"it is {kept} too")


def odd_pace(found: Utterances, settings: Settings) -> Iterator[tuple[int, Discrepancy]]:
    """Seconds per character are far from the median: the text may belong to other audio."""
    limits = settings.limits
    if len(found) < max(limits.pace_utterances, 1):
        return
    median = found.median("log_pace")
    # 1.4826 makes the median absolute deviation of a normal distribution its standard deviation.
    spread = max(1.4826 * found.median("abs(log_pace - ?)", median), _PACE_FLOOR)
    low, high = (math.exp(median + sign * limits.pace_deviations * spread) for sign in (-1, 1))
    expected = f"{low:.3f} to {high:.3f} s a character"
    odd = found.select("at, pace, place", low, high, order="at", where="pace NOT BETWEEN ? AND ?")
    for at, pace, place in odd:
        yield at, Discrepancy(expected, f"{pace:.3f} for {shorten(found.text_of(place))!r}")


CorpusCheck = Callable[[Utterances, Settings], Iterator[tuple[int, Discrepancy]]]
CORPUS_CHECKS: Mapping[CorpusCheck, Severity] = {
    audio_across_splits: "error",
    audio_repeated: "warning",
    text_across_splits: "warning",
    odd_pace: "warning",
}
"""Each is given the utterances that have no error so far, and yields the numbers of some."""


def _held_out(found: Utterances, digest: Literal["sound", "text"]) -> Iterator[tuple[int, str]]:
    """Yield each utterance whose digest is in a split further from training too, and where."""
    # The last of a group comes first: it is in the most held-out split.
    rows = found.select(f"{digest}, at, split, row", order=f"{digest}, at DESC")
    for _, group in groupby(rows, key=lambda row: row[0]):
        _, _, last_split, last_row = next(group)
        for _, at, split, _ in group:  # noqa: B031 (those after the first)
            if split != last_split:
                yield at, found.place(last_split, last_row)
