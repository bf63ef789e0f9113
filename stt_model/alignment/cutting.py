"""Where aligned tokens are cut into clips: in pauses, so that each is neither short nor long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARGIN = 0.25
"""Most seconds of a pause that a clip keeps at each end."""
_BEFORE = 0.35
"""Seconds before a token's last label in which the pause behind it may begin: networks are late."""
_AFTER = 0.15
"""Seconds behind a token's first label in which the pause before it may end."""
_EARLY = 0.05
"""Seconds before a token's first label from which on the pause behind it may begin."""
_NEAR = 0.2
"""Seconds from a stretch's first or last label in which it must begin or end with a pause."""
_AROUND = 10.0
"""Seconds around two tokens in which the pause between them is looked for."""
_CLIP = 2.5
"""What each clip is counted down by, in seconds, so that not each pause is cut in."""
_GOOD = 0.6
"""Seconds of a pause that is as good as any longer one."""


@dataclass(frozen=True)
class Cut:
    """A place between two tokens where a clip may end and another begin."""

    token: int
    """The one behind it."""
    end: float
    """Of a clip before it, in s."""
    start: float
    """Of a clip behind it, in s."""
    pause: float
    """Seconds without speech."""


def find_cuts(
    tokens: Sequence[int],
    spans: NDArray[np.float64],
    pauses: NDArray[np.float64],
    shortest_pause: float,
    length: float,
) -> list[Cut]:
    """Return the places where a stretch of tokens can be cut, its two ends among them.

    Args:
        tokens: numbers of tokens that follow each other in text and audio.
        spans: float64 [tokens of the text, 2]: first and last label of each, in s.
        pauses: as ``find_pauses`` returns them.
        shortest_pause: s.
        length: of the recording, in s.
    """
    cuts = []
    long_ones = pauses[pauses[:, 1] - pauses[:, 0] >= shortest_pause]
    for token in (*tokens, tokens[-1] + 1):
        before = None if token == tokens[0] else spans[token - 1]
        behind = None if token > tokens[-1] else spans[token]
        found = _pause_between(before, behind, long_ones, length)
        if found is not None:
            begin, end = found
            middle = (begin + end) / 2
            earlier, later = min(begin + MARGIN, middle), max(end - MARGIN, middle)
            cuts.append(Cut(token, earlier, later, end - begin))
    return cuts


def _pause_between(
    before: NDArray[np.float64] | None,
    behind: NDArray[np.float64] | None,
    pauses: NDArray[np.float64],
    length: float,
) -> tuple[float, float] | None:
    """Return the pause between two tokens: the longest, or at an end of a stretch the nearest.

    Tokens are their first and last label, in s; None stands for the world outside of a stretch.
    """
    # Only those around are looked at, of what may be thousands.
    around = [float(each[0]) for each in (before, behind) if each is not None]
    first = int(np.searchsorted(pauses[:, 1], min(around) - _AROUND))
    last = int(np.searchsorted(pauses[:, 0], max(around) + _AROUND))
    pauses = pauses[first:last]
    begins, ends = pauses[:, 0], pauses[:, 1]
    fits = np.ones(len(pauses), bool)
    if before is not None:
        fits &= (begins > before[0] - _EARLY) & (ends > before[1] - _BEFORE)
    if behind is not None:
        fits &= (begins < behind[0] + _AFTER) & (ends < max(behind[1], behind[0] + _AFTER))
    if before is None and behind is not None:
        fits &= ends > behind[0] - _NEAR
        if not fits.any():
            return (0.0, 0.0) if behind[0] < _NEAR else None
        best = int(np.flatnonzero(fits)[-1])
    elif behind is None and before is not None:
        fits &= begins < before[1] + _NEAR
        if not fits.any():
            return (length, length) if before[1] > length - _NEAR else None
        best = int(np.flatnonzero(fits)[0])
    elif not fits.any():
        return None
    else:
        best = int(np.argmax(np.where(fits, ends - begins, -1.0)))
    return float(begins[best]), float(ends[best])


def choose_clips(
    cuts: Sequence[Cut], shortest: float, longest: float, ends: frozenset[int]
) -> list[tuple[Cut, Cut]]:
    """Return which cuts clips lie between: as much audio as possible, cut in the longest pauses.

    Args:
        cuts: in order.
        shortest: s of a clip.
        longest: s of a clip.
        ends: tokens that begin a sentence: better places than others.
    """
    wanted = max(shortest, 0.45 * longest)
    gains = [0.0] * len(cuts)
    sources = [-1] * len(cuts)
    for number, cut in enumerate(cuts):
        if number:
            gains[number] = gains[number - 1]
        for earlier in range(number - 1, -1, -1):
            seconds = cut.end - cuts[earlier].start
            if seconds > longest:
                break
            if seconds < shortest:
                continue
            gain = gains[earlier] + seconds + _worth(cut, ends) + _worth(cuts[earlier], ends)
            gain -= _CLIP + 2 * abs(seconds - wanted) / wanted
            if gain > gains[number]:
                gains[number], sources[number] = gain, earlier
    chosen = []
    number = len(cuts) - 1
    while number > 0:
        if sources[number] < 0:
            number -= 1
            continue
        chosen.append((cuts[sources[number]], cuts[number]))
        number = sources[number]
    return chosen[::-1]


def _worth(cut: Cut, ends: frozenset[int]) -> float:
    return min(cut.pause, _GOOD) / _GOOD + (0.5 if cut.token in ends else 0.0)
