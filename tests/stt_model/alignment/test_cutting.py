"""Cuts lie in pauses, clips keep to their limits, and no choice of cuts is worth more."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.alignment import cutting
from stt_model.alignment.cutting import Cut, choose_clips, find_cuts

# Two words, a pause of a stop inside of the second, a pause, a third word.
SPANS = np.array([[1.0, 1.4], [1.5, 2.5], [3.0, 3.4]])
PAUSES = np.array([[0.0, 0.95], [1.9, 2.0], [2.6, 2.95], [3.5, 4.0]])


def find(tokens, shortest=0.15, spans=SPANS, pauses=PAUSES):
    return [
        (cut.token, cut.end, cut.start) for cut in find_cuts(tokens, spans, pauses, shortest, 4)
    ]


def test_cuts_are_in_pauses_between_words():
    found = find([0, 1, 2])
    assert [token for token, *_ in found] == [0, 2, 3]
    np.testing.assert_allclose(found[1][1:], (2.775, 2.775))
    # Of a long pause no more than a quarter of a second is kept.
    np.testing.assert_allclose(found[0][2], 0.7)


def test_a_pause_within_a_word_is_none():
    assert find([1], shortest=0.05) == find([1], shortest=0.15)


def test_a_stretch_begins_and_ends_beside_a_pause_or_not_there():
    assert [token for token, *_ in find([1, 2])] == [2, 3]
    assert [token for token, *_ in find([0])] == [0]


def test_recordings_may_begin_and_end_in_the_middle_of_speech():
    spans = np.array([[0.1, 1.0], [1.1, 3.9]])
    found = find([0, 1], spans=spans, pauses=np.zeros((0, 2)))
    assert found == [(0, 0.0, 0.0), (2, 4.0, 4.0)]


@st.composite
def cuts_of(draw):
    gaps = draw(st.lists(st.floats(0.3, 6), min_size=0, max_size=9))
    times = np.cumsum([0.0, *gaps])
    pauses = draw(st.lists(st.floats(0.15, 1), min_size=len(times), max_size=len(times)))
    return [Cut(n, t, t, p) for n, (t, p) in enumerate(zip(times, pauses, strict=True))]


def worth(clips, ends, wanted):
    total = 0.0
    for begin, end in clips:
        seconds = end.end - begin.start
        total += seconds + cutting._worth(begin, ends) + cutting._worth(end, ends)
        total -= cutting._CLIP + 2 * abs(seconds - wanted) / wanted
    return total


@settings(deadline=None, max_examples=60)
@given(cuts_of(), st.sets(st.integers(0, 9)))
def test_no_choice_is_worth_more(cuts, ends):
    shortest, longest = 2.0, 8.0
    chosen = choose_clips(cuts, shortest, longest, frozenset(ends))
    assert all(shortest <= end.end - begin.start <= longest for begin, end in chosen)
    assert all(a[1].token <= b[0].token for a, b in itertools.pairwise(chosen))
    wanted = max(shortest, 0.45 * longest)
    best = max(worth(some, ends, wanted) for some in choices(cuts, shortest, longest))
    assert worth(chosen, ends, wanted) >= best - 1e-6


def choices(cuts, shortest, longest):
    """Yield all ways to lay clips side by side."""
    yield []
    for first, last in itertools.combinations(range(len(cuts)), 2):
        if shortest <= cuts[last].end - cuts[first].start <= longest:
            for rest in choices(cuts[last:], shortest, longest):
                yield [(cuts[first], cuts[last]), *rest]
