"""Evaluation in 16 bits: only where that is faster, and changes no text that is looked at."""

import numpy as np
import pytest

from stt_model import network
from stt_model.checkpoint import open_checkpoint
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.evaluation.config import EvaluationConfig
from stt_model.evaluation.evaluator import evaluate
from stt_model.evaluation.precision import Inference, choose_precision
from stt_model.features.extraction import COEFFICIENTS
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.training import precision
from tests.stt_model.evaluation.test_evaluator import CHECKPOINT, LATIN


@pytest.fixture
def fast(monkeypatch):
    """A machine that multiplies bfloat16 faster, at any width."""
    monkeypatch.setattr(precision, "NARROW", 1)
    monkeypatch.setitem(vars(network), "multiplies_bfloat16", lambda: True)
    monkeypatch.setitem(vars(network), "bfloat16_speed", lambda *_: 2.0)


@pytest.fixture
def undecided(tmp_path):
    """A checkpoint whose labels are nearly as probable as one another: any rounding decides."""
    alphabet = CharacterAlphabet(" abcdefghijklmnopqrstuvwxyz")
    weights = initialise(Geometry(64, alphabet.classes), seed=1)
    weights["layer_6/weights"] = weights["layer_6/weights"] * np.float32(1e-3)
    write_checkpoint(tmp_path, weights, alphabet)
    return open_checkpoint(tmp_path)


def batch():
    features = np.random.default_rng(1).standard_normal((64, 200, COEFFICIENTS)).astype(np.float32)
    return features, np.full(64, 200, np.int32)


@pytest.mark.usefixtures("fast")
def test_sixteen_bits_are_kept_where_no_text_changes():
    result = evaluate(EvaluationConfig([LATIN], CHECKPOINT, show_progressbar=False, beam_width=1))
    exact = evaluate(
        EvaluationConfig(
            [LATIN], CHECKPOINT, show_progressbar=False, beam_width=1, mixed_precision="off"
        )
    )
    assert result.speed.device.endswith("in bfloat16")
    assert "bfloat16" not in exact.speed.device
    assert [each.res for each in result.samples] == [each.res for each in exact.samples]
    assert result.loss != exact.loss
    assert result.loss == pytest.approx(exact.loss, rel=0.02)


@pytest.mark.usefixtures("fast")
def test_a_changed_text_brings_back_float32_bit_for_bit(undecided, caplog):
    caplog.set_level("INFO")
    exact = Inference(undecided, "off", 64)(*batch()).numpy()
    infer = Inference(undecided, "auto", 64)
    assert infer.precision == "bfloat16"
    for _ in range(2):
        assert np.array_equal(infer(*batch()).numpy(), exact)
        assert infer.precision == "off"
    assert caplog.text.count("evaluating in float32: bfloat16 changes ") == 1


@pytest.mark.usefixtures("fast")
def test_a_given_precision_is_not_checked(undecided):
    infer = Inference(undecided, "bfloat16", 64)
    infer(*batch())
    assert infer.precision == "bfloat16"


def test_narrow_networks_and_processors_without_the_instructions_stay_in_float32(monkeypatch):
    monkeypatch.setitem(vars(network), "multiplies_bfloat16", lambda: False)
    assert choose_precision("auto", 2048, 16) == "off"
    monkeypatch.setitem(vars(network), "multiplies_bfloat16", lambda: True)
    assert choose_precision("auto", 216, 16) == "off"
    monkeypatch.setitem(vars(network), "bfloat16_speed", lambda *_: 1.1)
    assert choose_precision("auto", 2048, 16) == "off"
