"""Long recordings of synthesised speech, with their text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr

from stt_bootstrap.demo.synthesis import synthesise

SENTENCES = (
    "the water in the river is very cold today",
    "my brother has a little house near the town",
    "we want to eat bread and fish this evening",
    "they found the old book under the table",
)


def write_recording(folder: Path, sentences: Sequence[str], voice: str) -> Path:
    """Have a voice speak the sentences into talk.wav; write them to talk.txt, with full stops."""
    pieces = [np.zeros(8000, np.float32)]
    for sentence in sentences:
        speech, rate = synthesise(sentence, voice, 140)
        pieces += [soxr.resample(speech, rate, 16000), np.zeros(9600, np.float32)]
    soundfile.write(folder / "talk.wav", np.concatenate(pieces), 16000, subtype="PCM_16")
    text = "\n".join(f"{each.capitalize()}." for each in sentences)
    (folder / "talk.txt").write_text(text, encoding="utf-8")
    return folder
