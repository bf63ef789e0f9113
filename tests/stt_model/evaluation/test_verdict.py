"""Verdicts on made situations, each by what causes it."""

from types import SimpleNamespace

import pytest

from stt_model.evaluation.alignment import align
from stt_model.evaluation.measured import Provenance
from stt_model.evaluation.result import EvaluationResult, judge
from stt_model.evaluation.samples import EvaluatedSample, distance
from stt_model.evaluation.verdict import (
    GOOD,
    MORE_DATA,
    WITH_LANGUAGE_MODEL,
    WRONG_DATA,
    TrainingCurve,
    judge_model,
)

SAID = "the cat sat on the mat"


def sample(reference, hypothesis, **extra):
    words, characters = (
        align(reference, hypothesis, "word"),
        align(reference, hypothesis, "character"),
    )
    return EvaluatedSample(
        *("clip.wav", reference, hypothesis, 1.0),
        *(distance(characters), len(reference), distance(words), len(reference.split())),
        distance(characters) / len(reference),
        distance(words) / len(reference.split()),
        seconds=2.0,
        extra=extra,
    )


def curve(train, dev, best=None, hours=0.2, dev_cer=None):
    """Return a history as lineage has it: epoch 0, then an epoch for each loss."""
    lowest = dev.index(min(dev)) + 1 if best is None else best
    source = {"number": 0, "train_loss": None, "dev_loss": max(dev) + 1, "best": True}
    epochs = [
        {
            "number": number,
            "train_loss": ours,
            "dev_loss": theirs,
            "learning_rate": 0.001,
            "seconds": 36.0,
            "audio_seconds_per_second": hours * 100,
            "best": number <= lowest,
            "dev_cer": dev_cer,
        }
        for number, (ours, theirs) in enumerate(zip(train, dev, strict=True), 1)
    ]
    return [source, *epochs]


def result(samples, history=(), **changes):
    made = {"name": "best", "digest": "0", "lineage": {"history": list(history)}}
    provenance = Provenance(made, None, {}, "greedy", "stt-bootstrap evaluate", {})
    return EvaluationResult("best", samples, provenance=provenance, **changes)


DONE = curve([20, 8, 4, 2, 2, 2], [18, 9, 6, 5, 5, 5])


def test_a_good_model_needs_nothing():
    verdict = judge_model(result([sample(SAID, SAID)] * 40, DONE))
    assert (verdict.level, verdict.steps) == (GOOD, ())
    assert str(verdict) == "good: WER 0.0%, CER 0.0%"


def test_too_little_data():
    verdict = judge_model(result([sample(SAID, "te ka st n mt")] * 40, DONE))
    assert verdict.level == MORE_DATA
    assert "record or find more speech: 12 minutes of speech is little" in verdict.steps


def test_wrong_transcripts():
    right, wrong = sample(SAID, SAID), sample("something else altogether", "ba du")
    verdict = judge_model(result([*[right] * 36, *[wrong] * 4], DONE))
    assert verdict.level == WRONG_DATA
    assert "4 of 40 utterances are recognised as something else" in verdict.reason
    assert verdict.steps[0].startswith("listen to the 4 worst test utterances")


def test_suspects_are_named():
    suspects = [SimpleNamespace(drop=True), SimpleNamespace(drop=False)]
    verdict = judge_model(result([sample(SAID, SAID)] * 40, DONE, suspects=suspects))
    assert verdict.steps == ("1 transcripts (2.5%) look wrong: see the suspects in the report",)


def test_one_clip_in_forty_is_no_sign_of_wrong_data():
    right, wrong = sample(SAID, SAID), sample("something else altogether", "ba du")
    assert judge_model(result([*[right] * 39, wrong], DONE)).level == GOOD


def test_overfitting():
    history = curve([20, 9, 5, 3, 2, 1], [18, 9, 6, 7, 8, 9])
    verdict = judge_model(result([sample(SAID, "te ka st n mt")] * 40, history))
    assert verdict.steps[0] == "it overfits from epoch 3: more speech, augmentation or dropout help"


def test_a_run_that_ended_too_early():
    history = curve([20, 15, 10, 7], [19, 15, 11, 8])
    verdict = judge_model(result([sample(SAID, "te ka st n mt")] * 40, history))
    assert verdict.steps[0].startswith("it was still improving when it ended, after epoch 4")


@pytest.mark.parametrize(("hours", "level"), [(0.2, MORE_DATA), (20, WRONG_DATA)])
def test_too_low_a_rate(hours, level):
    history = curve([20, 19, 18.5, 18], [19, 18.5, 18, 17.8], hours=hours)
    verdict = judge_model(result([sample(SAID, "a")] * 40, history))
    assert verdict.level == level
    assert verdict.steps[0].startswith("the train loss hardly fell in 4 epochs: give a higher")
    assert "than 0.001" in verdict.steps[0]


def test_missing_spaces():
    verdict = judge_model(result([sample(SAID, "thecat satonthe mat")] * 40, DONE))
    assert verdict.level == WITH_LANGUAGE_MODEL
    assert verdict.steps[0] == "120 of 120 character errors are spaces: decode with a scorer"


def test_a_scorer_that_is_there_is_not_advised_again():
    found = result([sample(SAID, "thecat satonthe mat")] * 40, DONE, with_scorer=True)
    verdict = judge_model(found)
    assert verdict.level == MORE_DATA
    assert not any("scorer" in step for step in verdict.steps)


@pytest.mark.parametrize(
    ("known", "reference"),
    [
        ({"ann", "bob", "cid"}, "all test speakers are in the training split too"),
        ({"ann", "cid"}, "1 of 2 test speakers are in the training split too"),
        ({"cid"}, ""),
    ],
)
def test_speakers_of_the_training_split(known, reference):
    samples = [sample(SAID, SAID, speaker=name) for name in ("ann", "bob")] * 20
    verdict = judge_model(result(samples, DONE), {"speaker": known})
    assert verdict.level == GOOD
    assert len(verdict.steps) == bool(reference)
    assert not reference or verdict.steps[0].startswith(reference)


def test_other_speech_than_dev():
    history = curve([20, 8, 4, 2, 2, 2], [18, 9, 6, 5, 5, 5], dev_cer=0.05)
    verdict = judge_model(result([sample(SAID, "the kat set un tha mat")] * 40, history))
    assert any("5.0% on dev" in step for step in verdict.steps)


def test_few_utterances_and_no_history():
    verdict = judge_model(EvaluationResult("best", [sample(SAID, SAID)] * 5))
    assert verdict.steps == ("test on more than 5 utterances: these figures are rough",)


def test_a_history_of_an_older_version_is_no_error():
    history = [{"number": 1, "train_loss": 3.0, "dev_loss": None, "learning_rate": 0.1}]
    history[0] |= {"seconds": 1.0, "audio_seconds_per_second": 10.0, "best": False}
    assert judge_model(result([sample(SAID, SAID)] * 40, history)).level == GOOD
    assert TrainingCurve([]).hours == 0


def test_a_release_needs_a_reason():
    assert judge(0.5, 0.6, 0.0, False).passed
    worse = judge(0.7, 0.6, 0.0, False)
    assert not worse.passed and not worse.asked
    assert "worse than the source checkpoint's 60.00%" in str(worse)
    assert "above 90%" in str(judge(0.95, 1.5, 0.0, False))
    assert not judge(0.95, None, 0.0, False).passed
    assert judge(0.95, 0.5, 0.0, False, release_any=True).passed
    # What was asked for is all that counts then.
    assert judge(0.95, 0.5, 0.96, False).passed
