"""Fit a checkpoint to another alphabet: replace its last layers, or reorder its outputs.

Layers are chosen by exact name, and kept ones are bitwise unchanged. New weights are initialised as
in Coqui STT: Glorot-uniform, biases zero.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stt_model.base import SurgeryError, atomic_directory, usable_memory
from stt_model.checkpoint.directory import open_checkpoint, read_weights, weights_digest
from stt_model.checkpoint.geometry import LSTM, Geometry
from stt_model.checkpoint.layout import Weights
from stt_model.checkpoint.lineage import describe_run
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.corpus import USUAL_AUDIO, AudioSettings
from stt_model.text import Alphabet

LAYERS = ("layer_1", "layer_2", "layer_3", "lstm", "layer_5", "layer_6")
"""From input to output; ``drop_source_layers`` counts from the end."""

_OUTPUT_WEIGHTS = "layer_6/weights"
_OUTPUT_BIAS = "layer_6/bias"
_BYTES_A_PARAMETER = 16
"""Bytes per weight in training: float32 for the weight, its gradient and Adam's two moments."""


@dataclass(frozen=True)
class Surgery:
    """What was done to a checkpoint's layers."""

    mode: Literal["fine-tune", "transfer", "scratch"]
    dropped_layers: tuple[str, ...]
    kept_layers: tuple[str, ...]
    seed: int | None
    """The seed of the new weights; None if there are none."""
    warm_started: tuple[str, ...] = ()
    """Characters whose outputs were kept from the source, besides the blank."""
    reordered: bool = False
    """Whether the outputs were permuted to another order of the same labels."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def variables_of(layer: str, geometry: Geometry) -> tuple[str, ...]:
    """Names of one layer's variables, including its layer normalisation.

    Raises:
        SurgeryError: no such layer.
    """
    if layer not in LAYERS:
        raise SurgeryError(f"no layer {layer!r}; expected one of {', '.join(LAYERS)}")
    scope = LSTM if layer == "lstm" else layer
    return tuple(name for name in geometry.shapes() if name.startswith(f"{scope}/"))


def initialise(
    geometry: Geometry, seed: int, layers: Sequence[str] = LAYERS
) -> dict[str, NDArray[np.float32]]:
    """Weights to train from: Glorot-uniform, biases zero, layer normalisation the identity.

    Each variable has its own random stream, so its values depend only on seed, name and shape.

    Raises:
        SurgeryError: a negative seed.
    """
    if seed < 0:
        raise SurgeryError(f"the seed must be 0 or more, found {seed}")
    shapes = geometry.shapes()
    names = [name for layer in layers for name in variables_of(layer, geometry)]
    return {name: _initial(name, shapes[name], seed) for name in names}


def _initial(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    if len(shape) == 1:
        return np.full(shape, 1 if name.endswith("/gamma") else 0, np.float32)
    # Coqui leaves its LSTM kernel to TensorFlow's default, which is Glorot-uniform over all of it.
    limit = math.sqrt(6 / sum(shape))
    stream = np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4")
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(map(int, stream)))
    generator = np.random.Generator(np.random.Philox(sequence))
    return (generator.random(shape, np.float32) * 2 - 1) * np.float32(limit)


def drop_layers(
    weights: Weights,
    geometry: Geometry,
    source_alphabet: Alphabet,
    target_alphabet: Alphabet,
    *,
    drop_source_layers: int,
    seed: int,
    warm_start: bool = True,
) -> tuple[dict[str, NDArray[np.float32]], Geometry, Surgery]:
    """Replace the last layers by new ones, the last of all sized to the target alphabet.

    Args:
        weights: of the source, of ``geometry``.
        geometry: of the source.
        source_alphabet: the labels of the source's outputs.
        target_alphabet: the labels of the new outputs.
        drop_source_layers: how many, counted from the output: 1 to 5.
        seed: of the new weights.
        warm_start: where only the output layer is dropped, keep the source's outputs of the
            characters that both alphabets have, and of the blank.

    Returns:
        The new weights, their geometry, and what was done.

    Raises:
        SurgeryError: the number of layers is out of range, an alphabet is not the source's, or the
            source is a bytes model, which can write every language already.
    """
    if not 1 <= drop_source_layers < len(LAYERS):
        raise SurgeryError(
            f"--drop_source_layers: expected 1 to {len(LAYERS) - 1} (of {len(LAYERS)} layers, "
            f"counted from the output), found {drop_source_layers}"
        )
    if source_alphabet.is_bytes:
        raise SurgeryError(
            "the checkpoint is a bytes model, whose outputs fit every language: fine-tune it, "
            "without dropping layers"
        )
    _check_source(geometry, source_alphabet)
    target = replace(geometry, n_classes=target_alphabet.classes)
    kept, dropped = LAYERS[:-drop_source_layers], LAYERS[-drop_source_layers:]
    result = initialise(target, seed, dropped)
    for layer in kept:
        for name in variables_of(layer, target):
            result[name] = weights[name]
    shared: tuple[str, ...] = ()
    if warm_start and drop_source_layers == 1:
        shared = _warm_start(result, weights, source_alphabet, target_alphabet)
    surgery = Surgery("transfer", dropped, kept, seed, warm_started=shared)
    return result, target, surgery


def _warm_start(
    result: dict[str, NDArray[np.float32]],
    weights: Weights,
    source: Alphabet,
    target: Alphabet,
) -> tuple[str, ...]:
    """Copy the outputs of shared characters and the blank to ``result``; return the characters."""
    # Bytes are not characters: one may be only a part of a character.
    shared = () if target.is_bytes else tuple(c for c in target.labels if c in source.labels)
    columns = {target.labels.index(c): source.labels.index(c) for c in shared}
    columns[target.blank] = source.blank
    to, of = list(columns.keys()), list(columns.values())
    result[_OUTPUT_WEIGHTS][:, to] = weights[_OUTPUT_WEIGHTS][:, of]
    result[_OUTPUT_BIAS][to] = weights[_OUTPUT_BIAS][of]
    return shared


def fit_output_order(
    weights: Weights, source_alphabet: Alphabet, target_alphabet: Alphabet
) -> dict[str, NDArray[np.float32]]:
    """Return the weights with their outputs in the order of the target alphabet.

    Raises:
        SurgeryError: the alphabets have different labels, or the weights other outputs.
    """
    same_kind = source_alphabet.is_bytes == target_alphabet.is_bytes
    differing = set(source_alphabet.labels) ^ set(target_alphabet.labels)
    if differing or not same_kind:
        what = ", ".join(map(repr, sorted(differing)[:8])) if same_kind else "bytes and characters"
        raise SurgeryError(
            f"fine-tuning needs the labels of the checkpoint, in any order; these differ: {what}; "
            "transfer instead (--drop_source_layers 1)"
        )
    outputs = weights[_OUTPUT_BIAS].shape[0]
    if outputs != source_alphabet.classes:
        raise SurgeryError(_not_the_source(outputs, source_alphabet))
    order = [source_alphabet.labels.index(label) for label in target_alphabet.labels]
    order.append(source_alphabet.blank)
    return {
        **weights,
        _OUTPUT_WEIGHTS: weights[_OUTPUT_WEIGHTS][:, order],
        _OUTPUT_BIAS: weights[_OUTPUT_BIAS][order],
    }


def _check_source(geometry: Geometry, alphabet: Alphabet) -> None:
    if geometry.n_classes != alphabet.classes:
        raise SurgeryError(_not_the_source(geometry.n_classes, alphabet))


def _not_the_source(classes: int, alphabet: Alphabet) -> str:
    return (
        f"the source alphabet of {alphabet.size} labels is not the checkpoint's, whose output "
        f"layer has {classes} classes ({classes - 1} labels and the blank)"
    )


def operate(
    source_dir: Path | str,
    output_dir: Path | str,
    *,
    target_alphabet: Alphabet,
    mode: str,
    which: str = "auto",
    drop_source_layers: int = 1,
    seed: int = 4568,
    warm_start: bool = True,
    source_alphabet: Alphabet | None = None,
) -> Surgery:
    """Make the initial checkpoint of training for the target alphabet.

    The result is a best checkpoint at step 0 with ``lineage.json``. Adam's moments and the learning
    rate of the source are not copied: they belong to the source's data.

    Args:
        source_dir: a checkpoint directory that ``open_checkpoint`` reads.
        output_dir: must be empty or missing; is made whole or not at all.
        target_alphabet: the labels of the new checkpoint.
        mode: ``fine-tune`` keeps all weights, ``transfer`` replaces the last layers.
        which: see ``open_checkpoint``.
        drop_source_layers: how many, in a transfer.
        seed: of the new layers' weights.
        warm_start: see ``drop_layers``.
        source_alphabet: for a source without ``alphabet.txt``.

    Raises:
        CheckpointError: the source cannot be read or the result cannot be written.
        SurgeryError: the request is impossible, or ``output_dir`` is not empty.
    """
    _check_output(Path(output_dir))
    source = open_checkpoint(source_dir, which, source_alphabet)
    weights = read_weights(source)
    result: Weights
    if mode == "transfer":
        result, _, surgery = drop_layers(
            weights,
            source.geometry,
            source.alphabet,
            target_alphabet,
            drop_source_layers=drop_source_layers,
            seed=seed,
            warm_start=warm_start,
        )
    elif mode == "fine-tune":
        result = fit_output_order(weights, source.alphabet, target_alphabet)
        reordered = source.alphabet != target_alphabet
        surgery = Surgery("fine-tune", (), LAYERS, None, reordered=reordered)
    else:
        raise SurgeryError(f"unknown mode {mode!r}; expected fine-tune or transfer")
    origin = {
        "name": source.prefix.name,
        "step": source.step,
        "digest": weights_digest(weights),
        "alphabet_digest": source.alphabet.digest,
        "lineage": source.lineage,
    }
    _write(output_dir, result, target_alphabet, surgery, origin, asdict(source.audio))
    return surgery


def start_from_scratch(
    output_dir: Path | str,
    alphabet: Alphabet,
    geometry: Geometry,
    *,
    seed: int,
    audio: AudioSettings = USUAL_AUDIO,
) -> Surgery:
    """Make a checkpoint of new weights, for training without a source.

    Args:
        output_dir: must be empty or missing; is made whole or not at all.
        alphabet: of ``geometry.n_classes`` classes.
        geometry: the sizes of the network.
        seed: of the weights.
        audio: how its features will be cut out of sound.

    Raises:
        CheckpointError: alphabet and geometry do not fit, or the result cannot be written.
        SurgeryError: a negative seed, ``output_dir`` is not empty, or this machine cannot train it.
    """
    _check_output(Path(output_dir))
    _check_memory(geometry)
    surgery = Surgery("scratch", LAYERS, (), seed)
    _write(output_dir, initialise(geometry, seed), alphabet, surgery, None, asdict(audio))
    return surgery


def _check_memory(geometry: Geometry) -> None:
    """Refuse a network that is too large to train in memory, before it is made."""
    parameters = sum(map(math.prod, geometry.shapes().values()))
    needed, there = _BYTES_A_PARAMETER * parameters, usable_memory()
    if needed > there:
        raise SurgeryError(
            f"--n_hidden {geometry.n_hidden}: expected a network that this machine can train in its"
            f" {there / 2**30:.0f} GiB of memory, found one that takes {needed / 2**30:.0f} GiB or"
            " more; give a smaller number (released models have 2048)"
        )


def _check_output(output_dir: Path) -> None:
    if output_dir.exists() and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise SurgeryError(f"{output_dir}: expected an empty or new directory for the result")


def _write(
    output_dir: Path | str,
    weights: Weights,
    alphabet: Alphabet,
    surgery: Surgery,
    origin: Mapping[str, Any] | None,
    flags: Mapping[str, Any] | None = None,
) -> None:
    lineage = {
        **surgery.to_dict(),
        "source": origin,
        **describe_run(),
    }
    with atomic_directory(output_dir) as beside:
        write_checkpoint(beside, weights, alphabet, flags=flags, lineage=lineage)
