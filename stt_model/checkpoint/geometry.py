"""The sizes of a network, and the variables of its checkpoint.

Names and shapes are those that Coqui STT 1.x and DeepSpeech 0.7 to 0.9 store.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stt_model.base import CheckpointError

DENSE_LAYERS = ("layer_1", "layer_2", "layer_3", "layer_5", "layer_6")
NORMALISED_LAYERS = ("layer_1", "layer_2", "layer_3", "layer_5")
LSTM = "cudnn_lstm/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell"
LSTM_KERNEL = f"{LSTM}/kernel"
LSTM_BIAS = f"{LSTM}/bias"

Found = Mapping[str, tuple[np.dtype[Any] | None, tuple[int, ...]]]
"""Type and shape of each variable; no type if it does not hold numbers."""

_SHOWN = 6
"""Maximum number of variables that a one-line message names; the rest is counted."""

# Variables of training besides the weights, by the last part of the name.
_TRAINING_STATE = re.compile(
    r"(^|/)(Adam(_1)?|beta[12]_power|global_step|learning_rate|current_loss_scale|good_steps)$"
)
_FOREIGN_SIGNS = (
    (re.compile(r"(^|/)lstm_fused_cell/|^[bh][1-6]$"), "DeepSpeech 0.6 or older"),
    (re.compile(r"(^|/)opaque_kernel$"), "a recurrent layer in cuDNN's opaque form"),
    (re.compile(r"^_CHECKPOINTABLE_OBJECT_GRAPH$"), "a TensorFlow 2 or Keras checkpoint"),
)


@dataclass(frozen=True)
class Geometry:
    """The sizes of a network: ``n_hidden`` units a layer, ``n_classes`` outputs (labels and blank).

    ``n_input`` MFCC a frame, with ``n_context`` frames of context on each side.
    """

    n_hidden: int
    n_classes: int
    layer_norm: bool = False
    n_input: int = 26
    n_context: int = 9

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each variable under its name in a checkpoint, from input to output."""
        hidden = self.n_hidden
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in DENSE_LAYERS:
            rows = self.n_input * (2 * self.n_context + 1) if layer == "layer_1" else hidden
            columns = self.n_classes if layer == "layer_6" else hidden
            if layer == "layer_5":
                shapes[LSTM_KERNEL] = (2 * hidden, 4 * hidden)
                shapes[LSTM_BIAS] = (4 * hidden,)
            shapes[f"{layer}/weights"] = (rows, columns)
            shapes[f"{layer}/bias"] = (columns,)
            if self.layer_norm and layer in NORMALISED_LAYERS:
                shapes[f"{layer}/LayerNorm/beta"] = (hidden,)
                shapes[f"{layer}/LayerNorm/gamma"] = (hidden,)
        return shapes


def find_geometry(found: Found, where: str) -> Geometry:
    """Return the geometry of a checkpoint with these variables; errors begin with ``where``.

    Other variables of training (Adam's moments, loss scale, …) are optional.

    Raises:
        CheckpointError: the weights are not those of the six layers; all missing, unexpected and
            mis-shaped variables and those of a wrong type are named at once.
    """
    geometry = _likeliest_geometry(found)
    expected = geometry.shapes()
    if found.keys().isdisjoint(expected):
        names = shorten_names(sorted(found)) or "none"
        raise CheckpointError(
            f"{where}: not a checkpoint of Coqui STT or DeepSpeech 0.7 to 0.9: expected variables "
            f"such as layer_1/weights, found {names}{_foreign_hint(found)}"
        )
    problems = [
        f"{title}: {', '.join(items)}"
        for title, items in _problems(found, expected).items()
        if items
    ]
    if problems:
        raise CheckpointError(
            f"{where}: not the variables of {geometry.n_hidden} hidden units and "
            f"{geometry.n_classes} classes: {'; '.join(problems)}{_foreign_hint(found)}"
        )
    return geometry


def _problems(found: Found, expected: Mapping[str, tuple[int, ...]]) -> dict[str, list[str]]:
    return {
        "missing": [name for name in expected if name not in found],
        "unexpected": [
            name
            for name in sorted(found)
            if name not in expected and not _TRAINING_STATE.search(name)
        ],
        "mis-shaped": [
            f"{name} (expected {list(shape)}, found {list(found[name][1])})"
            for name, shape in expected.items()
            if name in found and found[name][1] != shape
        ],
        "of the wrong type": [
            f"{name} (expected float32, found {found[name][0] or 'none that holds numbers'})"
            for name in expected
            if name in found and found[name][0] != np.float32
        ],
    }


def _likeliest_geometry(found: Found) -> Geometry:
    """The sizes that most layers agree on, so that only the odd one out is reported."""

    def widths(*layers: str) -> Counter[int]:
        names = [f"{layer}/{part}" for layer in layers for part in ("bias", "weights")]
        return Counter(found[name][1][-1] for name in names if name in found and found[name][1])

    def likeliest(counts: Counter[int]) -> int:
        return counts.most_common(1)[0][0] if counts else 0

    return Geometry(
        n_hidden=likeliest(widths(*NORMALISED_LAYERS)),
        n_classes=likeliest(widths("layer_6")),
        layer_norm=any("/LayerNorm/" in name for name in found),
    )


def _foreign_hint(names: Mapping[str, object]) -> str:
    for pattern, meaning in _FOREIGN_SIGNS:
        if any(pattern.search(name) for name in names):
            return f"; this looks like {meaning}, which is not supported"
    return ""


def shorten_names(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
