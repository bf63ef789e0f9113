"""A small source checkpoint, a small corpus, and what a run left behind."""

from __future__ import annotations

from pathlib import Path

from stt_model.checkpoint.directory import open_checkpoint, read_moments, read_weights
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.training.config import TrainingConfig
from tests.corpora import write_tone_dataset

ALPHABET = CharacterAlphabet(" abcd")
SOURCE_STEP = 40


def write_dataset(folder: Path) -> Path:
    return write_tone_dataset(folder, train=7, other=3)


def write_source(folder: Path, n_hidden: int = 8, layer_norm: bool = False) -> Path:
    geometry = Geometry(n_hidden, ALPHABET.classes, layer_norm=layer_norm)
    write_checkpoint(
        folder,
        initialise(geometry, seed=1),
        ALPHABET,
        step=SOURCE_STEP,
        lineage={"mode": "scratch"},
    )
    return folder


def make_config(dataset: Path, source: Path, out: Path, **changes: object) -> TrainingConfig:
    """Return settings for two epochs of three batches."""
    settings = {
        "train_files": [dataset / "train.csv"],
        "dev_files": [dataset / "dev.csv"],
        "load_checkpoint_dir": source,
        "save_checkpoint_dir": out,
        "epochs": 2,
        "train_batch_size": 3,
        "dev_batch_size": 2,
        "learning_rate": 0.002,
        "dropout_rate": 0.05,
        "freeze_source_epochs": 0,
        "augment": "",
        "show_progressbar": False,
    }
    return TrainingConfig(**{**settings, **changes})


def content(folder: Path, which: str) -> dict[str, bytes]:
    """Return the weights and, where there are any, the moments of a checkpoint, bit for bit."""
    checkpoint = open_checkpoint(folder, which)
    arrays = {name: array.tobytes() for name, array in read_weights(checkpoint).items()}
    if checkpoint.has_adam:
        for name, moments in read_moments(checkpoint).items():
            arrays[f"{name}/moments"] = b"".join(array.tobytes() for array in moments)
    return arrays
