"""Write checkpoint directories in Coqui STT's layout, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from stt_model.base import CheckpointError, atomic_write
from stt_model.checkpoint.bundle import Bundle
from stt_model.checkpoint.bundle_writer import Variable, blocks_of, write_bundle
from stt_model.checkpoint.directory import geometry_of_weights, open_checkpoint
from stt_model.checkpoint.flags import read_flags
from stt_model.checkpoint.geometry import (
    Geometry,
    shorten_names,
)
from stt_model.checkpoint.layout import (
    FRESH_BETA_POWERS,
    STATE_FILES,
    STEMS,
    Moments,
    Weights,
    check_which,
    name_in_state,
    present,
    state_path,
)
from stt_model.text import Alphabet, write_alphabet


def remove_leftovers(directory: Path, keep: Collection[str]) -> None:
    """Remove the checkpoints that a killed run was writing or replacing.

    These have the state of a run but are neither the best, nor the last, nor in ``keep``.
    """
    for state in directory.glob("*.training.json"):
        name = state.name.removesuffix(".training.json")
        if name not in _names_in_use(directory) | set(keep):
            _remove_bundle(directory, name)


def write_checkpoint(
    directory: Path | str,
    weights: Weights,
    alphabet: Alphabet,
    *,
    which: str = "best",
    step: int = 0,
    learning_rate: float = 0.001,
    adam: Moments | None = None,
    beta_powers: tuple[float, float] = FRESH_BETA_POWERS,
    flags: Mapping[str, Any] | None = None,
    lineage: Mapping[str, Any] | None = None,
    training_state: Mapping[str, Any] | None = None,
    keep: Collection[Path] = (),
) -> Path:
    """Write a checkpoint that this project and Coqui STT 1.4 load, and return its prefix.

    Concurrent readers find either the old checkpoint or the new one, complete; the old files are
    removed last. The written files are read back and their checksums compared.

    Args:
        directory: created if needed; may hold checkpoints of the same alphabet and geometry.
        weights: float32, under the names of ``Geometry.shapes()``.
        which: ``best`` writes ``best_dev-STEP``, ``last`` writes ``train-STEP``.
        adam: first and second moments of each weight; without them Adam starts from zero.
        beta_powers: Adam's beta 1 and beta 2, to the power of the number of updates plus one.
        flags: added to ``flags.txt``, which always holds the true geometry and mode.
        lineage: replaces ``lineage.json``; without it that file is unchanged.
        training_state: JSON that appears at ``state_path`` together with the checkpoint.
        keep: prefixes whose files stay even when they are no longer the best or the last.

    Raises:
        CheckpointError: weights that are not the six layers or not finite, an alphabet that does
            not fit them, a directory of another model, or a disk that changed the bytes.
    """
    directory = Path(directory)
    check_which(which, *STATE_FILES)
    geometry = geometry_of_weights(weights)
    _check_finite(weights)
    _check_moments(geometry, adam)
    check_save_directory(directory, geometry, alphabet)
    variables = _variables(weights, adam, learning_rate, beta_powers, step)

    name = _free_name(directory, f"{STEMS[which]}-{step}")
    kept = {prefix.name for prefix in keep if prefix.parent.resolve() == directory.resolve()}
    try:
        with _staging(directory, which) as staging:
            write_bundle(staging / name, variables)
            _compare_bundle(staging / name, variables)
            if training_state is not None:
                _write_json(state_path(staging / name), training_state)
            _write_descriptions(directory, geometry, alphabet, flags, lineage)
            _publish(directory, which, staging / name, kept)
    except OSError as error:
        raise CheckpointError(
            f"{directory}: cannot write the checkpoint: {error.strerror}"
        ) from error
    return directory / name


def check_save_directory(directory: Path | str, geometry: Geometry, alphabet: Alphabet) -> None:
    """Check that a checkpoint can be written there without orphaning existing ones.

    Raises:
        CheckpointError: the alphabet does not fit the geometry, or the directory holds a checkpoint
            of another geometry or alphabet, or one that cannot be read.
    """
    directory = Path(directory)
    if alphabet.classes != geometry.n_classes:
        raise CheckpointError(
            f"an alphabet of {alphabet.size} labels needs {alphabet.classes} classes (labels and "
            f"blank), but the output layer has {geometry.n_classes}"
        )
    advice = "save into another, empty directory"
    # Without an alphabet file, readers of that checkpoint give the alphabet.
    given = None if (directory / "alphabet.txt").exists() else alphabet
    for which in present(directory):
        try:
            found = open_checkpoint(directory, which, given)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; or {advice}") from error
        if (found.geometry, found.alphabet) != (geometry, alphabet):
            other = "geometry" if found.geometry != geometry else "alphabet"
            raise CheckpointError(
                f"{directory}: holds {found.prefix.name}, a checkpoint of another {other}; {advice}"
            )


def _check_finite(weights: Weights) -> None:
    broken = [
        name
        for name, values in weights.items()
        if not all(np.isfinite(block).all() for block in blocks_of(values))
    ]
    if broken:
        raise CheckpointError(
            f"weights that are not finite, nothing was written: {shorten_names(broken)}"
        )


def _check_moments(geometry: Geometry, adam: Moments | None) -> None:
    if adam is None:
        return
    found = {name: tuple(values.shape for values in moments) for name, moments in adam.items()}
    expected = {name: (shape, shape) for name, shape in geometry.shapes().items()}
    wrong = sorted(
        name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
    )
    if wrong:
        raise CheckpointError(
            f"Adam's moments do not fit the weights, nothing was written: {shorten_names(wrong)}"
        )


def _variables(
    weights: Weights,
    adam: Moments | None,
    learning_rate: float,
    beta_powers: tuple[float, float],
    step: int,
) -> dict[str, Variable]:
    """Everything to save, under Coqui's names."""
    variables: dict[str, Variable] = dict(weights)
    for name, moments in (adam or {}).items():
        for slot, values in zip(("Adam", "Adam_1"), moments, strict=True):
            variables[f"{name}/{slot}"] = values
    variables["beta1_power"] = np.asarray(beta_powers[0], np.float32)
    variables["beta2_power"] = np.asarray(beta_powers[1], np.float32)
    variables["learning_rate"] = np.asarray(learning_rate, np.float32)
    variables["global_step"] = np.asarray(step, np.int64)
    return variables


@contextmanager
def _staging(directory: Path, which: str) -> Iterator[Path]:
    """Yield a temporary folder inside ``directory``; leftovers of killed processes are removed."""
    folder = directory / f".writing-{STEMS[which]}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_name(directory: Path, name: str) -> str:
    """Return ``name``, with a number added if a bundle has it: none in use is overwritten."""
    candidate, number = name, 1
    while (directory / f"{candidate}.index").exists():
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _compare_bundle(prefix: Path, variables: Mapping[str, Variable]) -> None:
    """Read a bundle back and compare it with the variables in memory."""
    bundle = Bundle(prefix)
    for name, values in variables.items():
        written = bundle.entries.get(name)
        if not written or (written.dtype, written.shape) != (values.dtype, values.shape):
            raise CheckpointError(f"{prefix}: {name} reads back differently from what was written")
        deque(bundle.blocks(name), maxlen=0)


def _write_descriptions(
    directory: Path,
    geometry: Geometry,
    alphabet: Alphabet,
    flags: Mapping[str, Any] | None,
    lineage: Mapping[str, Any] | None,
) -> None:
    # Coqui cannot read an alphabet file of a bytes model; it uses --bytes_output_mode.
    if not alphabet.is_bytes:
        write_alphabet(alphabet, directory / "alphabet.txt")
    truth = {
        "n_hidden": geometry.n_hidden,
        "layer_norm": geometry.layer_norm,
        "bytes_output_mode": alphabet.is_bytes,
    }
    _write_json(
        directory / "flags.txt", {**read_flags(directory / "flags.txt"), **(flags or {}), **truth}
    )
    if lineage is not None:
        _write_json(directory / "lineage.json", lineage)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_write(path) as beside:
        beside.write_text(
            json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def _publish(directory: Path, which: str, staged: Path, keep: set[str]) -> None:
    """Rename the staged bundle, then point the state file to it, then remove the old one."""
    state_file = directory / STATE_FILES[which]
    old_name = name_in_state(state_file) if state_file.is_file() else None
    # The index is renamed last, because it makes the bundle exist; the state of the run first,
    # because it identifies leftovers.
    order = {".json": 0, ".index": 2}
    for path in sorted(staged.parent.iterdir(), key=lambda path: order.get(path.suffix, 1)):
        path.replace(directory / path.name)
    with atomic_write(state_file) as beside:
        beside.write_text(
            f'model_checkpoint_path: "{staged.name}"\n'
            f'all_model_checkpoint_paths: "{staged.name}"\n',
            encoding="utf-8",
        )
    if old_name is not None and old_name not in keep | _names_in_use(directory):
        _remove_bundle(directory, old_name)


def _remove_bundle(directory: Path, name: str) -> None:
    """Remove a bundle's files, the state of its run last, because it identifies the others."""
    files = [path for path in directory.iterdir() if path.name.startswith(f"{name}.")]
    for path in sorted(files, key=lambda path: path.suffix == ".json"):
        path.unlink()


def _names_in_use(directory: Path) -> set[str]:
    return {
        name_in_state(directory / state_file)
        for state_file in STATE_FILES.values()
        if (directory / state_file).is_file()
    }
