"""A corpus of noise with the pace and the lengths of speech: enough to time training on."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from stt_model.alphabet import CharacterAlphabet, write_alphabet
from stt_model.audio import SAMPLE_RATE, STRIDE, WINDOW, frame_count
from stt_model.corpus import Utterance, write_manifest

LABELS = " abcdefghijklmnopqrstuvwxyz'"
MEDIAN_SECONDS = 5.0
SPREAD = 0.4
"""Standard deviation of the logarithm of the length."""
SHORTEST, LONGEST = 2.0, 12.0
"""Seconds."""
CHARACTERS_A_SECOND = 14
SYLLABLES_A_SECOND = 4
SEED = 20


@dataclass(frozen=True)
class NoiseCorpus:
    """Where the corpus lies, and how much it is."""

    manifest: Path
    alphabet: Path
    classes: int
    utterances: int
    seconds: float
    frames: int


def write_noise_corpus(folder: Path, utterances: int) -> NoiseCorpus:
    """Write manifest, alphabet and 16 kHz wav files; the same ones every time."""
    draw, noise = random.Random(SEED), np.random.default_rng(SEED)
    alphabet = CharacterAlphabet(LABELS)
    write_alphabet(alphabet, folder / "alphabet.txt")
    rows = []
    samples = frames = 0
    for number in range(1, utterances + 1):
        length = _whole_frames(_draw_seconds(draw))
        path = folder / f"{number}.wav"
        soundfile.write(path, speech_shaped_noise(length, noise), SAMPLE_RATE, subtype="PCM_16")
        text = random_text(round(length / SAMPLE_RATE * CHARACTERS_A_SECOND), draw)
        manifest = folder / "train.csv"
        rows.append(Utterance(path.name, path, path.stat().st_size, text, number, manifest))
        samples += length
        frames += frame_count(length)
    write_manifest(manifest, rows)
    return NoiseCorpus(
        manifest=manifest,
        alphabet=folder / "alphabet.txt",
        classes=alphabet.classes,
        utterances=utterances,
        seconds=samples / SAMPLE_RATE,
        frames=frames,
    )


def speech_shaped_noise(length: int, noise: np.random.Generator) -> NDArray[np.float32]:
    """Return noise that is low in pitch and swells with the syllables: float32 [length]."""
    spectrum = np.fft.rfft(noise.standard_normal(length))
    hertz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    shaped = np.fft.irfft(spectrum / (1 + hertz / 500), length)
    times = np.arange(length) / SAMPLE_RATE
    shaped *= 1 + 0.9 * np.sin(2 * np.pi * SYLLABLES_A_SECOND * times)
    samples: NDArray[np.float32] = (0.5 * shaped / np.abs(shaped).max()).astype(np.float32)
    return samples


def random_text(characters: int, draw: random.Random) -> str:
    """Return words of random letters, ``characters`` long in all."""
    text = " ".join(
        "".join(draw.choices(LABELS[1:], k=draw.randint(2, 8))) for _ in range(characters // 3 + 1)
    )
    # It must not end in a space, which a reader of manifests may strip.
    return text[: characters - 1] + "a"


def _draw_seconds(draw: random.Random) -> float:
    return min(max(draw.lognormvariate(np.log(MEDIAN_SECONDS), SPREAD), SHORTEST), LONGEST)


def _whole_frames(seconds: float) -> int:
    # Coqui sorts by bytes and this project by frames: with whole frames the batches are the same.
    return WINDOW + round(seconds * SAMPLE_RATE / STRIDE) * STRIDE
