"""The best way through a recording's frames and a text that only roughly matches it.

CTC's states (a label, or the blank before or after it), and between any two tokens a filler, which
takes frames that no text belongs to, and from which tokens can be left out. Every frame costs how
far the path's class lies below the frame's best class, in nats; a frame in a filler what its row
says, a label that is left out ``skip``.

Memory is flat: the first pass keeps the scores of each ``CHUNK``-th frame, within a beam; the
second goes back from chunk to chunk, and keeps the decisions of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

CHUNK = 512
"""Frames between two that are kept."""
NOTHING = np.float32(-1e30)
"""Score of what cannot be."""


@dataclass(frozen=True)
class Costs:
    """What it costs, in nats, to leave the text or the audio alone."""

    enter: float
    """To leave the text, whatever is left out of it, or of the audio."""
    skip: float
    """A label without audio."""
    beam: float
    """How far behind the best a path may fall before it is forgotten."""


@dataclass(frozen=True)
class Path:
    """The best way: which state has which frame."""

    states: Ints
    """int32 [frames]: 2·i + 1 for label i, 2·i for the blank before it, -1 - m for the filler
    before token m."""
    score: float
    """In nats, at most 0."""


class Window:
    """The states that can be reached within one chunk, from one token's beginning to another's."""

    def __init__(self, labels: Ints, starts: Ints, first: int, last: int, costs: Costs) -> None:
        self.first, self.last = first, last
        self.low, self.high = int(starts[first]), int(starts[last])
        self.labels = labels[self.low : self.high]
        self.borders = (starts[first : last + 1] - self.low).astype(np.intp)
        # A label that follows itself needs a blank between.
        same = np.zeros(len(self.labels), np.float32)
        same[1:][self.labels[1:] == self.labels[:-1]] = NOTHING
        self.repeats = same
        self.skips = (self.borders * costs.skip).astype(np.float32)


@dataclass
class Scores:
    """The best score of every state of a window at one frame."""

    label: Floats
    """[labels]."""
    blank: Floats
    """[labels + 1]."""
    filler: Floats
    """[tokens + 1]."""

    def best(self) -> float:
        """Return the best of them."""
        tops = [self.blank.max(), self.filler.max()]
        return float(max([*tops, self.label.max()] if len(self.label) else tops))


def find_path(
    rows: Callable[[int, int], Floats], frames: int, labels: Ints, starts: Ints, costs: Costs
) -> Path:
    """Return the best path of all frames through all labels.

    Args:
        rows: gives float32 [n, classes + 1] for frames from one number to before another: the
            logarithm of each class's probability less that of the frame's best, the blank last;
            behind it what the frame is worth without text, at most 0.
        frames: how many there are, at least one.
        labels: int32 [labels].
        starts: int32 [tokens + 1]: where each token begins; the last is the number of labels.
        costs: of what does not match.
    """
    whole = Window(labels, starts, 0, len(starts) - 1, costs)
    scores = _first(whole, costs)
    window, kept, total = whole, [], 0.0
    for begin in range(0, frames, CHUNK):
        block = rows(begin, min(begin + CHUNK, frames))
        narrowed = _narrow(window, scores, labels, starts, costs)
        scores = _moved(scores, window, narrowed)
        window = narrowed
        top = scores.best()
        total += top
        scores = Scores(*(each - np.float32(top) for each in vars(scores).values()))
        kept.append((window, scores))
        scores = _advance(window, scores, block, costs, None)
    states, final = _last(window, scores, len(labels), costs)
    return Path(_trace(kept, rows, frames, states, costs), total + final)


def _first(window: Window, costs: Costs) -> Scores:
    """Return the scores before the first frame, at which anything may begin."""
    count = len(window.labels)
    scores = Scores(
        np.full(count, NOTHING),
        np.full(count + 1, NOTHING),
        -window.skips - np.float32(costs.enter),
    )
    scores.blank[0] = 0
    return scores


def _last(window: Window, scores: Scores, count: int, costs: Costs) -> tuple[int, float]:
    """Return the state that the best path ends in, as ``Path.states`` has it, and its score."""
    # Tokens may be left out at the end.
    ending = scores.filler - (window.skips[-1] - window.skips)
    left = costs.skip * (count - window.high)
    found = [(float(ending.max()) - left, -1 - window.first - int(ending.argmax()))]
    if window.high == count:
        found.append((float(scores.blank[-1]), 2 * count))
        if len(scores.label):
            found.append((float(scores.label[-1]), 2 * count - 1))
    score, state = max(found)
    return state, score


def _narrow(window: Window, scores: Scores, labels: Ints, starts: Ints, costs: Costs) -> Window:
    """Return the window of what is within the beam, and of what can be reached from there."""
    floor = scores.best() - costs.beam
    alive = np.flatnonzero(scores.filler >= floor) + window.first
    reached = np.flatnonzero((scores.blank >= floor) | (np.append(scores.label, NOTHING) >= floor))
    places = reached + window.low
    owners = np.clip(np.searchsorted(starts, places, "right") - 1, 0, len(starts) - 1)
    first = len(starts) - 1
    for found in (alive[:1], owners[:1]):
        first = min([first, *map(int, found)])
    far = int(starts[alive[-1]]) if len(alive) else 0
    far = max(far, int(places[-1]) if len(places) else 0) + CHUNK + 1
    last = min(int(np.searchsorted(starts, far, "left")), len(starts) - 1)
    return Window(labels, starts, first, max(last, first), costs)


def _moved(scores: Scores, old: Window, new: Window) -> Scores:
    """Return the scores on another window."""

    def move(values: Floats, old_low: int, low: int, count: int) -> Floats:
        moved = np.full(count, NOTHING)
        begin, end = max(low, old_low), min(low + count, old_low + len(values))
        if begin < end:
            moved[begin - low : end - low] = values[begin - old_low : end - old_low]
        return moved

    count = new.high - new.low
    blank = move(scores.blank, old.low, new.low, count + 1)
    return Scores(
        move(scores.label, old.low, new.low, count),
        blank,
        move(scores.filler, old.first, new.first, new.last - new.first + 1),
    )


@dataclass
class _Decisions:
    """Where each state of each frame of a chunk came from."""

    label: NDArray[np.uint8]
    """[frames, labels]: 0 itself, 1 the blank before, 2 the label before, 3 the filler before."""
    blank: NDArray[np.bool_]
    """[frames, labels]: whether the blank after the label came from it."""
    filler: NDArray[np.uint8]
    """[frames, tokens + 1]: 0 itself, 1 the blank, 2 the label; 4 more if the filler before
    skipped a token."""


def _advance(
    window: Window, scores: Scores, block: Floats, costs: Costs, decisions: _Decisions | None
) -> Scores:
    """Return the scores after some frames, and note the decisions if they are wanted."""
    label, blank, filler = (each.copy() for each in vars(scores).values())
    classes, blank_class = window.labels, block.shape[1] - 2
    begins, borders = window.borders[:-1], window.borders
    # Several tokens may begin at one label, where those before have none: the last one leads in.
    leads = np.flatnonzero(np.diff(borders) > 0)
    at = begins[leads]
    before = borders - 1
    enter = np.float32(costs.enter)
    for number, row in enumerate(block):
        stay = np.maximum(label, blank[:-1])
        step = label[:-1] + window.repeats[1:]
        new_label = stay.copy()
        np.maximum(new_label[1:], step, out=new_label[1:])
        exits = filler[leads]
        opened = new_label[at]
        new_label[at] = np.maximum(opened, exits)
        new_blank = blank.copy()
        np.maximum(blank[1:], label, out=new_blank[1:])
        from_blank = blank[borders]
        from_label = np.where(before >= 0, label[before], NOTHING) if len(label) else from_blank
        entered = np.maximum(from_blank, from_label) - enter
        own = np.maximum(filler, entered)
        summed = own + window.skips
        carried = np.maximum.accumulate(summed)
        if decisions:
            code = (blank[:-1] > label).astype(np.uint8)
            code[1:][step > stay[1:]] = 2
            taken = exits > opened
            code[at[taken]] = 3
            decisions.label[number] = code
            decisions.blank[number] = label > blank[1:]
            kind = np.where(from_label > from_blank, 2, 1).astype(np.uint8)
            kind[filler >= entered] = 0
            kind[1:][carried[:-1] > summed[1:]] |= 4
            decisions.filler[number] = kind
        label = new_label + row[classes]
        blank = new_blank + row[blank_class]
        filler = carried - window.skips + row[-1]
    return Scores(label, blank, filler)


def _trace(
    kept: list[tuple[Window, Scores]],
    rows: Callable[[int, int], Floats],
    frames: int,
    state: int,
    costs: Costs,
) -> Ints:
    """Return the states of all frames, from the state that the best path ends in."""
    states = np.empty(frames, np.int32)
    for number in range(len(kept) - 1, -1, -1):
        window, scores = kept[number]
        begin = number * CHUNK
        end = min(begin + CHUNK, frames)
        window, scores = _until(window, scores, state)
        count, tokens = window.high - window.low, window.last - window.first
        decisions = _Decisions(
            np.empty((end - begin, count), np.uint8),
            np.empty((end - begin, count), np.bool_),
            np.empty((end - begin, tokens + 1), np.uint8),
        )
        _advance(window, scores, rows(begin, end), costs, decisions)
        for frame in range(end - begin - 1, -1, -1):
            states[begin + frame] = state
            state = _back(window, decisions, frame, state)
    return states


def _until(window: Window, scores: Scores, state: int) -> tuple[Window, Scores]:
    """Return the part of a window that a path to ``state`` can have come through."""
    token = -1 - state - window.first if state < 0 else -1
    if token < 0:
        place = max((state - 1) // 2, 0) - window.low
        token = int(np.searchsorted(window.borders, place, "right"))
    last = min(token, window.last - window.first)
    borders = window.borders[: last + 1]
    smaller = object.__new__(Window)
    smaller.first, smaller.last = window.first, window.first + last
    smaller.low, smaller.high = window.low, window.low + int(borders[-1])
    count = int(borders[-1])
    smaller.labels, smaller.repeats = window.labels[:count], window.repeats[:count]
    smaller.borders, smaller.skips = borders, window.skips[: last + 1]
    return smaller, Scores(
        scores.label[:count], scores.blank[: count + 1], scores.filler[: last + 1]
    )


def _back(window: Window, decisions: _Decisions, frame: int, state: int) -> int:
    """Return the state of the frame before."""
    if state < 0:
        token = -1 - state - window.first
        while decisions.filler[frame, token] & 4:
            token -= 1
        kind = decisions.filler[frame, token] & 3
        place = window.low + int(window.borders[token])
        return (-1 - token - window.first, 2 * place, 2 * place - 1)[kind]
    place = state // 2 - window.low
    if state % 2 == 0:
        return state - 1 if place > 0 and decisions.blank[frame, place - 1] else state
    code = decisions.label[frame, place]
    if code == 3:
        # The last of the tokens that begin here.
        token = int(np.searchsorted(window.borders, place, "right")) - 1
        return -1 - token - window.first
    return state - int(code)


def relative(log_probabilities: Any, filler: Any) -> Floats:
    """Return rows as ``find_path`` takes them: [frames, classes] less each frame's best, fillers.

    ``filler`` [frames] is what frames are worth without text, at most 0.
    """
    block = np.asarray(log_probabilities, np.float32)
    below = block - block.max(axis=1, keepdims=True)
    return np.column_stack([below, np.asarray(filler, np.float32)])
