"""Coqui STT's beam search over texts without a language model, compiled by Numba.

At each frame the most probable prefixes of the text are kept. Each has two probabilities: of the
paths that end in a blank, and of those that end in its last label. All probabilities are natural
logarithms, float32.

The first call compiles. NumPy's functions for sorting, and copies from slice to slice, are avoided
here, because Numba takes seconds to compile them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stt_model.decoding.compiled import compiled

SMALLEST = np.float32(-87.33655)
"""Natural logarithm of the smallest float32, which Coqui uses for a probability of 0."""

_SURE_BLANK = np.float32(np.log(0.999))
"""Coqui starts its search at the first frame whose blank is less probable than this."""
_NEVER = np.float32(-np.inf)
_NEGLIGIBLE = np.float32(-17.0)
"""A probability this many nats below another changes nothing when it is added to it."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that multiplication by it is one-to-one."""
_NONE = -1


class _Texts(NamedTuple):
    """The kept texts of a frame, one element each, with room for as many as the beam is wide.

    Attributes:
        number: a 64-bit hash of the text's labels; collisions practically never occur.
        shorter: the number of the text without its last label.
        last: its last label, int32; -1 for the empty text.
        node: where the tree of labels holds the last label, int32; -1 for the empty text.
        in_blank: probability of the paths that end in a blank.
        in_label: probability of the paths that end in the last label.
        total: probability of both.
    """

    number: NDArray[np.uint64]
    shorter: NDArray[np.uint64]
    last: NDArray[np.int32]
    node: NDArray[np.int32]
    in_blank: NDArray[np.float32]
    in_label: NDArray[np.float32]
    total: NDArray[np.float32]


class _Candidates(NamedTuple):
    """What the next frame may keep: first each present text as it is, then texts with a label more.

    Attributes:
        in_blank: of each present text, probability of the paths that end in a blank.
        in_label: of each present text, probability of the paths that end in its last label.
        is_kept: whether a present text with a label more is a present text, bool [texts, labels].
        total: the candidate's probability.
        text: the index of the text that gets a label more, int32.
        label: that label, int32.
    """

    in_blank: NDArray[np.float32]
    in_label: NDArray[np.float32]
    is_kept: NDArray[np.bool_]
    total: NDArray[np.float32]
    text: NDArray[np.int32]
    label: NDArray[np.int32]


def search(log_probabilities: NDArray[np.float32], beam_width: int) -> NDArray[np.int64]:
    """Return the labels of the most probable text, int64 [labels].

    It does not hold the interpreter's lock.

    Args:
        log_probabilities: natural logarithms, float32 [frames, classes]; the last class is the
            blank.
        beam_width: texts that are kept at each frame.
    """
    begun = np.flatnonzero(log_probabilities[:, -1] < _SURE_BLANK)
    if not len(begun):
        return np.zeros(0, np.int64)
    frames = np.ascontiguousarray(log_probabilities[begun[0] :], np.float32)
    best_first = np.argsort(-frames[:, :-1], axis=1).astype(np.int32)
    room = beam_width * frames.shape[1]
    candidates = _Candidates(
        np.empty(beam_width, np.float32),
        np.empty(beam_width, np.float32),
        np.empty((beam_width, frames.shape[1]), np.bool_),
        np.empty(room, np.float32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
    )
    places = np.empty(1 << (4 * beam_width).bit_length(), np.int32)
    labels: NDArray[np.int64] = _search(
        frames, best_first, _start(beam_width), _start(beam_width), candidates, places
    )
    return labels


def _start(width: int) -> _Texts:
    """Return room for ``width`` texts, of which the first is the empty text."""
    return _Texts(
        np.ones(width, np.uint64),
        np.zeros(width, np.uint64),
        np.full(width, _NONE, np.int32),
        np.full(width, _NONE, np.int32),
        np.zeros(width, np.float32),
        np.full(width, _NEVER, np.float32),
        np.zeros(width, np.float32),
    )


@compiled
def _search(
    frames: NDArray[np.float32],
    best_first: NDArray[np.int32],
    texts: _Texts,
    kept: _Texts,
    candidates: _Candidates,
    places: NDArray[np.int32],
) -> NDArray[np.int64]:
    width = len(texts.total)
    # int64, since Numba would compile the functions that take a literal 1 or 0 twice.
    count = np.int64(1)
    # Of each label that was ever added to a text: the node of the label before it, and the label.
    tree, nodes = np.empty((1024, 2), np.int32), 0
    to_sort = np.empty_like(candidates.total)
    for time in range(len(frames)):
        _stay(texts, count, frames[time], places, candidates)
        found = _extend(texts, count, frames[time], best_first[time], candidates)
        least, equal = _least_to_keep(candidates.total, found, width, to_sort)
        if nodes + width > len(tree):
            tree = _enlarge(tree, nodes + width)
        new = np.int64(0)
        for candidate in range(found):
            total = candidates.total[candidate]
            if total < least or (total == least and equal == 0):
                continue
            equal -= total == least
            if candidate < count:
                _keep(texts, candidate, candidates, kept, new)
            else:
                text, label = candidates.text[candidate], candidates.label[candidate]
                tree[nodes, 0], tree[nodes, 1] = texts.node[text], label
                _keep_longer(texts, text, label, kept, new)
                kept.node[new], kept.in_label[new] = nodes, total
                nodes += 1
            kept.total[new] = total
            new += 1
        texts, kept, count = kept, texts, new
    return _read_back(tree, texts.node[_index_of_max(texts.total, count)])


@compiled
def _stay(
    texts: _Texts,
    count: int,
    frame: NDArray[np.float32],
    places: NDArray[np.int32],
    candidates: _Candidates,
) -> None:
    """Make each text a candidate as it is.

    Its new paths end in a blank, repeat its last label, or come from the text without that label.
    """
    _fill_places(texts.number, count, places)
    candidates.is_kept[:count] = False
    for text in range(count):
        last, in_label = texts.last[text], _NEVER
        if last != _NONE:
            in_label = texts.in_label[text] + frame[last]
            shorter = _find(texts.shorter[text], texts.number, places)
            if shorter != _NONE:
                candidates.is_kept[shorter, last] = True
                in_label = _add(in_label, _before(texts, shorter, last) + frame[last])
        candidates.in_label[text] = in_label
        candidates.in_blank[text] = texts.total[text] + frame[-1]
        candidates.total[text] = _add(candidates.in_blank[text], in_label)


@compiled
def _extend(
    texts: _Texts,
    count: int,
    frame: NDArray[np.float32],
    best_first: NDArray[np.int32],
    candidates: _Candidates,
) -> int:
    """Make each text with a label more a candidate; return how many candidates there are then.

    If the beam is full, a candidate has to be better than the worst text that stays.
    """
    worst = _NEVER
    if count == len(texts.total):
        worst = candidates.total[0]
        for text in range(1, count):
            worst = min(worst, candidates.total[text])
    found = count
    for text in range(count):
        for label in best_first:
            if texts.total[text] + frame[label] <= worst:
                break
            total = _before(texts, text, label) + frame[label]
            if total > worst and not candidates.is_kept[text, label]:
                candidates.total[found] = total
                candidates.text[found] = text
                candidates.label[found] = label
                found += 1
    return found


@compiled
def _before(texts: _Texts, text: int, label: int) -> np.float32:
    """Return the probability of the paths of a text that can go on with a new ``label``.

    The same label twice needs a blank between.
    """
    return texts.in_blank[text] if label == texts.last[text] else texts.total[text]


@compiled
def _keep(texts: _Texts, text: int, candidates: _Candidates, kept: _Texts, new: int) -> None:
    kept.number[new], kept.shorter[new] = texts.number[text], texts.shorter[text]
    kept.last[new], kept.node[new] = texts.last[text], texts.node[text]
    kept.in_blank[new], kept.in_label[new] = candidates.in_blank[text], candidates.in_label[text]


@compiled
def _keep_longer(texts: _Texts, text: int, label: int, kept: _Texts, new: int) -> None:
    kept.number[new] = (texts.number[text] + np.uint64(label + 1)) * _FACTOR
    kept.shorter[new], kept.last[new], kept.in_blank[new] = texts.number[text], label, _NEVER


@compiled
def _least_to_keep(
    totals: NDArray[np.float32], count: int, width: int, to_sort: NDArray[np.float32]
) -> tuple[np.float32, int]:
    """Return the least of the ``width`` greatest totals, and how many of these equal it.

    By quickselect; ``to_sort`` is room for the totals.
    """
    if count <= width:
        return _NEVER, count
    for index in range(count):
        to_sort[index] = totals[index]
    low, high, wanted = 0, count - 1, count - width
    while low < high:
        pivot = to_sort[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while to_sort[left] < pivot:
                left += 1
            while to_sort[right] > pivot:
                right -= 1
            if left <= right:
                to_sort[left], to_sort[right] = to_sort[right], to_sort[left]
                left += 1
                right -= 1
        if wanted <= right:
            high = right
        elif wanted >= left:
            low = left
        else:
            break
    least = to_sort[wanted]
    equal = width
    for index in range(count):
        equal -= totals[index] > least
    return least, equal


@compiled
def _add(one: np.float32, other: np.float32) -> np.float32:
    """Return the logarithm of the sum of two probabilities."""
    more, less = max(one, other), min(one, other)
    difference = less - more
    # Both may be minus infinity, and their difference not a number.
    if not difference > _NEGLIGIBLE:
        return more
    return np.float32(more + np.log1p(np.exp(difference)))


@compiled
def _fill_places(numbers: NDArray[np.uint64], count: int, places: NDArray[np.int32]) -> None:
    """Make ``places`` a hash table, by number, of indices of texts."""
    places[:] = _NONE
    for text in range(count):
        place = _first_place(numbers[text], places)
        while places[place] != _NONE:
            place = (place + 1) % len(places)
        places[place] = text


@compiled
def _find(number: np.uint64, numbers: NDArray[np.uint64], places: NDArray[np.int32]) -> int:
    """Return the index of the text with this number, or -1."""
    place = _first_place(number, places)
    while places[place] != _NONE and numbers[places[place]] != number:
        place = (place + 1) % len(places)
    return places[place]


@compiled
def _first_place(number: np.uint64, places: NDArray[np.int32]) -> int:
    # The high bits, since the multiplication mixes upwards.
    return np.int64(number >> np.uint64(32)) % len(places)


@compiled
def _enlarge(tree: NDArray[np.int32], nodes: int) -> NDArray[np.int32]:
    """Return the tree with room for twice as many ``nodes`` as it needs."""
    larger = np.empty((2 * nodes, 2), np.int32)
    for node in range(len(tree)):
        larger[node, 0], larger[node, 1] = tree[node, 0], tree[node, 1]
    return larger


@compiled
def _index_of_max(totals: NDArray[np.float32], count: int) -> int:
    best = 0
    for text in range(1, count):
        if totals[text] > totals[best]:
            best = text
    return best


@compiled
def _read_back(tree: NDArray[np.int32], node: int) -> NDArray[np.int64]:
    """Return the labels on the way from the root of the tree to a node."""
    length, at = 0, node
    while at != _NONE:
        length, at = length + 1, tree[at, 0]
    labels = np.empty(length, np.int64)
    while node != _NONE:
        length -= 1
        labels[length], node = tree[node, 1], tree[node, 0]
    return labels
