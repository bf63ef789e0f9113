"""Forecasts against curves that are known."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from stt_model.evaluation.learning_curve import (
    Amount,
    forecast_errors,
    read_forecast,
)
from stt_model.evaluation.result import EvaluationResult
from tests.stt_model.evaluated import evaluated_pairs

HOURS = (0.125, 0.125, 0.25, 0.25, 0.5, 1.0)
UTTERANCES = 150
LENGTHS = [6] * UTTERANCES


def amount(hours, rate, random=None):
    """Errors that come to this rate, spread evenly or by chance."""
    if random is None:
        total = round(rate * sum(LENGTHS))
        errors = [total // UTTERANCES + (n < total % UTTERANCES) for n in range(UTTERANCES)]
    else:
        errors = random.binomial(6, min(rate, 1), UTTERANCES).tolist()
    return Amount(hours, int(800 * hours), errors, LENGTHS)


def rate_at(hours, exponent, odds=0.25, floor=0.0):
    odds = odds * hours**-exponent
    return (floor + odds) / (1 + odds)


def power_law(exponent):
    return [amount(hours, rate_at(hours, exponent)) for hours in HOURS]


@pytest.mark.parametrize("exponent", [0.2, 0.5])
def test_a_power_law_is_found_again(exponent):
    found = forecast_errors(power_law(exponent))
    assert found.exponent == pytest.approx(exponent, abs=0.15)
    assert found.twice.wer == pytest.approx(rate_at(2, exponent), rel=0.1)
    assert found.twice.low < rate_at(2, exponent) < found.twice.high
    hour, twice, tenfold = found.predictions
    assert hour.wer == twice.wer, "one hour more is twice as much of one hour"
    assert tenfold.wer < twice.wer < found.now.wer


def test_more_is_known_of_what_is_near_than_of_what_is_far():
    _, twice, tenfold = forecast_errors(power_law(0.3)).predictions
    assert (tenfold.high - tenfold.low) / tenfold.wer > (twice.high - twice.low) / twice.wer


def test_speech_that_changes_nothing_is_not_forecast_to_do_harm():
    found = forecast_errors([amount(hours, 0.3) for hours in HOURS])
    assert found.predictions[-1].wer <= 0.31
    rising = forecast_errors([amount(hours, rate_at(hours, -0.3)) for hours in HOURS])
    assert rising.exponent == 0
    assert rising.predictions[-1].wer == pytest.approx(rising.twice.wer)


def test_intervals_hold_what_really_comes_about_as_often_as_they_say():
    """Of curves with the usual scatter and a floor, at twice and at ten times the speech."""
    random = np.random.default_rng(7)
    inside = np.zeros(2)
    trials = 60
    for _ in range(trials):
        exponent, level = random.uniform(0.1, 0.9), random.uniform(0.1, 0.6)
        floor = random.uniform(0, 0.3) * rate_at(1, exponent, level)

        def rate(hours, exponent=exponent, level=level, floor=floor):
            scatter = np.exp(0.12 * random.standard_normal())
            return rate_at(hours, exponent, level * scatter, floor)

        found = forecast_errors([amount(hours, rate(hours), random) for hours in HOURS])
        if found.problem:
            trials -= 1
            continue
        for place, (prediction, times) in enumerate(
            zip(found.predictions[1:], (2, 10), strict=True)
        ):
            inside[place] += prediction.low <= rate(times) <= prediction.high
    assert trials > 40
    assert (inside / trials >= 0.8).all(), inside / trials


def test_there_is_no_forecast_without_a_curve():
    hopeless = forecast_errors([amount(hours, 0.97) for hours in HOURS])
    assert "too little to see what more would change" in hopeless.problem
    assert hopeless.predictions == []
    assert hopeless.problem in str(hopeless)
    assert "No forecast" in hopeless.to_markdown()
    perfect = forecast_errors([*power_law(0.5)[:-1], amount(1.0, 0.0)])
    assert "no error is left" in perfect.problem


def test_models_without_an_error_on_the_way_do_not_break_the_curve():
    found = forecast_errors([*power_law(0.5)[:-2], amount(0.5, 0.0), amount(1.0, 0.001)])
    assert 0 <= found.twice.low <= found.twice.high <= 1


def test_a_forecast_beside_a_checkpoint_is_in_the_report_and_a_damaged_one_is_not(tmp_path):
    assert read_forecast(tmp_path) is None
    made = forecast_errors(power_law(0.4))
    path = tmp_path / "forecast" / "forecast.json"
    path.parent.mkdir()
    path.write_text(json.dumps(asdict(made)))
    read = read_forecast(tmp_path)
    assert read == made
    samples = evaluated_pairs([("a b c", "a b d")])
    report = EvaluationResult("best", samples, forecast=read).to_markdown()
    assert "## More speech" in report
    assert str(read.twice) in report
    path.write_text('{"points": 3}')
    assert read_forecast(tmp_path) is None
