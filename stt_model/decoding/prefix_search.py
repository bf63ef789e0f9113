"""Coqui STT's beam search over texts without a language model, in NumPy.

At each frame the most probable prefixes of the text are kept. Each has two probabilities: of the
paths that end in a blank, and of those that end in its last label. All texts and all labels of a
frame are computed in one array.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST = np.float32(-87.33655)
"""Natural logarithm of the smallest float32, which Coqui uses for a probability of 0."""

_SURE_BLANK = np.float32(np.log(0.999))
"""Coqui starts its search at the first frame whose blank is less probable than this."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplication by it is one-to-one."""


def search(log_probabilities: NDArray[np.float32], beam_width: int) -> list[int]:
    """Return the labels of the most probable text.

    Args:
        log_probabilities: natural logarithms, float32 [frames, classes]; the last class is the
            blank.
        beam_width: texts that are kept at each frame.
    """
    begun = np.flatnonzero(log_probabilities[:, -1] < _SURE_BLANK)
    if not len(begun):
        return []
    beam = _Beam(beam_width)
    for frame in log_probabilities[begun[0] :]:
        beam.advance(frame)
    return beam.best()


class _Beam:
    """The kept texts, in the order of their numbers.

    A text's number is a 64-bit hash of its labels, so that collisions practically never occur.
    ``_numbers`` are the hashes of the texts, ``_shorter`` those of the texts without their last
    label, ``_last``.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._numbers = np.ones(1, np.uint64)
        self._shorter = np.zeros(1, np.uint64)
        self._last = np.full(1, -1)
        self._in_blank = np.zeros(1, np.float32)
        self._in_label = np.full(1, -np.inf, np.float32)
        # For each frame, a text's position in the previous frame, and the label added, or -1.
        self._history: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []

    def advance(self, frame: NDArray[np.float32]) -> None:
        """Process one frame, float32 [classes]."""
        total = np.logaddexp(self._in_blank, self._in_label)
        in_blank = total + frame[-1]
        # An index of -1 reads the blank, but is set to -inf.
        in_label = self._in_label + frame[self._last]
        longer = self._longer(frame, total)
        self._add_to_kept(in_label, longer)
        staying = np.logaddexp(in_blank, in_label)
        # If the beam is full of unchanged texts, a new one has to be better.
        least = staying.min() if len(staying) >= self._width else np.float32(-np.inf)
        rows, labels = np.nonzero(longer > least)
        scores = longer[rows, labels]
        kept = self._most_probable(np.concatenate([staying, scores]))
        self._keep(kept, in_blank, in_label, rows, labels, scores)

    def best(self) -> list[int]:
        """Return the labels of the most probable text."""
        row = int(np.argmax(np.logaddexp(self._in_blank, self._in_label)))
        labels = []
        for parents, added in reversed(self._history):
            if added[row] >= 0:
                labels.append(int(added[row]))
            row = int(parents[row])
        return labels[::-1]

    def _longer(
        self, frame: NDArray[np.float32], total: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return float32 [texts, labels]: each text extended by each label."""
        longer = total[:, np.newaxis] + frame[:-1]
        rows = np.flatnonzero(self._last >= 0)
        # The same label twice needs a blank between.
        same = self._last[rows]
        longer[rows, same] = self._in_blank[rows] + frame[same]
        return longer

    def _add_to_kept(self, in_label: NDArray[np.float32], longer: NDArray[np.float32]) -> None:
        """Move extensions that equal a kept text from ``longer`` to ``in_label``."""
        at = np.minimum(np.searchsorted(self._numbers, self._shorter), len(self._numbers) - 1)
        rows = np.flatnonzero(self._numbers[at] == self._shorter)
        parents, labels = at[rows], self._last[rows]
        in_label[rows] = np.logaddexp(in_label[rows], longer[parents, labels])
        longer[parents, labels] = -np.inf

    def _most_probable(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        if len(scores) <= self._width:
            return np.arange(len(scores))
        return np.argpartition(scores, -self._width)[-self._width :]

    def _keep(
        self,
        kept: NDArray[np.int64],
        in_blank: NDArray[np.float32],
        in_label: NDArray[np.float32],
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        scores: NDArray[np.float32],
    ) -> None:
        """Keep the texts at ``kept``: first the unchanged ones, then the extended ones."""
        count = len(in_blank)
        old, new = kept[kept < count], kept[kept >= count] - count
        rows, labels, scores = rows[new], labels[new], scores[new]
        longer = (self._numbers[rows] + (labels + 1).astype(np.uint64)) * _FACTOR
        numbers = np.concatenate([self._numbers[old], longer])
        order = np.argsort(numbers)
        self._shorter = np.concatenate([self._shorter[old], self._numbers[rows]])[order]
        self._numbers = numbers[order]
        self._last = np.concatenate([self._last[old], labels])[order]
        no_blank = np.full(len(new), -np.inf, np.float32)
        self._in_blank = np.concatenate([in_blank[old], no_blank])[order]
        self._in_label = np.concatenate([in_label[old], scores])[order]
        parents = np.concatenate([old, rows])[order].astype(np.int32)
        added = np.concatenate([np.full(len(old), -1), labels])[order].astype(np.int32)
        self._history.append((parents, added))
