"""Compute the mel-frequency cepstral coefficients that Coqui STT's network was trained on.

TensorFlow's ``AudioSpectrogram`` and ``Mfcc`` kernels do the work: the same kernels that computed
the features of the released checkpoints, and that exported models run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import soundfile
import soxr
import tensorflow as tf
from numpy.typing import NDArray

from stt_model.corpus import USUAL_AUDIO, AudioSettings

COEFFICIENTS = 26
MEL_CHANNELS = 40
LOWEST_HERTZ = 20.0

REVISION = 1
"""Increased whenever the features of a clip change."""


def mfcc(samples: Any, audio: AudioSettings = USUAL_AUDIO) -> Any:
    """Return the features of one utterance.

    Args:
        samples: float32 [n], mono, at the model's rate, in [-1, 1].

    Returns:
        float32 [frames, 26]; one frame per stride, each over a window: usually 20 and 32 ms.
    """
    return tf.reshape(_mfcc_of_channels(samples[:, tf.newaxis], audio), [-1, COEFFICIENTS])


def mfcc_of_batch(samples: Any, audio: AudioSettings = USUAL_AUDIO) -> Any:
    """Return the features of utterances of equal length, or padded to it.

    Args:
        samples: float32 [batch, n], mono, at the model's rate, in [-1, 1].

    Returns:
        float32 [batch, frames, 26].
    """
    return _mfcc_of_channels(tf.transpose(samples), audio)


def _mfcc_of_channels(samples: Any, audio: AudioSettings) -> Any:
    """float32 [n, channels] -> float32 [channels, frames, 26]."""
    return _mfcc_of_spectrogram(_spectrogram_of_channels(samples, audio), audio)


def _spectrogram_of_channels(samples: Any, audio: AudioSettings) -> Any:
    """float32 [n, channels] -> float32 [channels, frames, bins]."""
    return tf.raw_ops.AudioSpectrogram(
        input=samples, window_size=audio.window, stride=audio.stride, magnitude_squared=True
    )


def _mfcc_of_spectrogram(spectrogram: Any, audio: AudioSettings) -> Any:
    """float32 [channels, frames, bins] -> float32 [channels, frames, 26]."""
    return tf.raw_ops.Mfcc(
        spectrogram=spectrogram,
        sample_rate=audio.audio_sample_rate,
        dct_coefficient_count=COEFFICIENTS,
        filterbank_channel_count=MEL_CHANNELS,
        lower_frequency_limit=LOWEST_HERTZ,
        upper_frequency_limit=audio.audio_sample_rate / 2,
    )


def extract_features(
    samples: NDArray[np.float32], audio: AudioSettings = USUAL_AUDIO
) -> NDArray[np.float32]:
    """Return the features of one utterance as an array.

    Args:
        samples: float32 [n], mono, at the model's rate, in [-1, 1].

    Returns:
        float32 [frames, 26].
    """
    with tf.device("CPU:0"):
        return np.asarray(mfcc(samples, audio))


def extract_spectrogram(
    samples: NDArray[np.float32], audio: AudioSettings = USUAL_AUDIO
) -> NDArray[np.float32]:
    """Return the spectrogram of one utterance: squared magnitudes.

    Args:
        samples: float32 [n], mono, at the model's rate, in [-1, 1].

    Returns:
        float32 [frames, bins]; for 16 kHz and 32 ms there are 257 bins, one per 31.25 Hz.
    """
    with tf.device("CPU:0"):
        return np.asarray(_spectrogram_of_channels(samples[:, np.newaxis], audio)[0])


def features_of_spectrogram(
    spectrogram: NDArray[np.float32], audio: AudioSettings = USUAL_AUDIO
) -> NDArray[np.float32]:
    """Return the features, float32 [frames, 26], of a spectrogram, float32 [frames, bins]."""
    with tf.device("CPU:0"):
        return np.asarray(_mfcc_of_spectrogram(spectrogram[np.newaxis], audio)[0])


def feature_settings(audio: AudioSettings = USUAL_AUDIO) -> dict[str, Any]:
    """Return everything that features depend on besides the clip, including decoder versions."""
    return {
        "revision": REVISION,
        "sample_rate": audio.audio_sample_rate,
        "window": audio.window,
        "stride": audio.stride,
        "coefficients": COEFFICIENTS,
        "mel_channels": MEL_CHANNELS,
        "hertz": [LOWEST_HERTZ, audio.audio_sample_rate / 2],
        "tensorflow": tf.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
        "soxr": soxr.__version__,
    }
