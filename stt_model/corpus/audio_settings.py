"""How models cut audio into frames, and which files are audio by their names."""

from __future__ import annotations

from dataclasses import dataclass

SAMPLE_RATE = 16000
"""Samples per second that this module returns, unless a model needs another rate."""
WINDOW = 512
"""Samples of one feature frame (32 ms)."""
STRIDE = 320
"""Samples between the starts of two frames (20 ms)."""


@dataclass(frozen=True)
class AudioSettings:
    """How a model cuts audio into frames; names are those of Coqui STT's flags."""

    audio_sample_rate: int = SAMPLE_RATE
    """Hz."""
    feature_win_len: int = 32
    """Milliseconds of one frame."""
    feature_win_step: int = 20
    """Milliseconds between the starts of two frames."""

    @property
    def window(self) -> int:
        """Samples of one frame."""
        return self.audio_sample_rate * self.feature_win_len // 1000

    @property
    def stride(self) -> int:
        """Samples between the starts of two frames."""
        return self.audio_sample_rate * self.feature_win_step // 1000

    def frame_count(self, samples: int) -> int:
        """Return the frames of ``samples`` at the model's rate; only whole windows count."""
        return 0 if samples < self.window else 1 + (samples - self.window) // self.stride


USUAL_AUDIO = AudioSettings()
"""The settings of every published model."""

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3")
"""Suffixes that `find_audio` takes for audio inside a folder."""


def frame_count(samples: int) -> int:
    """Return the number of feature frames of ``samples`` at 16 kHz; only whole windows count."""
    return USUAL_AUDIO.frame_count(samples)
