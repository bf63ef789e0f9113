"""Checkpoint directories in Coqui STT's layout: read, check, write.

A directory holds ``best_dev_checkpoint`` (best on the dev set) and ``checkpoint`` (last), state
files that name a bundle of variables each, and beside them ``alphabet.txt``, ``flags.txt`` and,
ours, ``lineage.json``. Reading needs numpy only; writing calls TensorFlow's own saver.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.base import AlphabetError, CheckpointError, atomic_write, read_json
from stt_model.checkpoint.bundle import Bundle
from stt_model.checkpoint.bundle_writer import Variable, blocks_of, write_bundle
from stt_model.checkpoint.flags import is_true, read_audio_settings, read_flags
from stt_model.checkpoint.formats.model import DeployedModel
from stt_model.checkpoint.formats.registry import open_model
from stt_model.checkpoint.formats.search import SUFFIXES, find_model
from stt_model.checkpoint.geometry import (
    DENSE_LAYERS,
    LSTM,
    LSTM_BIAS,
    LSTM_KERNEL,
    NORMALISED_LAYERS,
    Geometry,
    find_geometry,
    shorten_names,
)
from stt_model.checkpoint.lineage import describe_import
from stt_model.corpus import USUAL_AUDIO, AudioSettings
from stt_model.text import Alphabet, BytesAlphabet, read_alphabet, write_alphabet

__all__ = [
    "DENSE_LAYERS",
    "LSTM",
    "LSTM_BIAS",
    "LSTM_KERNEL",
    "NORMALISED_LAYERS",
    "Checkpoint",
    "Geometry",
    "Moments",
    "Weights",
    "check_save_directory",
    "geometry_of_weights",
    "has_own_alphabet",
    "open_checkpoint",
    "read_moments",
    "read_weights",
    "remove_leftovers",
    "state_path",
    "weights_digest",
    "write_checkpoint",
]

Weights = Mapping[str, NDArray[np.float32]]
Moments = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

_STATE_FILES: dict[str, str] = {"best": "best_dev_checkpoint", "last": "checkpoint"}
_STEMS: dict[str, str] = {"best": "best_dev", "last": "train"}
_FRESH_BETA_POWERS = (0.9, 0.999)
_STATE_PATH = re.compile(r"""(?<!\w)model_checkpoint_path\s*:\s*["'](?P<path>[^"']*)["']""")
# Shapes cannot tell this setting, and another value gives wrong transcripts without an error.
_ONLY_SETTINGS = {"relu_clip": 20}


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint without reading its weights."""

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
    """Oddities that did not stop the reading, one line each."""
    audio: AudioSettings = USUAL_AUDIO
    """How its features are cut out of sound."""
    model: DeployedModel | None = None
    """The deployed model that it was read out of; None for a checkpoint in Coqui's layout."""

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
        """``weights_digest`` of its weights, which are read for it."""
        return weights_digest(read_weights(self))


def weights_digest(weights: Weights) -> str:
    """SHA-256, in hexadecimal, of names, shapes and values, whatever file they lie in."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = np.ascontiguousarray(weights[name], dtype="<f4")
        digest.update(json.dumps([name, values.shape]).encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def open_checkpoint(
    directory: Path | str,
    which: str = "auto",
    alphabet: Alphabet | None = None,
) -> Checkpoint:
    """Find and check a checkpoint without reading its weights or importing TensorFlow.

    This is the one door for everything that weights can come from.

    Args:
        directory: a checkpoint directory of Coqui STT 1.x, DeepSpeech 0.7 to 0.9, or this project;
            a deployed model (``.tflite``, ``.pb``, ``.pbmm``); or a folder that holds one such file
            and no checkpoint.
        which: ``auto`` takes the best on the dev set and, without one, the last.
        alphabet: overrides ``alphabet.txt``, for directories that have none.

    Raises:
        CheckpointError: nothing to read, damaged, foreign, or an alphabet that does not fit; all
            missing, unexpected and mis-shaped variables are named at once.
    """
    directory = Path(directory)
    if model_path := find_model(directory):
        _check_which(which, "auto", *_STATE_FILES)
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


def state_path(prefix: Path) -> Path:
    """Where the state of the run that wrote a checkpoint lies."""
    return prefix.with_name(f"{prefix.name}.training.json")


def remove_leftovers(directory: Path, keep: Collection[str]) -> None:
    """Remove the checkpoints that a run was killed while writing or replacing.

    They are those with the state of a run that are neither the best, nor the last, nor in ``keep``.
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
    beta_powers: tuple[float, float] = _FRESH_BETA_POWERS,
    flags: Mapping[str, Any] | None = None,
    lineage: Mapping[str, Any] | None = None,
    training_state: Mapping[str, Any] | None = None,
    keep: Collection[Path] = (),
) -> Path:
    """Write a checkpoint that this project and Coqui STT 1.4 load, and return its prefix.

    Whoever reads the directory meanwhile finds the old checkpoint or the new one, complete; the
    files of the old one go last. What was written is read back and compared by its checksums.

    Args:
        directory: made if need be; may hold checkpoints of the same alphabet and geometry.
        weights: float32, under the names of ``Geometry.shapes()``.
        which: ``best`` writes ``best_dev-STEP``, ``last`` writes ``train-STEP``.
        adam: first and second moments of each weight; without them a reader starts Adam afresh.
        beta_powers: Adam's beta 1 and beta 2, to the power of the updates done plus one.
        flags: added to those in ``flags.txt``, which always tells the true geometry and mode.
        lineage: replaces ``lineage.json``; without it that file is left as it is.
        training_state: JSON that appears at ``state_path`` together with the checkpoint.
        keep: prefixes whose files stay even when they are no longer the best or the last.

    Raises:
        CheckpointError: weights that are not the six layers or not finite, an alphabet that does
            not fit them, a directory of another model, or a disk that did not keep the bytes.
    """
    directory = Path(directory)
    _check_which(which, *_STATE_FILES)
    geometry = geometry_of_weights(weights)
    _check_finite(weights)
    _check_moments(geometry, adam)
    check_save_directory(directory, geometry, alphabet)
    variables = _variables(weights, adam, learning_rate, beta_powers, step)

    name = _free_name(directory, f"{_STEMS[which]}-{step}")
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
    """Check that a checkpoint can be written there without orphaning those that are there.

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
    # Where there is no alphabet file, whoever reads that checkpoint gives the alphabet.
    given = None if (directory / "alphabet.txt").exists() else alphabet
    for which in _present(directory):
        try:
            found = open_checkpoint(directory, which, given)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; or {advice}") from error
        if (found.geometry, found.alphabet) != (geometry, alphabet):
            other = "geometry" if found.geometry != geometry else "alphabet"
            raise CheckpointError(
                f"{directory}: holds {found.prefix.name}, a checkpoint of another {other}; {advice}"
            )


def geometry_of_weights(weights: Weights) -> Geometry:
    """The geometry that the weights' shapes tell.

    Raises:
        CheckpointError: names, shapes or types are not those of the six layers; all are named.
    """
    shapes = {name: (value.dtype, value.shape) for name, value in weights.items()}
    return find_geometry(shapes, "weights")


# Deployed models


def _open_deployed(directory: Path, model: DeployedModel, given: Alphabet | None) -> Checkpoint:
    """A deployed model as a checkpoint that has weights and nothing of their training."""
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
    """The alphabet given, else the file's own, else that of ``alphabet.txt`` beside it."""
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
    """Tell whether ``open_checkpoint`` does without an alphabet that is given.

    Raises:
        CheckpointError: there is a deployed model, and it cannot be read.
    """
    place = find_model(Path(directory))
    own = place is not None and open_model(place).alphabet is not None
    folder = place.parent if place else Path(directory)
    return own or (folder / "alphabet.txt").exists()


# Finding the bundle


def _check_which(which: str, *allowed: str) -> None:
    if which not in allowed:
        raise CheckpointError(f"which checkpoint: expected {' or '.join(allowed)}, found {which!r}")


def _locate(directory: Path, which: str) -> tuple[Path, str, list[str]]:
    """The bundle's prefix, whether it is the best or the last, and notes."""
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such checkpoint directory")
    _check_which(which, "auto", *_STATE_FILES)
    for candidate in _STATE_FILES:
        if which not in ("auto", candidate):
            continue
        state_file = directory / _STATE_FILES[candidate]
        if state_file.is_file():
            prefix = directory / _name_in_state(state_file)
            if not prefix.with_name(f"{prefix.name}.index").is_file():
                raise CheckpointError(
                    f"{state_file}: names the checkpoint {prefix.name}, but {prefix.name}.index is "
                    f"not in {directory}; copy {prefix.name}.index and .data-00000-of-00001 there"
                )
            return prefix, candidate, []
    if which != "auto":
        raise CheckpointError(
            f"{directory}: no {which} checkpoint: its state file {_STATE_FILES[which]} is missing; "
            f"found {_listing(directory)}"
        )
    return _locate_without_state(directory)


def _present(directory: Path) -> list[str]:
    """What ``open_checkpoint`` finds in a directory, which may not exist."""
    whiches = [which for which, name in _STATE_FILES.items() if (directory / name).is_file()]
    return whiches or (["auto"] if any(directory.glob("*.index")) else [])


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
            f"found {_listing(directory)}"
        )
    prefix = indexes[0].with_suffix("")
    found = "best" if prefix.name.startswith(_STEMS["best"]) else "last"
    return prefix, found, [f"no state file; took the only checkpoint there is, {prefix.name}"]


def _listing(directory: Path) -> str:
    names = sorted(path.name for path in directory.iterdir())
    return shorten_names(names) if names else "an empty directory"


def _name_in_state(state_file: Path) -> str:
    """Base name of the checkpoint that a state file names; the path may be another machine's."""
    try:
        text = state_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{state_file}: cannot be read as text ({error})") from error
    match = _STATE_PATH.search(text)
    name = PureWindowsPath(match["path"]).name if match else ""
    if not name or not name.isprintable():
        raise CheckpointError(
            f'{state_file}: expected a line model_checkpoint_path: "NAME-STEP", found '
            f"{text[:60]!r}; write that line or remove the file"
        )
    return name


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
    # By way of text, which is the shortest that tells a float32: 0.001, not 0.00100000004749.
    return float(str(bundle.read(name)))


# Alphabet, flags, lineage


def _choose_alphabet(
    directory: Path, classes: int, flags: Mapping[str, Any], given: Alphabet | None
) -> Alphabet:
    """The alphabet given, that of the flags, or that of ``alphabet.txt``; it fits the classes."""
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
        # Coqui's own alphabet.txt of a bytes model is raw bytes that nothing can read back.
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
    """The flags, and a note for each that the tensors contradict."""
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
    """The lineage, which only informs: a damaged one is a note, not an error."""
    if not path.is_file():
        return None, []
    try:
        return dict(read_json(path)), []
    except (OSError, ValueError, TypeError):
        return None, ["lineage.json cannot be read"]


# Writing


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
    """Everything to save, as Coqui names it."""
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
    """A folder inside ``directory``, gone at the end, as is one that a killed process left."""
    folder = directory / f".writing-{_STEMS[which]}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_name(directory: Path, name: str) -> str:
    """``name``, or with a number more where a bundle has it: one in use is never overwritten."""
    candidate, number = name, 1
    while (directory / f"{candidate}.index").exists():
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _compare_bundle(prefix: Path, variables: Mapping[str, Variable]) -> None:
    """Read a bundle back; its checksums are of what was in memory."""
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
    # A bytes model has no alphabet file that Coqui could read; it goes by --bytes_output_mode.
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
    """Give the staged bundle its name, then point the state file at it, then drop the old one."""
    state_file = directory / _STATE_FILES[which]
    old_name = _name_in_state(state_file) if state_file.is_file() else None
    # The index goes last, because a bundle is there once its index is; the state of the run first,
    # because it tells whose a bundle is that was left behind.
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
    """Remove a bundle's files, the state of its run last, because that tells of the others."""
    files = [path for path in directory.iterdir() if path.name.startswith(f"{name}.")]
    for path in sorted(files, key=lambda path: path.suffix == ".json"):
        path.unlink()


def _names_in_use(directory: Path) -> set[str]:
    return {
        _name_in_state(directory / state_file)
        for state_file in _STATE_FILES.values()
        if (directory / state_file).is_file()
    }
