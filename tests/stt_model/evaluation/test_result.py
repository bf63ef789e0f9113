import math

import jiwer
import pytest

from stt_model.evaluation.measured import Baseline, Gate, Speed
from stt_model.evaluation.result import EvaluationResult, judge
from stt_model.evaluation.significance import compare_rates, measure_rate
from tests.stt_model.evaluated import evaluated, evaluated_pairs

PAIRS = [
    ("the cat sat", "the cat sat"),
    ("the dog", "a dog"),
    ("one two three", "one three"),
    ("река", ""),
]


def baseline(name="Source checkpoint", errors=3):
    lengths = [each.word_length for each in evaluated_pairs(PAIRS)]
    counts = [errors] * len(lengths)
    difference = compare_rates([0] * len(lengths), counts, lengths)
    rate = measure_rate(counts, lengths)
    return Baseline(name, "It cannot write 'ж'.", rate, rate, difference, difference, 0.1)


def test_rates_are_jiwers():
    result = EvaluationResult("best_dev-1", evaluated_pairs(PAIRS))
    reference, hypothesis = (list(each) for each in zip(*PAIRS, strict=True))
    assert result.wer == pytest.approx(jiwer.wer(reference, hypothesis))
    assert result.cer == pytest.approx(jiwer.cer(reference, hypothesis))
    assert result.words.distance / result.words.length == result.wer
    assert result.characters.distance / result.characters.length == result.cer


def test_metrics_are_finite_and_tell_of_the_baselines():
    samples = [*evaluated_pairs(PAIRS), evaluated("a", "b", loss=math.inf)]
    result = EvaluationResult(
        "best_dev-1", samples, source=baseline(), speed=Speed(100.0, 5.0, 1.0, "on a CPU")
    )
    metrics = result.metrics()
    assert all(map(math.isfinite, metrics.values()))
    assert metrics["wer_low"] <= metrics["wer"] <= metrics["wer_high"]
    assert metrics["source_wer"] == result.source.wer.value
    assert metrics["real_time_factor"] == 0.05
    assert metrics["loss"] == 1.0
    assert result.impossible == 1


def test_infinite_losses_leave_no_metric():
    result = EvaluationResult("best_dev-1", [evaluated("a", "b", loss=math.inf)])
    assert "loss" not in result.metrics()
    assert "their loss is infinite" in result.to_markdown()


def test_the_report_has_everything():
    result = EvaluationResult(
        "best_dev-1",
        evaluated_pairs(PAIRS),
        note="Mind the gap.",
        source=baseline(),
        greedy=baseline("Greedy decoding"),
        speed=Speed(100.0, 5.0, 1.0, "on a CPU"),
        gate=Gate(("WER at most 1.00%",), ("WER 33.33% is above the 1.00% allowed",)),
    )
    report = result.to_markdown()
    assert "**Mind the gap.**" in report
    assert "Gate not passed: WER 33.33% is above the 1.00% allowed" in report
    assert "33.3% (" in report
    assert "0.050 (on a CPU)" in report
    assert "| Source checkpoint | 133.3%" in report
    assert "| Greedy decoding | 133.3%" in report
    assert "It cannot write 'ж'." in report
    assert "| words | 9 | 1 | 2 | 0 |" in report
    assert "Fewer than 30 utterances" in report


def test_every_table_of_the_report_has_as_many_cells_in_each_row():
    samples = [evaluated(*pair, voice=f"a|b{n % 2}") for n, pair in enumerate(PAIRS)]
    report = EvaluationResult("x", samples, source=baseline()).to_markdown()
    for block in report.split("\n\n"):
        rows = [line.replace(r"\|", "") for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


@pytest.mark.parametrize("pairs", [[], [("a", "a")], [("a", "")], [("ab c", "xyz")]])
def test_reports_on_next_to_nothing(pairs):
    result = EvaluationResult("best_dev-1", evaluated_pairs(pairs))
    assert result.to_markdown().startswith("# Evaluation\n")
    assert all(map(math.isfinite, result.metrics().values()))


@pytest.mark.parametrize(
    ("wer", "source_wer", "max_wer", "must_beat_source", "passed"),
    [
        (0.9, None, 0.0, False, True),
        (0.3, None, 0.3, False, True),
        (0.31, None, 0.3, False, False),
        (0.3, 0.4, 0.0, True, True),
        (0.4, 0.4, 0.0, True, False),
        (0.3, 0.2, 0.3, False, True),
        (0.3, 0.2, 0.3, True, False),
    ],
)
def test_the_gate(wer, source_wer, max_wer, must_beat_source, passed):
    gate = judge(wer, source_wer, max_wer, must_beat_source)
    assert gate.passed == passed
    assert len(gate.asked) == bool(max_wer) + must_beat_source
    assert len(gate.reasons) == (not passed)


def test_the_gate_says_all_that_is_wrong():
    gate = judge(0.5, 0.4, 0.3, True)
    assert str(gate) == (
        "not passed: WER 50.00% is above the 30.00% allowed;"
        " WER 50.00% is not below the source checkpoint's 40.00%"
    )
    assert str(judge(0.1, 0.4, 0.3, True)).startswith("passed: WER at most 30.00%; WER below")
