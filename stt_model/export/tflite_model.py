"""Run a ``.tflite`` model as Coqui STT's runtime does: some frames a call, the state handed on."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model.base import ExportError, usable_cpus
from stt_model.checkpoint import deserialise_alphabet
from stt_model.corpus import USUAL_AUDIO, AudioSettings
from stt_model.export.tflite_conversion import INPUTS, OUTPUTS
from stt_model.features import extract_features
from stt_model.text import Alphabet

Array = NDArray[np.float32]

_PLAIN_KERNELS = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def as_logits(probabilities: Array) -> Array:
    """Return logits of the same distribution as the probabilities: their logarithms."""
    floor = np.finfo(np.float32).tiny
    return np.log(np.maximum(probabilities, floor))


def fill_up(samples: Array, audio: AudioSettings = USUAL_AUDIO) -> Array:
    """Pad the samples with zeros to whole windows, as the runtime does.

    Training drops the samples after the last whole window, so this gives one more frame.
    """
    return np.pad(
        samples, (0, audio.window + audio.stride * audio.frame_count(len(samples)) - len(samples))
    )


class TfliteModel:
    """A model for Coqui STT's runtime, in TensorFlow's own interpreter."""

    def __init__(self, path: Path) -> None:
        """Load the file.

        Raises:
            ExportError: it is not such a model.
        """
        self._interpreter = _open(path)
        self._inputs = {each["name"]: each for each in self._interpreter.get_input_details()}
        self._outputs = {each["name"]: each for each in self._interpreter.get_output_details()}
        missing = [name for name in INPUTS if name not in self._inputs]
        missing += [name for name in OUTPUTS if name not in self._outputs]
        if missing:
            raise ExportError(
                f"{path}: expected a model for Coqui STT's runtime, found one without"
                f" {', '.join(missing)}"
            )

    def read_metadata(self) -> dict[str, int | bytes]:
        """Return the model's metadata, by the names of its outputs."""
        self._interpreter.invoke()
        found = {name: self._read(name) for name in OUTPUTS if name.startswith("metadata_")}
        return {name: value.item() for name, value in found.items()}

    @functools.cached_property
    def audio(self) -> AudioSettings:
        """The model's audio settings."""
        found = self.read_metadata()
        return AudioSettings(
            int(found["metadata_sample_rate"]),
            int(found["metadata_feature_win_len"]),
            int(found["metadata_feature_win_step"]),
        )

    def read_alphabet(self) -> Alphabet:
        """Return the labels of the classes."""
        return deserialise_alphabet(bytes(self.read_metadata()["metadata_alphabet"]))

    def read_beam_width(self) -> int:
        """Return the beam width of the runtime for this model."""
        return int(self.read_metadata()["metadata_beam_width"])

    def features(self, window: Array) -> Array:
        """Return the model's features, float32 [26], of a window, float32 [512]."""
        self._write("input_samples", window)
        self._interpreter.invoke()
        return self._read("mfccs").reshape(-1)

    def probabilities(self, samples: Array) -> Array:
        """Return the probability of each class in each frame.

        Args:
            samples: float32 [n], mono, at the model's rate, in [-1, 1].

        Returns:
            float32 [frames, classes], the blank last.
        """
        _, steps, width, coefficients = self._inputs["input_node"]["shape"]
        features = np.pad(extract_features(samples, self.audio), [(width // 2, width // 2), (0, 0)])
        frames = len(features) - width + 1
        windows = np.zeros((-(-frames // steps) * steps, width, coefficients), np.float32)
        for frame in range(frames):
            windows[frame] = features[frame : frame + width]
        self._reset()
        parts = [self._step(windows[start : start + steps]) for start in range(0, frames, steps)]
        classes = self._outputs["logits"]["shape"][-1]
        return np.concatenate([np.zeros((0, classes), np.float32), *parts])[:frames]

    def _reset(self) -> None:
        for name in ("previous_state_c", "previous_state_h"):
            self._write(name, np.zeros(self._inputs[name]["shape"], np.float32))

    def _step(self, windows: Array) -> Array:
        self._write("input_node", windows[np.newaxis])
        self._interpreter.invoke()
        for state in ("state_c", "state_h"):
            self._write(f"previous_{state}", self._read(f"new_{state}"))
        return self._read("logits")

    def _write(self, name: str, value: Array) -> None:
        self._interpreter.set_tensor(self._inputs[name]["index"], value)

    def _read(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = self._interpreter.get_tensor(self._outputs[name]["index"])
        return found


def _open(path: Path) -> Any:
    with warnings.catch_warnings():
        # TensorFlow warns that its interpreter will move to another package.
        warnings.simplefilter("ignore", UserWarning)
        try:
            interpreter = tf.lite.Interpreter(
                model_content=path.read_bytes(),
                num_threads=usable_cpus(),
                # Other delegates print a line about themselves.
                experimental_op_resolver_type=_PLAIN_KERNELS,
            )
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            is_empty = not path.stat().st_size
            reason = "an empty file" if is_empty else " ".join(str(error).split())
            raise ExportError(f"{path}: expected a .tflite model, found {reason}") from error
    return interpreter
