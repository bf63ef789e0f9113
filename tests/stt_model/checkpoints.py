"""Tiny checkpoints in every shape that Coqui STT and DeepSpeech leave them in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from stt_model.checkpoint.geometry import Geometry
from stt_model.text.alphabet import Alphabet, BytesAlphabet, CharacterAlphabet
from stt_model.text.alphabet_file import write_alphabet

ENGLISH = CharacterAlphabet(" abcdefghijklmnopqrstuvwxyz'")
GERMAN = CharacterAlphabet(" abcdefghijklmnopqrstuvwxyzäöüß")
BYTES = BytesAlphabet()
N_HIDDEN = 8

OPAQUE_SLOTS = ("cudnn_lstm/opaque_kernel/Adam", "cudnn_lstm/opaque_kernel/Adam_1")


def geometry_for(alphabet: Alphabet = ENGLISH, layer_norm: bool = False) -> Geometry:
    return Geometry(N_HIDDEN, alphabet.classes, layer_norm)


def random_weights(geometry: Geometry, seed: int = 0) -> dict[str, np.ndarray]:
    """No zeros and no two alike, so that no mix-up goes unseen."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(0, 0.1, shape).astype(np.float32)
        for name, shape in geometry.shapes().items()
    }


def save_variables(prefix: Path, variables: Mapping[str, Any]) -> None:
    """Through TensorFlow's own saver, whatever the names."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.convert_to_tensor(value) for value in variables.values()],
    )


def training_variables(
    weights: Mapping[str, np.ndarray],
    *,
    step: int = 7,
    adam: bool = True,
    cudnn: bool = False,
    mixed_precision: bool = False,
    learning_rate: float | None = 0.001,
) -> dict[str, np.ndarray]:
    """The weights and all that training of the given kind stores beside them."""
    variables: dict[str, Any] = dict(weights)
    if adam:
        for name, values in weights.items():
            if not (cudnn and name.startswith("cudnn_lstm/")):
                variables[f"{name}/Adam"] = values * 0.5
                variables[f"{name}/Adam_1"] = values**2
    if cudnn:
        variables |= {name: np.ones(40, np.float32) for name in OPAQUE_SLOTS}
    if mixed_precision:
        variables |= {"current_loss_scale": np.float32(32768), "good_steps": np.int32(12)}
    if learning_rate is not None:
        variables["learning_rate"] = np.float32(learning_rate)
    return variables | {
        "beta1_power": np.float32(0.9),
        "beta2_power": np.float32(0.999),
        "global_step": np.int64(step),
    }


def write_state(
    directory: Path, path: str, which: str = "best", kept: tuple[str, ...] = ()
) -> None:
    name = {"best": "best_dev_checkpoint", "last": "checkpoint"}[which]
    lines = [f'model_checkpoint_path: "{path}"']
    lines += [f'all_model_checkpoint_paths: "{other}"' for other in (*kept, path)]
    (directory / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def json_flags(alphabet: Alphabet = ENGLISH, layer_norm: bool = False) -> str:
    """A little of what Coqui STT 1.x writes."""
    return json.dumps(
        {
            "train_files": ["a.csv"],
            "test_files": None,
            "audio_sample_rate": 16000,
            "feature_win_len": 32,
            "feature_win_step": 20,
            "relu_clip": 20.0,
            "n_hidden": N_HIDDEN,
            "layer_norm": layer_norm,
            "bytes_output_mode": alphabet.is_bytes,
            "alphabet_config_path": "" if alphabet.is_bytes else "alphabet.txt",
        },
        indent=2,
    )


def line_flags(alphabet: Alphabet = ENGLISH, layer_norm: bool = False) -> str:
    """A little of what DeepSpeech writes."""
    return "\n".join(
        (
            "--train_files=a.csv",
            "--test_files=",
            "--audio_sample_rate=16000",
            "--feature_win_len=32",
            "--relu_clip=20.0",
            f"--n_hidden={N_HIDDEN}",
            "--layer_norm" if layer_norm else "--nolayer_norm",
            "--bytes_output_mode" if alphabet.is_bytes else "--nobytes_output_mode",
            "--normalize_sample_rate",
            "",
        )
    )


def make_checkpoint(
    directory: Path,
    *,
    alphabet: Alphabet = ENGLISH,
    layer_norm: bool = False,
    seed: int = 0,
    which: str = "best",
    step: int = 7,
    flags: str | None = None,
    **training: Any,
) -> dict[str, np.ndarray]:
    """A whole directory as Coqui STT leaves it (``training``: see ``training_variables``).

    Returns its weights. With ``learning_rate=None`` and ``flags=line_flags()`` it is DeepSpeech's.
    """
    weights = random_weights(geometry_for(alphabet, layer_norm), seed)
    name = f"{'best_dev' if which == 'best' else 'train'}-{step}"
    save_variables(directory / name, training_variables(weights, step=step, **training))
    write_state(directory, name, which)
    (directory / "flags.txt").write_text(
        json_flags(alphabet, layer_norm) if flags is None else flags, encoding="utf-8"
    )
    if alphabet.is_bytes:
        # As Coqui does it: raw bytes, line ends among them, that are no alphabet file.
        labels = b"".join(bytes([byte]) + b"\n" for byte in range(1, 256))
        (directory / "alphabet.txt").write_bytes(b"# comment\n" + labels)
    else:
        write_alphabet(alphabet, directory / "alphabet.txt")
    return weights
