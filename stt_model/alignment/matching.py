"""One recording and its text: which token lies where, and what of both has no other half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stt_model.alignment.evidence import Rows, cost_of_wrong_text, speech_of
from stt_model.alignment.tokens import Labels
from stt_model.alignment.trellis import Costs, Floats, Ints, find_path, relative

_TOLERANCE = 0.5
"""Share of what a frame of speech costs with wrong text that it costs without text."""
_ENTER = 5.0
"""Labels of wrong text that it costs to leave the text, whatever comes then."""
_SKIP = 0.2
"""Share of what a label of wrong text costs that a label without audio costs."""
_BEAM = 300.0
"""Labels of wrong text by which a way may be worse than the best before it is forgotten."""
_GAP = 25
"""Frames between two labels of one word from which on they are not one."""


@dataclass(frozen=True)
class Matched:
    """The tokens of a text on the frames of a recording."""

    spans: Ints
    """int32 [tokens, 2]: frames of a token's first and last label; -1 where it is left out."""
    costs: NDArray[np.float64]
    """[tokens]: nats that the frames from a token's first label to the next token's first cost."""
    fillers: Sequence[tuple[int, int, int]]
    """Frames without text: the token behind them, the first of them, the first behind them."""
    speech: Floats
    """[frames]: how likely somebody speaks, 0 to 1."""
    wrong_label: float
    """Nats that a label of wrong text costs in this recording."""


def match(log_probabilities: NDArray[np.float16], text: Labels) -> Matched:
    """Put a text's labels on a recording's frames, without those that do not match.

    Args:
        log_probabilities: float16 [frames, classes], the blank last.
        text: the labels of all its tokens.
    """
    labels, starts = text.sequence, text.starts
    frames = len(log_probabilities)
    speech = speech_of(log_probabilities)
    wrong_frame, wrong_label = cost_of_wrong_text(plain_rows(log_probabilities), speech, labels)
    worth = -_TOLERANCE * wrong_frame * np.maximum(speech, 0.02)

    def rows(begin: int, end: int) -> Floats:
        return relative(log_probabilities[begin:end], worth[begin:end])

    costs = Costs(*(times * wrong_label for times in (_ENTER, _SKIP, _BEAM)))
    path = find_path(rows, frames, labels, starts, costs)
    return Matched(
        _spans(path.states, text),
        _token_costs(path.states, log_probabilities, labels, starts),
        _fillers(path.states),
        speech,
        wrong_label,
    )


def plain_rows(log_probabilities: NDArray[np.float16]) -> Rows:
    """Return what gives frames as ``evidence.forced_costs`` takes them."""

    def rows(begin: int, end: int) -> Floats:
        block = np.asarray(log_probabilities[begin:end], np.float32)
        return np.asarray(block - block.max(axis=1, keepdims=True), np.float32)

    return rows


def _spans(states: Ints, text: Labels) -> Ints:
    """Return the first and the last frame of the labels of each token."""
    found = np.full((len(text.ends), 2), -1, np.int32)
    frames = np.flatnonzero((states > 0) & (states % 2 == 1)).astype(np.int32)
    places = states[frames] // 2
    owners = np.searchsorted(text.starts, places, "right") - 1
    frames, owners = frames[places < text.ends[owners]], owners[places < text.ends[owners]]
    found[owners[::-1], 0] = frames[::-1]
    found[owners, 1] = frames
    for token in np.flatnonzero(found[:, 1] - found[:, 0] > _GAP):
        first, last = (
            np.searchsorted(owners, token, "left"),
            np.searchsorted(owners, token, "right"),
        )
        found[token] = _main_part(frames[first:last], states[frames[first:last]])
    return found


def _main_part(frames: Ints, labels: Ints) -> tuple[int, int]:
    """Return the first and last frame of the part of a word that has the most of its labels.

    At the edge of audio without text, a word's first or last label may be heard in that.
    """
    breaks = np.flatnonzero(np.diff(frames) > _GAP) + 1
    parts = zip(np.split(frames, breaks), np.split(labels, breaks), strict=True)
    best = max(parts, key=lambda part: len(np.unique(part[1])))[0]
    return int(best[0]), int(best[-1])


def _token_costs(
    states: Ints, log_probabilities: NDArray[np.float16], labels: Ints, starts: Ints
) -> NDArray[np.float64]:
    costs = np.zeros(len(starts) - 1)
    rows = plain_rows(log_probabilities)
    blank = log_probabilities.shape[1] - 1
    for begin in range(0, len(states), 1 << 14):
        part = states[begin : begin + (1 << 14)]
        block = rows(begin, begin + len(part))
        classes = np.full(len(part), blank)
        is_label = (part > 0) & (part % 2 == 1)
        classes[is_label] = labels[part[is_label] // 2]
        lost = -block[np.arange(len(part)), classes].astype(np.float64)
        with_text = part >= 0
        # A blank behind a label counts to the label's token.
        places = np.maximum((part[with_text] - 1) // 2, 0)
        owners = np.clip(np.searchsorted(starts, places, "right") - 1, 0, len(costs) - 1)
        np.add.at(costs, owners, lost[with_text])
    return costs


def _fillers(states: Ints) -> list[tuple[int, int, int]]:
    """Return the runs of frames without text: token behind, first frame, first frame behind."""
    inside = np.concatenate([[False], states < 0, [False]])
    edges = np.flatnonzero(np.diff(inside.astype(np.int8)))
    return [
        (-1 - int(states[end - 1]), int(begin), int(end))
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
    ]
