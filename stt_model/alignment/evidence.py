"""How much a text explains of its audio, compared with how much any other text would.

A checkpoint of another language is wrong about much; but it is less wrong about the right text than
about others. So costs are measured in those of decoys: other pieces of the same text, as long, on
the same frames.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stt_model.alignment.trellis import NOTHING, Floats, Ints

DECOYS = 6
"""Other texts that a clip's is compared with."""
_SAMPLES = 24
"""Places of a recording that are looked at to learn what wrong text costs."""
_SPAN = 400
"""Frames of such a place."""
_REACH = 12
"""Frames around one with a label in which somebody speaks."""

Rows = Callable[[int, int], Floats]
"""Gives the frames from one to before another: see ``trellis.find_path``, without fillers."""


def forced_costs(block: Floats, labels: Ints) -> NDArray[np.float64]:
    """Return what the best way costs that puts each of some texts on the same frames, in nats.

    Args:
        block: float32 [frames, classes]: how far each class lies below the frame's best.
        labels: int32 [texts, labels], at least one label.

    Returns:
        float64 [texts]; infinite where the labels do not fit into the frames.
    """
    texts, count = labels.shape
    repeats = np.zeros((texts, count), np.float32)
    repeats[:, 1:][labels[:, 1:] == labels[:, :-1]] = NOTHING
    label = np.full((texts, count), NOTHING)
    blank = np.full((texts, count + 1), NOTHING)
    blank[:, 0] = 0
    for row in block:
        new = np.maximum(label, blank[:, :-1])
        np.maximum(new[:, 1:], label[:, :-1] + repeats[:, 1:], out=new[:, 1:])
        np.maximum(blank[:, 1:], label, out=blank[:, 1:])
        blank += row[-1]
        label = new + row[labels]
    best = np.maximum(label[:, -1], blank[:, -1]).astype(np.float64)
    return np.where(best > NOTHING / 2, -best, np.inf)


def decoys(labels: Ints, first: int, last: int, count: int = DECOYS) -> Ints:
    """Return other pieces of a text as long as the one from ``first`` to before ``last``.

    int32 [up to count, labels]; they lie evenly over the text, away from the piece itself.
    """
    length = last - first
    room = len(labels) - length
    places = np.linspace(0, room, count + 2)[1:-1].astype(int) if room > 0 else np.zeros(0, int)
    apart = [place for place in places if abs(place - first) >= length]
    if not apart:
        # Too short a text: its own labels in another order.
        random = np.random.default_rng(length)
        return np.stack([random.permutation(labels[first:last]) for _ in range(count)])
    return np.stack([labels[place : place + length] for place in apart])


def speech_of(log_probabilities: NDArray[np.float16]) -> Floats:
    """Return for each frame how likely somebody speaks around it, float32 [frames], 0 to 1.

    That is the largest probability, within a quarter of a second, that there is a label at all.
    """
    label = np.empty(len(log_probabilities), np.float32)
    for begin in range(0, len(label), 1 << 16):
        part = np.asarray(log_probabilities[begin : begin + (1 << 16), -1], np.float32)
        label[begin : begin + len(part)] = 1 - np.exp(part)
    padded = np.pad(label, _REACH)
    found = label.copy()
    for offset in range(2 * _REACH + 1):
        np.maximum(found, padded[offset : offset + len(label)], out=found)
    return found


def cost_of_wrong_text(rows: Rows, speech: Floats, labels: Ints) -> tuple[float, float]:
    """Return what wrong text costs in this recording: for a frame with speech, and for a label."""
    frames = len(speech)
    span = min(_SPAN, frames)
    spoken = max(float(speech.sum()), 1.0)
    rate = len(labels) / spoken
    costs, heard, written = 0.0, 0.0, 0
    for place in np.linspace(0, frames - span, min(_SAMPLES, frames // span or 1)).astype(int):
        amount = float(speech[place : place + span].sum())
        length = min(round(rate * amount), len(labels))
        if length < 5:
            continue
        expected = int(len(labels) * place / frames)
        found = forced_costs(
            rows(place, place + span), decoys(labels, *_piece(expected, length, labels))
        )
        found = found[np.isfinite(found)]
        costs += float(found.sum())
        heard += amount * len(found)
        written += length * len(found)
    if not written:
        return 1.0, 1.0
    return costs / heard, costs / written


def _piece(middle: int, length: int, labels: Ints) -> tuple[int, int]:
    first = min(max(0, middle - length // 2), len(labels) - length)
    return first, first + length
