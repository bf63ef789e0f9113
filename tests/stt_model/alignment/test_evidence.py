"""What wrong text costs, compared with a slow search; decoys that are no part of the text."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.alignment.evidence import decoys, forced_costs, speech_of


def slow_cost(block, labels):
    """Try every way in which frames can be labels, in order, with blanks between."""
    blank = block.shape[1] - 1
    best = np.inf
    for classes in itertools.product(range(block.shape[1]), repeat=len(block)):
        collapsed = [each for each, _ in itertools.groupby(classes)]
        if [each for each in collapsed if each != blank] == list(labels):
            best = min(best, -sum(float(block[t, c]) for t, c in enumerate(classes)))
    return best


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 3), st.integers(2, 4))
def test_no_way_costs_less(seed, frames, count, classes):
    random = np.random.default_rng(seed)
    block = -np.abs(random.normal(0, 2, (frames, classes))).astype(np.float32)
    labels = random.integers(0, classes - 1, (3, count)).astype(np.int32)
    expected = [slow_cost(block, each) for each in labels]
    assert forced_costs(block, labels) == pytest.approx(expected, abs=1e-4)


def test_decoys_are_other_parts_of_the_text():
    labels = np.arange(1000, dtype=np.int32)
    found = decoys(labels, 400, 450)
    assert found.shape[1] == 50
    assert len(found) >= 4
    assert not set(found.ravel().tolist()) & set(range(400, 450))


def test_a_short_text_is_its_own_decoy_in_another_order():
    labels = np.arange(10, dtype=np.int32)
    found = decoys(labels, 0, 10)
    assert (np.sort(found, axis=1) == labels).all()
    assert (found != labels).any(axis=1).all()


def test_speech_is_around_labels():
    rows = np.full((200, 3), -20.0, np.float16)
    rows[:, -1] = 0
    rows[100] = [0, -20, -20]
    found = speech_of(rows)
    assert found[100] == pytest.approx(1)
    assert np.flatnonzero(found > 0.5).tolist() == list(range(88, 113))
