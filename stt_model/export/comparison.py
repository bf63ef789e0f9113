"""Check that an exported model computes the same as its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model.base import ExportError
from stt_model.corpus import USUAL_AUDIO, AudioSettings, read_audio, read_manifest
from stt_model.decoding import Decoder
from stt_model.evaluation import Difference, compare_rates, count_errors
from stt_model.export.tflite_model import as_logits
from stt_model.features import extract_features

Array = NDArray[np.float32]

MOST_CLIPS = 50
"""Maximum number of compared utterances, spread evenly over those given."""
LARGEST_DIFFERENCE = 1e-4
"""Maximum difference of a probability without quantisation; about 3e-6 is usual."""


class AcousticModel(Protocol):
    """A model that computes probabilities from samples."""

    def probabilities(self, samples: Array) -> Array:
        """Return float32 [frames, classes], the blank last, of float32 [n] at the model's rate."""
        ...


class NetworkModel:
    """The network of training and evaluation, on the CPU."""

    def __init__(self, network: keras.Model, audio: AudioSettings = USUAL_AUDIO) -> None:
        self._audio = audio
        self._infer = tf.function(network, reduce_retracing=True)

    def probabilities(self, samples: Array) -> Array:
        """Return float32 [frames, classes], the blank last, of float32 [n] at the model's rate."""
        with tf.device("CPU:0"):
            logits = self._infer(extract_features(samples, self._audio)[np.newaxis])
            return np.asarray(tf.nn.softmax(logits)[0])


@dataclass(frozen=True)
class Clip:
    """An utterance to compare on; ``transcript`` is empty if not known."""

    samples: Array
    transcript: str


@dataclass(frozen=True)
class Comparison:
    """The differences of an export from its source on the same utterances."""

    utterances: int
    largest_difference: float
    """Largest difference between the probabilities of a class in a frame."""
    words: int
    """Words of the references; 0 if there are none."""
    source_errors: int
    """Word errors of the source, decoded greedily."""
    errors: int
    """Word errors of the export."""
    difference: Difference | None = None
    """Of the export's word error rate from the source's; None without words."""

    @property
    def wer_change(self) -> float:
        """The increase of the word error rate."""
        return (self.errors - self.source_errors) / max(self.words, 1)

    @property
    def may_be_chance(self) -> bool:
        """Whether other utterances may show no increase: its 95 % interval includes 0."""
        interval = self.difference.interval if self.difference else None
        return interval is not None and interval.low <= 0

    def __str__(self) -> str:
        differences = f"probabilities differ by {self.largest_difference:.1g} at most"
        if not self.words:
            return f"on {self.utterances} generated clip, no speech given: {differences}"
        return (
            f"on {self.utterances} utterances of {self.words} words: {differences}, WER"
            f" {self.errors / self.words:.2%} against {self.source_errors / self.words:.2%} before"
        )


def read_clips(manifests: Sequence[Path], audio: AudioSettings = USUAL_AUDIO) -> list[Clip]:
    """Return utterances to compare on: at most ``MOST_CLIPS`` of those with words.

    Without manifests it is one clip of noise, which shows whether two models compute the same, but
    not how well they recognise speech.
    """
    utterances = [each for path in manifests for each in read_manifest(path)]
    utterances = [each for each in utterances if each.transcript.strip()]
    if manifests and not utterances:
        raise ExportError(
            f"{manifests[0]}: expected utterances to compare the export on, found none with words"
        )
    if not utterances:
        noise = np.random.default_rng(seed=1).uniform(-0.3, 0.3, 3 * audio.audio_sample_rate)
        return [Clip(noise.astype(np.float32), "")]
    places = np.linspace(0, len(utterances) - 1, min(len(utterances), MOST_CLIPS)).round()
    chosen = [utterances[int(place)] for place in places]
    return [
        Clip(read_audio(each.place, sample_rate=audio.audio_sample_rate), each.transcript)
        for each in chosen
    ]


@dataclass(frozen=True)
class Checker:
    """Runs exports and their source on the same clips, and refuses exports that differ too much.

    ``max_wer_change`` is the allowed increase of a quantised export's word error rate. A larger one
    is accepted as long as it may be chance, as three words of a hundred are.
    """

    source: AcousticModel
    clips: Sequence[Clip]
    decoder: Decoder
    max_wer_change: float

    def check(self, name: str, exported: AcousticModel, *, quantised: bool) -> Comparison:
        """Return how ``exported`` compares; ExportError if it is not good enough."""
        comparison = self._compare(name, exported)
        if quantised:
            self._check_words(name, comparison)
        elif comparison.largest_difference > LARGEST_DIFFERENCE:
            raise ExportError(
                f"{name}: expected the checkpoint's probabilities within {LARGEST_DIFFERENCE:.0e},"
                f" found a difference of {comparison.largest_difference:.1e}; nothing was exported"
            )
        return comparison

    def _check_words(self, name: str, comparison: Comparison) -> None:
        # With few words, a single additional error is no evidence.
        allowed = max(1, int(self.max_wer_change * comparison.words))
        is_more = comparison.errors - comparison.source_errors > allowed
        if comparison.words and is_more and not comparison.may_be_chance:
            raise ExportError(
                f"{name}: expected a WER at most {self.max_wer_change:.1%} above the checkpoint's,"
                f" found {comparison.errors} errors against {comparison.source_errors} in"
                f" {comparison.words} words; nothing was exported: export the checkpoint with"
                " --export_quantize false, or by stt-bootstrap export with a higher"
                " --max_wer_change"
            )

    def _compare(self, name: str, exported: AcousticModel) -> Comparison:
        largest = 0.0
        texts: dict[str, list[tuple[str, str]]] = {"before": [], "after": []}
        for clip in self.clips:
            before = self.source.probabilities(clip.samples)
            after = exported.probabilities(clip.samples)
            if after.shape != before.shape or not np.isfinite(after).all():
                raise ExportError(
                    f"{name}: expected finite probabilities of shape {before.shape}, found shape"
                    f" {after.shape} or numbers that are not finite; nothing was exported"
                )
            largest = max(largest, float(np.abs(after - before).max(initial=0)))
            texts["before"].append((clip.transcript, self._read(before)))
            texts["after"].append((clip.transcript, self._read(after)))
        words = {
            when: [count_errors([pair], "word") for pair in pairs] for when, pairs in texts.items()
        }
        lengths = [each.length for each in words["before"]]
        errors = {when: [each.distance for each in counts] for when, counts in words.items()}
        return Comparison(
            utterances=len(self.clips),
            largest_difference=largest,
            words=sum(lengths),
            source_errors=sum(errors["before"]),
            errors=sum(errors["after"]),
            difference=compare_rates(errors["after"], errors["before"], lengths)
            if any(lengths)
            else None,
        )

    def _read(self, probabilities: Array) -> str:
        logits = as_logits(probabilities)[np.newaxis]
        (text,) = self.decoder.decode(logits, np.array([len(probabilities)], np.int32))
        return text
