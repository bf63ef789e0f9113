"""Splits: what no two of them share, that nothing moves, how much audio is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_model.base.errors import DataError
from stt_model.corpus.split_plan import DEV, TEST, TRAIN, SplitPlan
from stt_model.corpus.splitting import (
    NEW,
    SET_ASIDE,
    Speech,
    digest,
    draw_splits,
    stratum,
    text_key,
)


def speech(rows, previous=None):
    """Return the arrays of rows (speaker, text, seconds, gender)."""
    speakers, texts, seconds, genders = zip(*rows, strict=True)
    return Speech(
        speakers=np.array([digest(each) for each in speakers], np.uint64),
        texts=np.array([digest(text_key(each)) for each in texts], np.uint64),
        seconds=np.array(seconds, np.float64),
        strata=np.array([stratum([each]) for each in genders], np.uint64),
        previous=np.full(len(rows), NEW, np.int8) if previous is None else previous,
    )


def common_voice_rows(clips=20_000, seed=0):
    """Clips a speaker as Common Voice has them: most read a few, few read very many."""
    draw = np.random.default_rng(seed)
    counts = np.ceil(draw.lognormal(1.6, 1.7, clips)).astype(int)
    counts = counts[: np.searchsorted(np.cumsum(counts), clips) + 1]
    rows = []
    # A fifth of the sentences was read by several people.
    often, once = clips // 10, iter(range(10**9))
    for speaker, count in enumerate(counts):
        gender = draw.choice(["", "male", "female"], p=[0.4, 0.4, 0.2])
        for _ in range(min(count, 2000)):
            text = f"{'often' if draw.random() < 0.2 else 'once'} read "
            text += str(draw.integers(often) if text[0] == "o" and text[1] == "f" else next(once))
            rows.append((f"s{speaker}", text, float(draw.uniform(2, 9)), gender))
    return rows[:clips]


def places(rows, splits, column):
    found = {}
    for row, split in zip(rows, splits, strict=True):
        if split >= 0 and row[column]:
            found.setdefault(row[column], set()).add(int(split))
    return found


rows_of_any_kind = st.lists(
    st.tuples(
        st.sampled_from(["", *"abcdefghij"]),
        st.sampled_from([f"text {n}" for n in range(30)]),
        st.floats(0.5, 20),
        st.sampled_from(["", "male", "female"]),
    ),
    min_size=1,
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(rows_of_any_kind, st.sampled_from(["auto", "speaker+text", "speaker", "text"]))
def test_no_speaker_and_no_text_is_in_two_splits(rows, by):
    try:
        found = draw_splits(speech(rows), SplitPlan(split_by=by))
    except DataError:
        return
    if "text" in found.by:
        assert all(len(each) == 1 for each in places(rows, found.splits, 1).values())
    if "speaker" in found.by:
        assert all(len(each) == 1 for each in places(rows, found.splits, 0).values())
    for split in (TRAIN, DEV, TEST):
        assert (found.splits == split).any()
    if found.by != "speaker+text":
        assert (found.splits != SET_ASIDE).all()


@settings(max_examples=100, deadline=None)
@given(rows_of_any_kind, rows_of_any_kind)
def test_nothing_moves_when_the_corpus_grows(old, new):
    try:
        first = draw_splits(speech(old), SplitPlan())
    except DataError:
        return
    previous = np.concatenate([first.splits, np.full(len(new), NEW, np.int8)])
    rows = [*old, *new]
    second = draw_splits(speech(rows, previous), SplitPlan())
    kept = first.splits >= 0
    assert (second.splits[: len(old)][kept] == first.splits[kept]).all()
    assert all(len(each) == 1 for each in places(rows, second.splits, 1).values())
    if "speaker" in second.by:
        assert all(len(each) == 1 for each in places(rows, second.splits, 0).values())


@pytest.mark.parametrize("seed", range(3))
def test_of_a_corpus_like_common_voice_95_percent_of_the_audio_is_kept(seed):
    rows = common_voice_rows(seed=seed)
    found = draw_splits(speech(rows), SplitPlan(dev_share=0.05, test_share=0.05))
    assert found.by == "speaker+text"
    assert found.kept >= 0.95
    seconds = np.array([row[2] for row in rows])
    for split in (DEV, TEST):
        assert 0.04 < seconds[found.splits == split].sum() / seconds.sum() < 0.06
        assert len({row[0] for row, s in zip(rows, found.splits, strict=True) if s == split}) > 20


def test_genders_are_in_each_split_as_in_the_corpus():
    rows = common_voice_rows()
    found = draw_splits(speech(rows), SplitPlan())
    seconds = np.array([row[2] for row in rows])
    for gender in ("male", "female"):
        is_it = np.array([row[3] == gender for row in rows])
        share = seconds[is_it].sum() / seconds.sum()
        for split in (DEV, TEST):
            here = found.splits == split
            assert abs(seconds[is_it & here].sum() / seconds[here].sum() - share) < 0.04


def test_the_same_corpus_is_split_the_same_in_whatever_order():
    rows = common_voice_rows(2000)
    order = np.random.default_rng(1).permutation(len(rows))
    straight = draw_splits(speech(rows), SplitPlan()).splits
    mixed = draw_splits(speech([rows[at] for at in order]), SplitPlan()).splits
    assert (straight[order] == mixed).all()


def test_hours_count_instead_of_shares():
    rows = common_voice_rows()
    found = draw_splits(speech(rows), SplitPlan(dev_hours=1.0, test_hours=2.0))
    seconds = np.array([row[2] for row in rows])
    assert seconds[found.splits == DEV].sum() / 3600 == pytest.approx(1.0, rel=0.1)
    assert seconds[found.splits == TEST].sum() / 3600 == pytest.approx(2.0, rel=0.1)


def test_one_speaker_is_split_by_text_and_that_is_said():
    rows = [("only", f"text {n}", 3.0, "") for n in range(100)]
    found = draw_splits(speech(rows), SplitPlan())
    assert found.by == "text" and "one speaker" in found.notes[0]
    assert found.kept == 1.0


def test_two_speakers_of_equal_size_are_split_by_text_and_that_is_said():
    rows = [(f"s{n % 2}", f"text {n}", 3.0, "") for n in range(100)]
    found = draw_splits(speech(rows), SplitPlan())
    assert found.by == "text" and "results will look better" in found.notes[0]


def test_impossible_splits_are_refused_with_what_to_do():
    rows = [("only", "the one text", 3.0, "")] * 10
    with pytest.raises(DataError, match="too few texts to split by text"):
        draw_splits(speech(rows), SplitPlan())
    with pytest.raises(DataError, match="--split_by text"):
        draw_splits(speech(rows), SplitPlan(split_by="speaker"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"dev_share": 1.0}, "dev_share"),
        ({"dev_share": 0.6, "test_share": 0.5}, "less than 1 together"),
        ({"split_by": "gender"}, "split_by"),
        ({"dev_hours": -1.0}, "dev_hours"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(options, named):
    with pytest.raises(DataError, match=named):
        SplitPlan(**options)


def test_texts_are_the_same_whatever_their_case_and_punctuation():
    assert text_key("Hello, World!") == text_key("hello world")
    assert text_key("...") == "..."
