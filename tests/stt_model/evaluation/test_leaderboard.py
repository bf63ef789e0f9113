"""The ranking of what a sweep trained."""

from dataclasses import replace

import numpy as np
import pytest

from stt_model.evaluation.leaderboard import Candidate, rank_candidates


def candidate(key, rate, *, finished=True, source="english"):
    random = np.random.default_rng(len(key) + int(1000 * rate))
    errors = random.binomial(10, rate, 60).tolist()
    return Candidate(
        key, source, 1, 0.001, False, 5, 4, 9.0, finished, errors, [10] * 60, errors, [10] * 60
    )


def test_the_best_that_was_trained_to_its_end_is_first():
    rows = [candidate("c", 0.5), candidate("b", 0.2), candidate("a", 0.1, finished=False)]
    board = rank_candidates("swahili", rows, "cer")
    assert [row.key for row in board.rows] == ["b", "a", "c"]
    assert board.behind(board.rows[2]).is_significant
    assert board.metrics()["trainings"] == 3
    assert "b" not in board.metrics()


@pytest.mark.parametrize("by", ["cer", "wer"])
def test_page_and_report_say_the_same_and_run_nothing_that_they_are_given(by):
    rows = [candidate("a", 0.1, source="<script>x|y</script>"), candidate("b", 0.4)]
    board = rank_candidates("swahili", rows, by)
    page, report = board.to_html(), board.to_markdown()
    assert "<script" not in page
    assert "x\\|y" in report
    for text in (page, report):
        assert "1 new layer" in text
        assert (
            str(board.behind(board.rows[1])).replace("<", "&lt;" if text is page else "<") in text
        )
    assert board.equals == 0


def test_one_that_is_hardly_behind_may_be_as_good():
    first = candidate("a", 0.2)
    errors = [first.character_errors[0] + 1, *first.character_errors[1:]]
    second = replace(first, key="b", character_errors=errors)
    board = rank_candidates("swahili", [second, first], "cer")
    assert board.rows[0] is first
    assert board.equals == 1
    assert "1 of the 1 others may be as good" in board.summary
