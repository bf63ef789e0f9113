"""The judge of the alignment's benchmark."""

import pytest

from tests.benchmarks.alignment import Segment, judge
from tests.benchmarks.long_recordings import Phrase

PHRASES = [
    Phrase(["one", "two"], 1.0, 2.0, spans=[[1.0, 1.4], [1.5, 2.0]]),
    Phrase(["three"], 3.0, 3.5, spans=[[3.0, 3.5]]),
    Phrase(["to", "the"], 4.0, 4.8),
]


@pytest.mark.parametrize(
    ("start", "end", "text", "is_text_right", "error"),
    [
        (0.8, 2.2, "one two", True, 0.0),
        (1.1, 2.2, "one two", True, 0.1),
        (0.8, 3.2, "one two", True, 0.2),
        (0.8, 3.6, "one two", False, 0.0),
        (1.45, 3.9, "two three", True, 0.0),
        (0.8, 2.2, "one too", False, 0.0),
        (2.1, 2.9, "one", False, float("inf")),
        (2.5, 5.0, "three to the", True, 0.0),
    ],
)
def test_segments_are_compared_with_the_words(start, end, text, is_text_right, error):
    (found,) = judge([Segment(start, end, text, 1.0)], PHRASES)
    assert (found.is_text_right, found.error) == (is_text_right, pytest.approx(error))


def test_an_end_within_words_of_unknown_times_is_not_judged():
    assert judge([Segment(2.5, 4.4, "three to", 1.0)], PHRASES) == []
