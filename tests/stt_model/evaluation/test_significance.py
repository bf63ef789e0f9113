import math

import numpy as np
import pytest

from stt_model.evaluation import significance as statistics
from stt_model.evaluation.significance import (
    Difference,
    Interval,
    Rate,
    compare_rates,
    measure_rate,
)


def corpora(count, utterances, rate, seed):
    """Word errors and lengths of corpora whose true rate is known."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        lengths = random.integers(2, 15, utterances)
        yield random.binomial(lengths, rate).tolist(), lengths.tolist()


def test_a_rate_is_all_errors_over_all_lengths():
    rate = measure_rate([1, 0, 4], [2, 5, 3])
    assert (rate.errors, rate.length, rate.value) == (5, 10, 0.5)


def test_intervals_are_as_wide_as_the_theory_of_ratios_says():
    ((errors, lengths),) = corpora(1, 2000, 0.2, seed=1)
    rate = measure_rate(errors, lengths)
    residuals = np.array(errors) - rate.value * np.array(lengths)
    standard_error = residuals.std(ddof=1) / np.mean(lengths) / math.sqrt(len(lengths))
    width = rate.interval.high - rate.interval.low
    assert width == pytest.approx(2 * 1.96 * standard_error, rel=0.08)
    assert rate.interval.low < rate.value < rate.interval.high


def test_intervals_hold_the_true_rate_as_often_as_they_say():
    intervals = [measure_rate(*each).interval for each in corpora(300, 100, 0.2, seed=2)]
    held = sum(interval.low <= 0.2 <= interval.high for interval in intervals)
    assert 0.91 <= held / 300 <= 0.98


def test_the_same_numbers_give_the_same_interval():
    ((errors, lengths),) = corpora(1, 50, 0.3, seed=3)
    assert measure_rate(errors, lengths) == measure_rate(errors, lengths)


def test_drawing_in_many_parts_changes_nothing_that_matters(monkeypatch):
    ((errors, lengths),) = corpora(1, 400, 0.3, seed=4)
    whole = measure_rate(errors, lengths).interval
    monkeypatch.setattr(statistics, "_DRAWN_AT_ONCE", 1000)
    parts = measure_rate(errors, lengths).interval
    assert parts.low == pytest.approx(whole.low, abs=0.005)
    assert parts.high == pytest.approx(whole.high, abs=0.005)


@pytest.mark.parametrize("errors", [[], [3]])
def test_one_utterance_or_none_has_no_interval(errors):
    lengths = [4] * len(errors)
    assert measure_rate(errors, lengths).interval is None
    assert compare_rates(errors, errors, lengths).interval is None


def test_nothing_said_is_no_error():
    assert measure_rate([], []).value == 0
    assert compare_rates([], [], []).value == 0


def test_matched_pairs_as_worked_out_by_hand():
    # Ten of thirty utterances better by one word: z = (1/3) / sqrt(30 · 1/3 · 2/3 / 29 / 30).
    better, worse = [0] * 30, [1] * 10 + [0] * 20
    found = compare_rates(better, worse, [5] * 30)
    assert found.value == pytest.approx(-10 / 150)
    z = (1 / 3) / math.sqrt(30 * (1 / 3) * (2 / 3) / 29 / 30)
    assert found.p_value == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert found.is_significant
    assert found.interval.high < 0


def test_the_other_way_round_is_as_probable():
    ((first, lengths),) = corpora(1, 60, 0.2, seed=5)
    second = [each + index % 2 for index, each in enumerate(first)]
    there, back = (compare_rates(*pair, lengths) for pair in ((first, second), (second, first)))
    assert there.p_value == pytest.approx(back.p_value)
    assert there.value == pytest.approx(-back.value)


def test_equal_models_are_told_apart_as_seldom_as_the_level_says():
    random = np.random.default_rng(6)
    lengths = random.integers(2, 15, 60)
    found = [
        compare_rates(*random.binomial(lengths, 0.2, (2, 60)).tolist(), lengths.tolist())
        for _ in range(400)
    ]
    assert 0.02 <= sum(each.is_significant for each in found) / 400 <= 0.08


def test_models_that_agree_do_not_differ():
    found = compare_rates([1] * 40, [1] * 40, [4] * 40)
    assert (found.value, found.p_value) == (0, 1)
    assert not found.is_significant


def test_few_utterances_are_not_tested():
    found = compare_rates([0] * 29, [3] * 29, [4] * 29)
    assert found.p_value is None
    assert not found.is_significant


def test_rates_and_differences_in_words():
    assert str(Rate(1, 3, None)) == "33.3%"
    assert str(Rate(1, 4, Interval(0.2, 0.3))) == "25.0% (20.0% to 30.0%)"
    assert str(Difference(-0.05, None, None)) == "5.0 points lower, too few utterances for a test"
    assert str(Difference(0.05, Interval(-0.01, 0.11), 0.04)) == (
        "5.0 points higher (1.0 points lower to 11.0 points higher), p = 0.040"
    )
    assert str(Difference(0.05, None, 1e-9)).endswith("p < 0.001")
