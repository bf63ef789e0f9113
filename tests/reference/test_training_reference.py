"""Training by Coqui STT 1.4.0 and by this project, from the same weights on the same speech.

Needs STT_REFERENCE_DIR: a folder in which ``train/bin/python`` has ``coqui_stt_training``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.text.alphabet_file import read_alphabet
from stt_model.training.config import TrainingConfig
from stt_model.training.trainer import train
from tests.benchmarks.noise_corpus import NoiseCorpus, write_noise_corpus
from tests.golden import reference

PYTHON = Path(os.environ.get("STT_REFERENCE_DIR", "/none")) / "train" / "bin" / "python"
pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not PYTHON.exists(), reason="STT_REFERENCE_DIR has no train/bin/python"),
]

STEPS = 20
UTTERANCES = 4
LEARNING_RATE = 0.001
EPOCH_END = re.compile(r"Finished training epoch \d+ - loss: (\S+)")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> NoiseCorpus:
    """Utterances of several lengths, so that some frames are padding."""
    return write_noise_corpus(tmp_path_factory.mktemp("corpus"), UTTERANCES)


def losses_of_coqui(
    corpus: NoiseCorpus, folder: Path, checkpoint: str, layer_norm: bool
) -> list[float]:
    flags = {
        "train_files": str(corpus.manifest),
        "checkpoint_dir": checkpoint,
        "alphabet_config_path": str(corpus.alphabet),
        "n_hidden": "64",
        "layer_norm": str(layer_norm).lower(),
        "epochs": str(STEPS),
        "train_batch_size": str(UTTERANCES),
        "learning_rate": str(LEARNING_RATE),
        "skip_batch_test": "true",
        "show_progressbar": "false",
        **dict.fromkeys(("dropout_rate", "dropout_rate2", "dropout_rate3", "dropout_rate6"), "0"),
    }
    log = folder / "coqui.log"
    reference.coqui("train", flags, cwd=folder, log=log)
    return [float(loss) for loss in EPOCH_END.findall(log.read_text(encoding="utf-8"))]


def losses_of_ours(corpus: NoiseCorpus, source: Path, target: Path) -> list[float | None]:
    config = TrainingConfig(
        train_files=[corpus.manifest],
        dev_files=[],
        load_checkpoint_dir=source,
        save_checkpoint_dir=target,
        epochs=STEPS,
        train_batch_size=UTTERANCES,
        learning_rate=LEARNING_RATE,
        dropout_rate=0,
        augment="none",
        show_progressbar=False,
    )
    return [epoch.train_loss for epoch in train(config).epochs]


@pytest.mark.parametrize("layer_norm", [False, True])
def test_losses_of_twenty_steps(corpus: NoiseCorpus, tmp_path: Path, layer_norm: bool) -> None:
    """All utterances are one batch, so that an epoch is a step, whatever the order."""
    alphabet = read_alphabet(corpus.alphabet)
    start = initialise(Geometry(64, alphabet.classes, layer_norm=layer_norm), seed=1)
    for directory in ("start", "coqui"):
        write_checkpoint(tmp_path / directory, start, alphabet, learning_rate=LEARNING_RATE)

    theirs = losses_of_coqui(corpus, tmp_path, "coqui", layer_norm)
    ours = losses_of_ours(corpus, tmp_path / "start", tmp_path / "ours")

    assert len(theirs) == STEPS
    np.testing.assert_allclose(ours, theirs, rtol=0.01)
    # They have learnt something, so that the curves could have come apart.
    assert theirs[-1] < 0.7 * theirs[0]
    after = [read_weights(open_checkpoint(tmp_path / who, "last")) for who in ("ours", "coqui")]
    for name, weights in start.items():
        moved = np.linalg.norm(after[1][name] - weights)
        assert np.linalg.norm(after[0][name] - after[1][name]) < 0.05 * moved, name
