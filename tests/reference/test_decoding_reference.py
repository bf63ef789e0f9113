"""Decoding under scorers beside Coqui STT 1.4.0's native decoder: same logits, same settings.

Needs STT_REFERENCE_DIR: a folder in which ``runtime/bin/python`` has ``coqui_stt_ctcdecoder``.
"""

from __future__ import annotations

import os
from pathlib import Path

import loky
import numpy as np
import pytest

from stt_bootstrap.demo.corpora import MACEDONIAN
from stt_model.text.alphabet import BytesAlphabet
from tests.benchmarks.decoding_speed import (
    Coqui,
    Utterances,
    compare,
    speak_and_infer,
    write_scorer,
)
from tests.stt_model.scorers import write_letters_package

REFERENCE = Path(os.environ.get("STT_REFERENCE_DIR", "/none"))
PYTHON = REFERENCE / "runtime" / "bin" / "python"
pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not PYTHON.exists(), reason="STT_REFERENCE_DIR has no runtime/bin/python"),
]
WORKERS = loky.cpu_count()


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """200 synthesised utterances, the alphabet, a scorer of their words, and Coqui's decoder."""
    folder = tmp_path_factory.mktemp("spoken")
    utterances, alphabet = speak_and_infer(folder)
    with Coqui(REFERENCE, utterances, folder) as coqui:
        yield utterances, alphabet, write_scorer(folder, alphabet), coqui


@pytest.mark.parametrize("beam_width", [500, 1024])
def test_words_come_out_the_same_and_no_later(spoken, beam_width):
    comparison = compare(*spoken, beam_width=beam_width, workers=WORKERS, runs=3)
    assert comparison.identical >= 0.95
    ours, coquis = comparison.error_rates
    assert ours <= coquis + 0.003
    # Both understand most of it, or agreement would say little.
    assert coquis < 0.2
    assert comparison.times_as_fast >= 1


@pytest.mark.parametrize(
    ("beam_width", "lm_alpha", "lm_beta"), [(500, 0.5, 0.5), (500, 1.5, 1.5), (100, None, None)]
)
def test_other_settings_mean_the_same(spoken, beam_width, lm_alpha, lm_beta):
    comparison = compare(
        *spoken, beam_width=beam_width, workers=WORKERS, lm_alpha=lm_alpha, lm_beta=lm_beta
    )
    assert comparison.identical >= 0.95
    ours, coquis = comparison.error_rates
    assert ours <= coquis + 0.003


def noisy_bytes(count=200, seed=0):
    """Logits as of a model that writes Macedonian in bytes, without spaces, and mishears a little.

    Each byte lasts one frame or two, with blanks between some.
    """
    draw = np.random.default_rng(seed)
    alphabet = BytesAlphabet()
    said, each = [], []
    for _ in range(count):
        said.append("".join(draw.choice(MACEDONIAN, draw.integers(1, 5))))
        path = [alphabet.blank]
        for label in alphabet.encode(said[-1]):
            path += [alphabet.blank] * int(label == path[-1])
            path += [label] * draw.integers(1, 3)
            path += [alphabet.blank] * draw.integers(0, 3)
        logits = 2.2 * draw.standard_normal((len(path), alphabet.classes))
        logits[np.arange(len(path)), path] += draw.uniform(5, 12, len(path))
        each.append(logits)
    frames = np.array([len(logits) for logits in each], np.int32)
    padded = np.zeros((count, frames.max(), alphabet.classes), np.float32)
    for place, logits in enumerate(each):
        padded[place, : len(logits)] = logits
    return Utterances(said, padded, frames, 0.02 * float(frames.sum())), alphabet


def test_bytes_come_out_the_same_and_no_later(tmp_path):
    utterances, alphabet = noisy_bytes()
    package = write_letters_package(tmp_path / "letters.scorer")
    with Coqui(REFERENCE, utterances, tmp_path) as coqui:
        comparison = compare(
            utterances, alphabet, package, coqui, beam_width=100, workers=WORKERS, runs=3
        )
    assert comparison.identical >= 0.95
    ours, coquis = comparison.error_rates
    assert ours <= coquis + 0.003
    assert 0 < coquis < 0.2
    assert comparison.times_as_fast >= 1
