"""Checkpoints passed between Coqui STT 1.4.0 and this project, both ways, and surgery by both.

Needs STT_REFERENCE_DIR: a folder in which ``train/bin/python`` has ``coqui_stt_training``.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stt_model.checkpoint.bundle import Bundle
from stt_model.checkpoint.directory import geometry_of_weights, open_checkpoint, read_weights
from stt_model.checkpoint.geometry import LSTM_KERNEL
from stt_model.checkpoint.surgery import drop_layers, operate, variables_of
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.text.alphabet_file import write_alphabet

PYTHON = Path(os.environ.get("STT_REFERENCE_DIR", "/none")) / "train" / "bin" / "python"
pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not PYTHON.exists(), reason="STT_REFERENCE_DIR has no train/bin/python"),
]

SOURCE_ALPHABET = CharacterAlphabet(" abcd")
TARGET_ALPHABET = CharacterAlphabet(" abcdäöü")
KINDS = {"characters": (), "bytes": ("--bytes_output_mode", "true")}
KINDS["layer_norm"] = ("--layer_norm", "true")


def coqui(module: str, *arguments: object) -> None:
    # TensorFlow 2 leaves a variable in this environment that makes TensorFlow 1.15 behave as 2.
    environment = {name: value for name, value in os.environ.items() if name != "TF2_BEHAVIOR"}
    run = subprocess.run(
        [str(PYTHON), "-m", f"coqui_stt_training.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"


def train(manifest: Path, *arguments: object, steps: int = 1) -> None:
    """Without dropout."""
    coqui(
        "train",
        *("--train_files", manifest, "--dev_files", manifest, "--epochs", steps),
        *("--skip_batch_test", "true", "--show_progressbar", "false", "--n_hidden", 8),
        *("--dropout_rate", 0, "--dropout_rate2", 0, "--dropout_rate3", 0, "--dropout_rate6", 0),
        *arguments,
    )


def evaluate(manifest: Path, directory: Path, *arguments: str) -> float:
    """The loss that Coqui STT measures."""
    report = directory / "samples.json"
    coqui(
        "evaluate",
        *("--test_files", manifest, "--checkpoint_dir", directory, "--test_output_file", report),
        *arguments,
    )
    (sample,) = json.loads(report.read_text(encoding="utf-8"))
    return sample["loss"]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


@pytest.fixture(scope="module")
def manifest(scratch: Path) -> Path:
    """A manifest of one utterance: a second and a half of two tones."""
    seconds = np.arange(24_000) / 16_000
    tones = np.sin(2 * np.pi * 440 * seconds) + np.sin(2 * np.pi * (900 + 300 * seconds) * seconds)
    with wave.open(str(scratch / "tones.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((tones * 8000).astype("<i2").tobytes())
    path = scratch / "tones.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("wav_filename", "wav_filesize", "transcript"))
        rows.writerow((scratch / "tones.wav", 48_044, "ab cd"))
    return path


@pytest.fixture(scope="module")
def sources(scratch: Path, manifest: Path) -> dict[str, Path]:
    """A checkpoint directory of each kind, made by Coqui STT.

    Trained until they prefer blanks, for it cannot evaluate a bytes model that says random bytes.
    """
    write_alphabet(SOURCE_ALPHABET, scratch / "source.txt")
    directories = {kind: scratch / kind for kind in KINDS}
    for kind, directory in directories.items():
        alphabet: Sequence[object] = ("--alphabet_config_path", scratch / "source.txt")
        train(
            manifest,
            *("--checkpoint_dir", directory),
            *(() if kind == "bytes" else alphabet),
            *("--learning_rate", 0.01),
            *KINDS[kind],
            steps=20,
        )
    return directories


@pytest.mark.parametrize("kind", KINDS)
def test_coqui_measures_the_same_loss_on_what_we_write(sources, manifest, tmp_path, kind):
    source = open_checkpoint(sources[kind])
    write_checkpoint(tmp_path / "ours", read_weights(source), source.alphabet, step=source.step)

    assert source.alphabet.is_bytes == (kind == "bytes")
    assert source.geometry.layer_norm == (kind == "layer_norm")
    theirs = evaluate(manifest, sources[kind], *KINDS[kind])
    assert evaluate(manifest, tmp_path / "ours", *KINDS[kind]) == theirs


def test_coqui_measures_the_same_loss_on_reordered_outputs(sources, manifest, tmp_path):
    order = CharacterAlphabet(reversed(SOURCE_ALPHABET.labels))
    operate(sources["characters"], tmp_path / "ours", target_alphabet=order, mode="fine-tune")
    loss = evaluate(manifest, tmp_path / "ours")
    assert loss == pytest.approx(evaluate(manifest, sources["characters"]), rel=1e-6)


def test_coqui_trains_on_from_what_we_write(sources, manifest, tmp_path):
    """With our moments, or new ones of its own; the stored learning rate of 0 moves nothing."""
    source = open_checkpoint(sources["characters"])
    weights = read_weights(source)
    ours = {name: (np.full_like(w, 0.5), np.full_like(w, 0.25)) for name, w in weights.items()}
    after = {}
    for adam in (ours, None):
        directory = tmp_path / ("adam" if adam else "fresh")
        write_checkpoint(directory, weights, source.alphabet, step=41, learning_rate=0, adam=adam)
        train(manifest, "--checkpoint_dir", directory)
        found = open_checkpoint(directory, "last")
        assert found.step == 42
        assert found.has_adam
        for name, values in read_weights(found).items():
            assert values.tobytes() == weights[name].tobytes()
        bundle = Bundle(found.prefix)
        after[directory.name] = {name: bundle.read(f"{name}/Adam") for name in weights}
    for name in weights:
        # The gradients are the same, so the moments differ by what is left of ours.
        difference = after["adam"][name] - after["fresh"][name]
        np.testing.assert_allclose(difference, 0.9 * 0.5, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_both_keep_the_same_layers(sources, manifest, tmp_path, count):
    source = open_checkpoint(sources["characters"])
    weights = read_weights(source)
    write_alphabet(TARGET_ALPHABET, tmp_path / "target.txt")
    train(
        manifest,
        *("--load_checkpoint_dir", source.directory, "--save_checkpoint_dir", tmp_path / "theirs"),
        *("--drop_source_layers", count, "--alphabet_config_path", tmp_path / "target.txt"),
        # So that the one step, which it needs to save at all, leaves the weights alone.
        *("--learning_rate", 0, "--force_initialize_learning_rate", "true"),
    )
    theirs = read_weights(open_checkpoint(tmp_path / "theirs"))
    ours, geometry, surgery = drop_layers(
        weights,
        source.geometry,
        source.alphabet,
        TARGET_ALPHABET,
        drop_source_layers=count,
        seed=1,
        warm_start=False,
    )

    assert geometry_of_weights(theirs) == geometry
    kept = {name for layer in surgery.kept_layers for name in variables_of(layer, geometry)}
    for result in (theirs, ours):
        unchanged = {name for name in weights if result[name].tobytes() == weights[name].tobytes()}
        assert unchanged == kept
    for name in weights.keys() - kept:
        if name.endswith("/bias"):
            assert not theirs[name].any()
            assert not ours[name].any()
    if LSTM_KERNEL not in kept:
        limit = np.sqrt(6 / sum(ours[LSTM_KERNEL].shape))
        for result in (theirs, ours):
            assert 0.95 * limit < np.abs(result[LSTM_KERNEL]).max() <= limit
