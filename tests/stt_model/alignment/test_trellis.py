"""The alignment is the best one: compared with a slow search that keeps everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.alignment import trellis
from stt_model.alignment.trellis import Costs, find_path, relative


def slow_score(block, labels, starts, enter, skip):
    """The best score of all ways, by a dictionary of states for each frame."""
    count, tokens = len(labels), len(starts) - 1
    blank = block.shape[1] - 2

    def skipping(scores):
        for token in range(tokens):
            cost = skip * (starts[token + 1] - starts[token])
            scores[token + 1] = max(scores[token + 1], scores[token] - cost)
        return scores

    label = [-np.inf] * count
    blanks = [0.0] + [-np.inf] * count
    filler = skipping([-enter] + [-np.inf] * tokens)
    for row in block.astype(np.float64):
        new_label, new_blanks, new_filler = [], [], []
        for i in range(count):
            ways = [label[i], blanks[i]]
            if i and labels[i] != labels[i - 1]:
                ways.append(label[i - 1])
            ways += [filler[m] for m in range(tokens) if starts[m] == i]
            new_label.append(max(ways) + row[labels[i]])
        for i in range(count + 1):
            new_blanks.append(max([blanks[i], *([label[i - 1]] if i else [])]) + row[blank])
        for m in range(tokens + 1):
            i = starts[m]
            entered = max([blanks[i], *([label[i - 1]] if i else [])]) - enter
            new_filler.append(max(filler[m], entered))
        filler = [each + row[-1] for each in skipping(new_filler)]
        label, blanks = new_label, new_blanks
    ends = [blanks[-1], *label[-1:]]
    ends += [filler[m] - skip * (count - starts[m]) for m in range(tokens + 1)]
    return max(ends)


def score_of(states, block, labels, starts, enter, skip):
    """What a path is worth, frame by frame; fails where it takes a step that there is not."""
    blank, total = block.shape[1] - 2, 0.0
    tokens = len(starts) - 1
    before = None
    for row, state in zip(block.astype(np.float64), states.tolist(), strict=True):
        if state < 0:
            total += row[-1]
        elif state % 2:
            total += row[labels[state // 2]]
        else:
            total += row[blank]
        total -= skip * skipped(before, state, labels, starts)
        total -= enter * enters(before, state)
        before = state
    if before is not None and before < 0:
        total -= skip * (len(labels) - starts[-1 - before])
    else:
        assert before in (2 * len(labels), 2 * len(labels) - 1), (before, tokens)
    return total


def enters(before, state):
    """Tell whether a step leaves the text."""
    if before is None:
        # Also to begin with another token than the first.
        return state < 0 or state > 1
    return before >= 0 > state


def skipped(before, state, labels, starts):
    """Return how many labels a step leaves out."""
    if before is None:
        if state < 0:
            return starts[-1 - state]
        assert state in (0, 1) or state // 2 in starts[:-1]
        return 0 if state < 2 else state // 2
    if before < 0:
        here = starts[-1 - before]
        if state < 0:
            assert state <= before
            return starts[-1 - state] - here
        assert state % 2 == 1 and state // 2 == here
        return 0
    if state < 0:
        place = (before + 1) // 2
        assert place in starts
        return starts[-1 - state] - place
    step = state - before
    assert step in (0, 1) or (step == 2 and state % 2 and labels[state // 2] != labels[before // 2])
    return 0


@st.composite
def problems(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    classes = draw(st.integers(2, 4))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=5))
    labels = random.integers(0, classes - 1, sum(lengths)).astype(np.int32)
    starts = np.cumsum([0, *lengths]).astype(np.int32)
    frames = draw(st.integers(1, 30))
    block = random.normal(0, draw(st.floats(0.1, 6)), (frames, classes))
    filler = -np.abs(random.normal(0, draw(st.floats(0.01, 4)), frames))
    enter, skip = draw(st.floats(0, 3)), draw(st.floats(0, 5))
    return relative(block, filler), labels, starts, enter, skip


@settings(max_examples=150, deadline=None)
@given(problems(), st.sampled_from([1, 3, 7, 512]))
def test_no_way_is_better(problem, chunk):
    block, labels, starts, enter, skip = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trellis, "CHUNK", chunk)
        found = find_path(
            lambda begin, end: block[begin:end], len(block), labels, starts, Costs(enter, skip, 1e6)
        )
    assert found.score == pytest.approx(slow_score(block, labels, starts, enter, skip), abs=1e-3)
    assert score_of(found.states, block, labels, starts.tolist(), enter, skip) == pytest.approx(
        found.score, abs=1e-3
    )
