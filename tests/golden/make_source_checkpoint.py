"""Makes ``demo/source_checkpoint``: Coqui STT 1.4.0, trained by itself on synthesised English.

Run in the project's environment, with ``STT_REFERENCE_DIR`` set:

    python tests/golden/make_source_checkpoint.py BUILD_DIR

The corpus, the training log and the last checkpoint stay in ``BUILD_DIR``. The corpus is the same
on every run; the weights are not, because Coqui sums gradients in several threads.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import reference
import soundfile

from stt_bootstrap.demo import corpora
from stt_bootstrap.demo.synthesis import plan_corpus, write_corpus
from stt_model.base.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "demo" / "source_checkpoint"
REPORT = Path(__file__).with_name("source_checkpoint.json")
SCHEDULE = ((18, 0.001), (5, 0.0002))  # epochs, learning rate
DROPOUT_RATE = 0.12
BATCH_SIZE = 16
N_HIDDEN = 216  # three float32 a weight, with Adam's two slots: 7.5 MB


def main() -> None:
    """Synthesise, train, evaluate, and put the best checkpoint into the project."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("build", type=Path, metavar="BUILD_DIR", help="a new folder")
    build = parser.parse_args().build
    build.mkdir(parents=True)
    write_corpus(corpora.SOURCE, build / "corpus")
    reference.write_alphabet(build / "alphabet.txt")
    began = time.monotonic()
    for epochs, learning_rate in SCHEDULE:
        train(build, epochs, learning_rate)
    minutes = (time.monotonic() - began) / 60
    report = {
        "corpus": describe_corpus(build / "corpus"),
        "training": {
            "schedule": [{"epochs": n, "learning_rate": rate} for n, rate in SCHEDULE],
            "dropout_rate": DROPOUT_RATE,
            "batch_size": BATCH_SIZE,
            "n_hidden": N_HIDDEN,
            "minutes": round(minutes, 1),
        },
        "test": measure(build),
    }
    reference.copy_checkpoint(build / "source_checkpoint", TARGET)
    with atomic_write(REPORT) as path:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


def train(build: Path, epochs: int, learning_rate: float) -> None:
    """Train with Coqui in ``build/source_checkpoint``, going on from what is there."""
    reference.coqui(
        "train",
        {
            "train_files": "corpus/train.csv",
            "dev_files": "corpus/dev.csv",
            "alphabet_config_path": "alphabet.txt",
            "checkpoint_dir": "source_checkpoint",
            "feature_cache": "features",
            "summary_dir": "summaries",
            "n_hidden": str(N_HIDDEN),
            "epochs": str(epochs),
            "learning_rate": str(learning_rate),
            "force_initialize_learning_rate": "true",
            "dropout_rate": str(DROPOUT_RATE),
            "train_batch_size": str(BATCH_SIZE),
            "dev_batch_size": "32",
            "shuffle_batches": "true",
            "skip_batch_test": "true",
            "max_to_keep": "1",
            "show_progressbar": "false",
        },
        cwd=build,
        log=build / "train.log",
    )


def describe_corpus(root: Path) -> dict[str, Any]:
    """Clips and hours of each split, words and voices of all."""
    description: dict[str, Any] = {
        split: {
            "clips": len(rows := _rows(root / f"{split}.csv")),
            "hours": round(
                sum(soundfile.info(root / row["wav_filename"]).duration for row in rows) / 3600, 3
            ),
        }
        for split in ("train", "dev", "test")
    }
    spec = corpora.SOURCE
    description["words"] = len(spec.words)
    description["voices"] = len(spec.languages) * len(spec.variants)
    description["held_out_voices"] = len(spec.languages) * len(spec.held_out_variants)
    return description


def measure(build: Path) -> dict[str, Any]:
    """WER and CER by Coqui on the test split, apart for voices heard in training and others."""
    samples = reference.evaluate(
        build, "corpus/test.csv", "source_checkpoint", {"test_batch_size": "32"}
    )
    held_out = {
        clip.name
        for clip in plan_corpus(corpora.SOURCE)["test"]
        if clip.voice.split("+")[1] in corpora.SOURCE.held_out_variants
    }
    groups: dict[str, list[dict[str, Any]]] = {"known_voices": [], "held_out_voices": []}
    for sample in samples:
        name = Path(sample["wav_filename"]).stem
        groups["held_out_voices" if name in held_out else "known_voices"].append(sample)
    return {name: error_rates(group) for name, group in {"all": samples, **groups}.items()}


def error_rates(samples: list[dict[str, Any]]) -> dict[str, float]:
    """Summed edit distances over summed lengths, as Coqui's own summary has them."""

    def total(key: str) -> float:
        return sum(sample[key] for sample in samples)

    return {
        "utterances": len(samples),
        "wer": round(total("word_distance") / total("word_length"), 4),
        "cer": round(total("char_distance") / total("char_length"), 4),
        "loss": round(total("loss") / len(samples), 3),
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
