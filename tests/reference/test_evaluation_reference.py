"""Coqui STT 1.4.0's evaluation beside this project's: the same checkpoint, the same speech.

Both search without a scorer: Coqui with its own decoder, this project with TensorFlow's. With
Coqui's beam width they found the same text for each of 200 utterances. Nothing promises that: they
add up the paths to a prefix in another order, and prefixes that are as probable as one another may
change places. What is made of a text is the same in every digit.

Needs STT_REFERENCE_DIR: a folder in which ``train/bin/python`` has ``coqui_stt_training``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from stt_bootstrap.demo.corpora import SOURCE
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.corpus.manifests import Utterance
from stt_model.evaluation.config import EvaluationConfig
from stt_model.evaluation.evaluator import evaluate
from stt_model.evaluation.samples import COQUI_KEYS, compare
from tests.golden import reference

PYTHON = Path(os.environ.get("STT_REFERENCE_DIR", "/none")) / "train" / "bin" / "python"
pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not PYTHON.exists(), reason="STT_REFERENCE_DIR has no train/bin/python"),
]

CHECKPOINT = Path(__file__).parents[2] / "demo" / "source_checkpoint"
UTTERANCES = 60
COQUIS_BEAM_WIDTH = 500

Samples = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech of voices that the checkpoint knows and does not know, and a copy of it."""
    folder = tmp_path_factory.mktemp("evaluation")
    spec = dataclasses.replace(SOURCE, train=1, dev=1, test=UTTERANCES, seed=77)
    write_corpus(spec, folder / "corpus")
    shutil.copytree(CHECKPOINT, folder / "checkpoint")
    return folder


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Samples:
    n_hidden = str(open_checkpoint(CHECKPOINT).geometry.n_hidden)
    flags = {"n_hidden": n_hidden, "test_batch_size": "8"}
    return reference.evaluate(folder, "corpus/test.csv", "checkpoint", flags)


@pytest.fixture(scope="module")
def ours(folder: Path) -> Samples:
    output = folder / "ours.json"
    evaluate(
        EvaluationConfig(
            [folder / "corpus" / "test.csv"],
            folder / "checkpoint",
            beam_width=COQUIS_BEAM_WIDTH,
            test_output_file=output,
        )
    )
    samples: Samples = json.loads(output.read_text(encoding="utf-8"))
    return samples


def by_clip(samples: Samples) -> dict[str, dict[str, Any]]:
    return {Path(sample["wav_filename"]).name: sample for sample in samples}


def rate(samples: Samples, unit: str) -> float:
    lengths = sum(each[f"{unit}_length"] for each in samples)
    return sum(each[f"{unit}_distance"] for each in samples) / lengths


def test_the_json_has_the_same_keys_and_utterances(theirs: Samples, ours: Samples) -> None:
    assert [set(sample) for sample in theirs] == [set(COQUI_KEYS)] * UTTERANCES
    assert [set(sample) for sample in ours] == [set(COQUI_KEYS)] * UTTERANCES
    for clip, sample in by_clip(theirs).items():
        assert by_clip(ours)[clip]["src"] == sample["src"]


def test_losses_agree(theirs: Samples, ours: Samples) -> None:
    for clip, sample in by_clip(theirs).items():
        assert by_clip(ours)[clip]["loss"] == pytest.approx(sample["loss"], rel=1e-3, abs=1e-3)


def test_distances_of_the_same_texts_are_the_same(theirs: Samples) -> None:
    assert any(sample["word_distance"] for sample in theirs)
    for sample in theirs:
        clip = Path(sample["wav_filename"])
        utterance = Utterance(clip.name, clip, 0, sample["src"], 1, clip)
        found = compare(utterance, sample["res"], sample["loss"], 1.0)
        for key in COQUI_KEYS:
            assert getattr(found, key) == sample[key]


def test_error_rates_agree(theirs: Samples, ours: Samples) -> None:
    same = sum(by_clip(ours)[clip]["res"] == each["res"] for clip, each in by_clip(theirs).items())
    assert same / UTTERANCES >= 0.98
    for unit in ("word", "char"):
        assert rate(ours, unit) == pytest.approx(rate(theirs, unit), abs=0.005)


def test_samples_are_in_the_same_order(theirs: Samples, ours: Samples) -> None:
    for samples in (theirs, ours):
        keys = [(sample["wer"], -sample["loss"]) for sample in samples]
        assert keys == sorted(keys)
