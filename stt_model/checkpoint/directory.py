"""Find, open and read checkpoint directories in Coqui STT's layout."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.base import AlphabetError, CheckpointError, read_json
from stt_model.checkpoint.bundle import Bundle
from stt_model.checkpoint.flags import is_true, read_audio_settings, read_flags
from stt_model.checkpoint.formats.model import DeployedModel
from stt_model.checkpoint.formats.registry import open_model
from stt_model.checkpoint.formats.search import SUFFIXES, find_model
from stt_model.checkpoint.geometry import (
    Geometry,
    find_geometry,
)
from stt_model.checkpoint.layout import (
    STATE_FILES,
    STEMS,
    Moments,
    Weights,
    check_which,
    listing,
    name_in_state,
)
from stt_model.checkpoint.lineage import describe_import
from stt_model.corpus import USUAL_AUDIO, AudioSettings
from stt_model.text import Alphabet, BytesAlphabet, read_alphabet

# Shapes do not show this setting, and another value gives wrong transcripts without an error.
_ONLY_SETTINGS = {"relu_clip": 20}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, without its weights."""

    directory: Path
    prefix: Path
    which: str  # best or last
    step: int
    geometry: Geometry
    alphabet: Alphabet
    flags: Mapping[str, Any]
    lineage: Mapping[str, Any] | None
    has_adam: bool
    cudnn: bool
    mixed_precision: bool
    learning_rate: float | None
    notes: tuple[str, ...] = ()
    """Warnings from reading it, one line each."""
    audio: AudioSettings = USUAL_AUDIO
    """How audio is cut into its features."""
    model: DeployedModel | None = None
    """The deployed model that it was read from; None for a checkpoint in Coqui's layout."""

    def describe(self) -> dict[str, Any]:
        """Everything but the weights, ready for JSON."""
        alphabet: dict[str, Any] = {
            "mode": "bytes" if self.alphabet.is_bytes else "characters",
            "size": self.alphabet.size,
            "digest": self.alphabet.digest,
        }
        if not self.alphabet.is_bytes:
            alphabet["labels"] = list(self.alphabet.labels)
        return {
            "directory": str(self.directory),
            "name": self.prefix.name,
            "format": self.model.format if self.model else "checkpoint",
            "quantised": bool(self.model and self.model.quantised),
            "which": self.which,
            "step": self.step,
            "geometry": asdict(self.geometry),
            "audio": asdict(self.audio),
            "parameters": sum(map(math.prod, self.geometry.shapes().values())),
            "alphabet": alphabet,
            "has_adam": self.has_adam,
            "cudnn": self.cudnn,
            "mixed_precision": self.mixed_precision,
            "learning_rate": self.learning_rate,
            "lineage": self.lineage,
            "notes": list(self.notes),
        }

    def digest(self) -> str:
        """``weights_digest`` of its weights, which this reads."""
        return weights_digest(read_weights(self))


def weights_digest(weights: Weights) -> str:
    """SHA-256, in hexadecimal, of names, shapes and values, whatever their file format."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = np.ascontiguousarray(weights[name], dtype="<f4")
        digest.update(json.dumps([name, values.shape]).encode())
        digest.update(values.data)
    return digest.hexdigest()


def open_checkpoint(
    directory: Path | str,
    which: str = "auto",
    alphabet: Alphabet | None = None,
) -> Checkpoint:
    """Find and check a checkpoint without reading its weights or importing TensorFlow.

    Every source of weights is opened by this function.

    Args:
        directory: a checkpoint directory of Coqui STT 1.x, DeepSpeech 0.7 to 0.9, or this project;
            a deployed model (``.tflite``, ``.pb``, ``.pbmm``); or a folder that holds one such file
            and no checkpoint.
        which: ``auto`` takes the best on the dev set if there is one, otherwise the last.
        alphabet: overrides ``alphabet.txt``, for directories that have none.

    Raises:
        CheckpointError: nothing to read, damaged, of another program, or an alphabet that does not
            fit; all missing, unexpected and mis-shaped variables are named at once.
    """
    directory = Path(directory)
    if model_path := find_model(directory):
        check_which(which, "auto", *STATE_FILES)
        return _open_deployed(directory, open_model(model_path), alphabet)
    prefix, found_which, notes = _locate(directory, which)
    bundle = Bundle(prefix)
    bundle.check_files()
    geometry = _geometry_of_bundle(bundle)
    flags, flag_notes = _check_flags(directory / "flags.txt", geometry)
    lineage, lineage_notes = _read_lineage(directory / "lineage.json")
    step = _read_scalar(bundle, "global_step")
    return Checkpoint(
        directory=directory,
        prefix=prefix,
        which=found_which,
        step=int(step) if step is not None else 0,
        geometry=geometry,
        alphabet=_choose_alphabet(directory, geometry.n_classes, flags, alphabet),
        flags=flags,
        audio=read_audio_settings(flags, str(directory / "flags.txt")),
        lineage=lineage,
        has_adam=all(
            f"{name}/{slot}" in bundle.entries
            for name in geometry.shapes()
            for slot in ("Adam", "Adam_1")
        ),
        cudnn=any("opaque_kernel" in name for name in bundle.entries),
        mixed_precision=any(name.endswith("current_loss_scale") for name in bundle.entries),
        learning_rate=_read_scalar(bundle, "learning_rate"),
        notes=(*notes, *flag_notes, *lineage_notes),
    )


def read_weights(checkpoint: Checkpoint) -> dict[str, NDArray[np.float32]]:
    """The weights, read-only, under the names of ``geometry.shapes()`` and in their order.

    Raises:
        CheckpointError: bytes are missing or damaged.
    """
    if checkpoint.model:
        return dict(checkpoint.model.weights())
    bundle = Bundle(checkpoint.prefix)
    return {name: bundle.read(name) for name in checkpoint.geometry.shapes()}


def read_moments(checkpoint: Checkpoint) -> Moments:
    """Adam's first and second moments, read-only, under the names of the weights.

    Raises:
        CheckpointError: bytes are missing or damaged, or there are no moments.
    """
    if checkpoint.model:
        raise CheckpointError(f"{checkpoint.prefix}: a deployed model has no moments of Adam's")
    bundle = Bundle(checkpoint.prefix)
    return {
        name: (bundle.read(f"{name}/Adam"), bundle.read(f"{name}/Adam_1"))
        for name in checkpoint.geometry.shapes()
    }


def geometry_of_weights(weights: Weights) -> Geometry:
    """Return the geometry from the shapes of the weights.

    Raises:
        CheckpointError: names, shapes or types are not those of the six layers; all are named.
    """
    shapes = {name: (value.dtype, value.shape) for name, value in weights.items()}
    return find_geometry(shapes, "weights")


# Deployed models


def _open_deployed(directory: Path, model: DeployedModel, given: Alphabet | None) -> Checkpoint:
    """Return a deployed model as a checkpoint with weights but no training state."""
    geometry = model.geometry
    return Checkpoint(
        directory=directory,
        prefix=model.path,
        which="best",
        step=0,
        geometry=geometry,
        alphabet=_alphabet_of_model(model, geometry.n_classes, given),
        flags=model.settings,
        audio=read_audio_settings(model.settings, str(model.path)),
        lineage=describe_import(model),
        has_adam=False,
        cudnn=False,
        mixed_precision=False,
        learning_rate=None,
        model=model,
    )


def _alphabet_of_model(model: DeployedModel, classes: int, given: Alphabet | None) -> Alphabet:
    """The given alphabet, or else the file's own, or else ``alphabet.txt`` beside it."""
    if given is not None:
        return _fitting(given, classes, model.path, "the given alphabet (--alphabet_config_path)")
    if model.alphabet is not None:
        return _fitting(model.alphabet, classes, model.path, "its own alphabet")
    beside = model.path.with_name("alphabet.txt")
    if beside.is_file():
        return _fitting(read_alphabet(beside), classes, model.path, str(beside))
    flag = "--bytes_output_mode" if classes == BytesAlphabet().classes else "--alphabet_config_path"
    raise CheckpointError(
        f"{model.path}: does not say which {classes - 1} labels its {classes} classes are; give"
        f" them with {flag}"
    )


def has_own_alphabet(directory: Path | str) -> bool:
    """Tell whether ``open_checkpoint`` works without a given alphabet.

    Raises:
        CheckpointError: there is a deployed model, and it cannot be read.
    """
    place = find_model(Path(directory))
    own = place is not None and open_model(place).alphabet is not None
    folder = place.parent if place else Path(directory)
    return own or (folder / "alphabet.txt").exists()


# Finding the bundle


def _locate(directory: Path, which: str) -> tuple[Path, str, list[str]]:
    """Return the bundle's prefix, whether it is the best or the last, and notes."""
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such checkpoint directory")
    check_which(which, "auto", *STATE_FILES)
    for candidate in STATE_FILES:
        if which not in ("auto", candidate):
            continue
        state_file = directory / STATE_FILES[candidate]
        if state_file.is_file():
            prefix = directory / name_in_state(state_file)
            if not prefix.with_name(f"{prefix.name}.index").is_file():
                raise CheckpointError(
                    f"{state_file}: names the checkpoint {prefix.name}, but {prefix.name}.index is "
                    f"not in {directory}; copy {prefix.name}.index and .data-00000-of-00001 there"
                )
            return prefix, candidate, []
    if which != "auto":
        raise CheckpointError(
            f"{directory}: no {which} checkpoint: its state file {STATE_FILES[which]} is missing; "
            f"found {listing(directory)}"
        )
    return _locate_without_state(directory)


def _locate_without_state(directory: Path) -> tuple[Path, str, list[str]]:
    indexes = sorted(directory.glob("*.index"))
    if len(indexes) > 1:
        names = ", ".join(path.stem for path in indexes)
        raise CheckpointError(
            f"{directory}: neither best_dev_checkpoint nor checkpoint says which of these to take: "
            f'{names}; write one line model_checkpoint_path: "NAME" into best_dev_checkpoint'
        )
    if not indexes:
        raise CheckpointError(
            f"{directory}: no checkpoint: expected best_dev_checkpoint or checkpoint, and the "
            f".index and .data files that it names, or a deployed model ({', '.join(SUFFIXES)}); "
            f"found {listing(directory)}"
        )
    prefix = indexes[0].with_suffix("")
    found = "best" if prefix.name.startswith(STEMS["best"]) else "last"
    return prefix, found, [f"no state file; took the only checkpoint there is, {prefix.name}"]


# Variables


def _geometry_of_bundle(bundle: Bundle) -> Geometry:
    return find_geometry(
        {name: (entry.dtype, entry.shape) for name, entry in bundle.entries.items()},
        str(bundle.index_path),
    )


def _read_scalar(bundle: Bundle, name: str) -> float | None:
    entry = bundle.entries.get(name)
    if entry is None or entry.shape != ():
        return None
    # By way of text, to get the shortest decimal of a float32: 0.001, not 0.00100000004749.
    return float(str(bundle.read(name)))


# Alphabet, flags, lineage


def _choose_alphabet(
    directory: Path, classes: int, flags: Mapping[str, Any], given: Alphabet | None
) -> Alphabet:
    """The given alphabet, that of the flags, or that of ``alphabet.txt``; it fits the classes."""
    path = directory / "alphabet.txt"
    if given is not None:
        return _fitting(given, classes, directory, "the given alphabet (--alphabet_config_path)")
    if is_true(flags.get("bytes_output_mode", flags.get("utf8"))):
        return _fitting(
            BytesAlphabet(), classes, directory, "flags.txt says bytes_output_mode, which"
        )
    try:
        alphabet = read_alphabet(path)
    except AlphabetError as error:
        # Coqui's own alphabet.txt of a bytes model consists of raw bytes that nothing can read.
        if classes == BytesAlphabet().classes:
            return BytesAlphabet()
        advice = f"give the alphabet of its {classes - 1} labels with --alphabet_config_path"
        problem = str(error) if path.exists() else f"{directory}: no alphabet.txt"
        raise CheckpointError(f"{problem}; {advice}") from error
    return _fitting(alphabet, classes, directory, str(path))


def _fitting(alphabet: Alphabet, classes: int, directory: Path, origin: str) -> Alphabet:
    if alphabet.classes == classes:
        return alphabet
    cause = (
        "this is a bytes model (--bytes_output_mode)"
        if classes == BytesAlphabet().classes
        else "it is likely the alphabet of another model"
    )
    raise CheckpointError(
        f"{directory}: {origin} has {alphabet.size} labels, but the checkpoint's output layer has "
        f"{classes} classes ({classes - 1} labels and the blank); {cause}"
    )


def _check_flags(path: Path, geometry: Geometry) -> tuple[dict[str, Any], list[str]]:
    """Return the flags, and a note for each that contradicts the tensors."""
    flags = read_flags(path)
    for name, supported in _ONLY_SETTINGS.items():
        if flags.get(name, supported) != supported:
            raise CheckpointError(
                f"{path}: trained with --{name} {flags[name]}; only {supported} is supported"
            )
    notes = []
    if flags.get("n_hidden", geometry.n_hidden) != geometry.n_hidden:
        notes.append(
            f"flags.txt says n_hidden {flags['n_hidden']}, the weights {geometry.n_hidden}; "
            "the weights are right"
        )
    if is_true(flags.get("layer_norm", geometry.layer_norm)) != geometry.layer_norm:
        notes.append(
            f"flags.txt says layer_norm {flags['layer_norm']}, the weights {geometry.layer_norm}; "
            "the weights are right"
        )
    return flags, notes


def _read_lineage(path: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the lineage; it is only informative, so a damaged one is a note, not an error."""
    if not path.is_file():
        return None, []
    try:
        return dict(read_json(path)), []
    except (OSError, ValueError, TypeError):
        return None, ["lineage.json cannot be read"]


# Writing
