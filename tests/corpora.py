"""Tiny corpora of tones: each letter is a pitch, which a network learns to read in seconds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from stt_model.corpus.manifests import Utterance, write_manifest

RATE = 16000
SECONDS_A_LETTER = 0.12


def tone_samples(text: str) -> np.ndarray:
    """Return float32 samples at 16 kHz: a pitch for each letter, silence for a space."""
    times = np.arange(int(RATE * SECONDS_A_LETTER)) / RATE
    edges = np.hanning(len(times)) ** 0.25
    pieces = [
        np.zeros_like(times)
        if letter == " "
        else 0.5 * edges * np.sin(2 * np.pi * (300 + 97 * (ord(letter) % 23)) * times)
        for letter in text
    ]
    return np.concatenate(pieces).astype(np.float32)


def write_tones(manifest: Path, transcripts: Sequence[str]) -> Path:
    """Write a manifest and, beside it, one wav for each transcript."""
    clips = manifest.parent / f"{manifest.stem}-clips"
    clips.mkdir(parents=True, exist_ok=True)
    utterances = []
    for number, transcript in enumerate(transcripts, start=1):
        path = clips / f"{number}.wav"
        soundfile.write(path, tone_samples(transcript), RATE, subtype="PCM_16")
        size = path.stat().st_size
        utterances.append(Utterance(path.name, path, size, transcript, number, manifest))
    write_manifest(manifest, utterances)
    return manifest


def write_tone_dataset(root: Path, letters: str = "abcd", train: int = 8, other: int = 4) -> Path:
    """Write ``train.csv``, ``dev.csv`` and ``test.csv`` of different texts over ``letters``."""
    draw = random.Random(f"{letters}{train}{other}")
    texts: list[str] = []
    while len(texts) < train + 2 * other:
        words = ["".join(draw.choices(letters, k=draw.randint(2, 4))) for _ in range(2)]
        if (text := " ".join(words)) not in texts:
            texts.append(text)
    # Every letter occurs in training, however the dice fell.
    texts[0] = " ".join([letters, letters[::-1]])
    write_tones(root / "train.csv", texts[:train])
    write_tones(root / "dev.csv", texts[train : train + other])
    write_tones(root / "test.csv", texts[train + other :])
    return root
