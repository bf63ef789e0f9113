"""The network as a TensorFlow SavedModel from audio samples to probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model.corpus import USUAL_AUDIO, AudioSettings
from stt_model.features import mfcc_of_batch

Array = NDArray[np.float32]

SIGNATURE = "serving_default"


class _Recogniser(tf.Module):
    """The network including features and softmax."""

    def __init__(self, network: keras.Model, audio: AudioSettings) -> None:
        super().__init__()
        self.network = network
        self._audio = audio

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, name="samples"),
            tf.TensorSpec([None], tf.int32, name="sample_counts"),
        ]
    )
    def recognise(self, samples: Any, sample_counts: Any) -> dict[str, Any]:
        audio = self._audio
        frames = tf.maximum(0, 1 + (sample_counts - audio.window) // audio.stride)
        features = mfcc_of_batch(samples, audio)
        # After its end an utterance has zeros, not the features of silence.
        inside = tf.sequence_mask(frames, tf.shape(features)[1])
        features = tf.where(inside[:, :, tf.newaxis], features, 0.0)
        probabilities = tf.nn.softmax(self.network(features, training=False))
        return {"probabilities": probabilities, "frames": frames}


def write_saved_model(
    network: keras.Model, folder: Path, audio: AudioSettings = USUAL_AUDIO
) -> None:
    """Write the SavedModel, whose signature ``serving_default`` takes a batch.

    In: ``samples`` float32 [batch, n], mono, at the model's rate, in [-1, 1], shorter utterances
    padded with anything, and ``sample_counts`` int32 [batch], the samples without padding. Out:
    ``probabilities`` float32 [batch, frames, classes], the blank last, and ``frames`` int32
    [batch], the frames without padding.
    """
    recogniser = _Recogniser(network, audio)
    # It is not trained, and the recurrent layer's custom gradient cannot be saved.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(
        recogniser, str(folder), signatures={SIGNATURE: recogniser.recognise}, options=options
    )


class SavedModel:
    """A SavedModel, loaded again."""

    def __init__(self, folder: Path) -> None:
        """Load what ``write_saved_model`` wrote."""
        # Kept, because a signature does not keep its variables alive.
        self._loaded = tf.saved_model.load(str(folder))
        self._recognise = self._loaded.signatures[SIGNATURE]

    def probabilities(self, samples: Array) -> Array:
        """Return the probabilities, float32 [frames, classes], of one utterance, float32 [n]."""
        counts = tf.constant([len(samples)])
        outputs = self._recognise(samples=samples[np.newaxis], sample_counts=counts)
        return np.asarray(outputs["probabilities"][0])
