"""Export a checkpoint for deployed runtimes, and compare each format with the checkpoint.

The export is one folder that appears whole or not at all: the ``.tflite`` file for Coqui STT's
runtime, a TensorFlow SavedModel if requested, the alphabet, the scorer if there is one, the model
card, and ``export.json``, which describes them.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from stt_model import network
from stt_model.base import ExportError, atomic_directory, atomic_write, escape_markdown
from stt_model.checkpoint import (
    Checkpoint,
    Weights,
    describe_run,
    imports_in,
    open_checkpoint,
    read_weights,
    was_quantised,
)
from stt_model.corpus import AudioSettings
from stt_model.decoding import check_scorer, open_decoder, read_scorer
from stt_model.export.comparison import (
    LARGEST_DIFFERENCE,
    Checker,
    Clip,
    Comparison,
    NetworkModel,
    read_clips,
)
from stt_model.export.config import DESCRIPTION, ExportConfig
from stt_model.export.model_card import format_card
from stt_model.export.saved_model import SavedModel, write_saved_model
from stt_model.export.tflite_conversion import RuntimeMetadata, convert
from stt_model.export.tflite_model import TfliteModel
from stt_model.features import extract_features
from stt_model.storage import sha256_file
from stt_model.text import Alphabet, write_alphabet

SAVED_MODEL = "saved_model"
KENLM_BINARY = b"mmap lm "
"""The first bytes of every package."""


@dataclass(frozen=True)
class ExportResult:
    """The exported files or folders, each with its comparison with the checkpoint."""

    directory: Path
    sizes: dict[str, int]
    """Bytes."""
    comparisons: dict[str, Comparison]
    released: bool
    gate: str

    def metrics(self) -> dict[str, float]:
        """Return the figures to show with the run."""
        figures: dict[str, float] = {"released": float(self.released)}
        for name, comparison in self.comparisons.items():
            figures[f"{name} MB"] = self.sizes[name] / 1e6
            figures[f"{name} WER change"] = comparison.wer_change
        return figures

    def to_markdown(self) -> str:
        """Return the report."""
        verdict = "Released" if self.released else "**Not released**"
        because = f" ({escape_markdown(self.gate)})" if self.gate else ""
        lines = ["# Export", "", f"{verdict}{because}.", ""]
        lines += ["| | MB | compared with the checkpoint |", "| --- | ---: | --- |"]
        lines += [
            f"| {name} | {self.sizes[name] / 1e6:.1f} | {comparison} |"
            for name, comparison in self.comparisons.items()
        ]
        return "\n".join(lines) + "\n"


def export(config: ExportConfig) -> ExportResult:
    """Export, load the result, compare it with the checkpoint, then publish it.

    Raises:
        BootstrapError: it cannot be made, or differs too much from the checkpoint. Nothing is left
            behind then.
    """
    config.check()
    checkpoint = open_checkpoint(
        config.load_checkpoint_dir, which=config.load_evaluate, alphabet=config.alphabet
    )
    if config.scorer_path:
        _check_scorer(config.scorer_path, checkpoint.alphabet)
    clips = read_clips(config.test_files, checkpoint.audio)
    with ExitStack() as stack:
        package = stack.enter_context(atomic_write(config.zip_path)) if config.zip_path else None
        folder = stack.enter_context(atomic_directory(config.export_dir))
        comparisons = _write_models(config, checkpoint, clips, folder)
        sizes = {name: _bytes_of(folder / name) for name in comparisons}
        _write_companions(config, checkpoint, comparisons, folder)
        if package:
            _write_zip(folder, package)
        if config.remove_export and config.export_dir.exists():
            # Only now that the replacement is complete.
            shutil.rmtree(config.export_dir)
    return ExportResult(config.export_dir, sizes, comparisons, config.released, config.gate)


def _check_scorer(path: Path, alphabet: Alphabet) -> None:
    check_scorer(read_scorer(path, alphabet))
    with path.open("rb") as file:
        if not file.read(len(KENLM_BINARY)) == KENLM_BINARY:
            raise ExportError(
                f"{path}: expected a .scorer package, which is what Coqui STT's runtime loads,"
                " found a language model as text; make a package of it"
            )


def _write_models(
    config: ExportConfig, checkpoint: Checkpoint, clips: Sequence[Clip], folder: Path
) -> dict[str, Comparison]:
    """Write and compare each format of the model; return the comparisons by file or folder."""
    weights = read_weights(checkpoint)
    with tf.device("CPU:0"):
        keras_model = network.build(checkpoint.geometry)
        network.load_weights(keras_model, checkpoint.geometry, weights)
    checker = Checker(
        NetworkModel(keras_model, checkpoint.audio),
        clips,
        open_decoder(checkpoint.alphabet),
        config.max_wer_change,
    )
    comparisons = {}
    if config.export_tflite:
        path = folder / f"{config.export_file_name}.tflite"
        model = _write_tflite(config, checkpoint, weights, path)
        _check_features(model, clips[0], checkpoint.audio)
        comparisons[path.name] = checker.check(path.name, model, quantised=config.export_quantize)
    if config.export_savedmodel:
        write_saved_model(keras_model, folder / SAVED_MODEL, checkpoint.audio)
        comparisons[SAVED_MODEL] = checker.check(
            SAVED_MODEL, SavedModel(folder / SAVED_MODEL), quantised=False
        )
    return comparisons


def _write_tflite(
    config: ExportConfig, checkpoint: Checkpoint, weights: Weights, path: Path
) -> TfliteModel:
    """Write the model, load it again, and verify its metadata."""
    metadata = RuntimeMetadata(
        checkpoint.alphabet,
        config.export_beam_width,
        config.identity.language,
        checkpoint.audio,
    )
    path.write_bytes(
        convert(
            weights,
            checkpoint.geometry,
            metadata,
            quantize=config.export_quantize,
            stochastic=was_quantised(checkpoint.lineage),
            n_steps=config.n_steps,
        )
    )
    model = TfliteModel(path)
    if model.read_metadata() != metadata.values():
        raise ExportError(f"{path.name}: metadata read back differently; nothing was exported")
    return model


def _check_features(model: TfliteModel, clip: Clip, audio: AudioSettings) -> None:
    window = clip.samples[: audio.window]
    if len(window) == audio.window and not np.allclose(
        model.features(window), extract_features(window, audio)[0], atol=LARGEST_DIFFERENCE
    ):
        raise ExportError("the exported model computes other features; nothing was exported")


def _write_companions(
    config: ExportConfig, checkpoint: Checkpoint, comparisons: dict[str, Comparison], folder: Path
) -> None:
    """Write the other files: alphabet, scorer, model card, description."""
    write_alphabet(checkpoint.alphabet, folder / "alphabet.txt")
    if config.scorer_path:
        shutil.copyfile(config.scorer_path, folder / config.scorer_path.name)
    checks = {name: str(comparison) for name, comparison in comparisons.items()}
    rounding = _rounding(config, checkpoint)
    source = {
        "name": checkpoint.prefix.name,
        "weights_sha256": checkpoint.digest(),
        **asdict(checkpoint.geometry),
        "labels": "bytes" if checkpoint.alphabet.is_bytes else checkpoint.alphabet.size,
    }
    card = format_card(
        config.identity,
        runtime="tflite" if config.export_tflite else "tensorflow",
        released=config.released,
        facts={
            **{f"{name}, compared with the checkpoint": check for name, check in checks.items()},
            **({"Gate": config.gate} if config.gate else {}),
            **({"Rounding": _ROUNDINGS[rounding]} if rounding in _ROUNDINGS else {}),
            "Checkpoint": ", ".join(f"{key} {value}" for key, value in source.items()),
            **_ancestors(checkpoint),
        },
    )
    (folder / config.identity.file_name).write_text(card, encoding="utf-8")
    description = {
        "released": config.released,
        "gate": config.gate,
        "quantized": config.export_tflite and config.export_quantize,
        "rounding": rounding,
        "checks": checks,
        "checkpoint": source,
        "lineage": checkpoint.lineage,
        "made": describe_run(),
        "files": {
            path.relative_to(folder).as_posix(): sha256_file(path) for path in _files(folder)
        },
    }
    text = json.dumps(description, ensure_ascii=False, indent=2)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


_ROUNDINGS = {
    "stochastic": "8-bit weights were rounded at random, because an ancestor's were 8-bit already:"
    " rounding to the nearest would have reset most of them to their values before training"
}


def _rounding(config: ExportConfig, checkpoint: Checkpoint) -> str:
    """How weights were rounded to 8 bits: stochastic, nearest, or none."""
    if not (config.export_tflite and config.export_quantize):
        return "none"
    return "stochastic" if was_quantised(checkpoint.lineage) else "nearest"


def _ancestors(checkpoint: Checkpoint) -> dict[str, str]:
    """The deployed models among its ancestors, for the card."""
    found = [
        f"{each.get('file')} ({each.get('format')}{', 8-bit' if each.get('quantised') else ''},"
        f" sha256 {each.get('sha256')})"
        for each in imports_in(checkpoint.lineage)
    ]
    return {"Bootstrapped from": "; ".join(found)} if found else {}


def _write_zip(folder: Path, place: Path) -> None:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as package:
        for path in _files(folder):
            package.write(path, path.relative_to(folder))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _bytes_of(path: Path) -> int:
    return sum(file.stat().st_size for file in (_files(path) if path.is_dir() else [path]))
