"""A corpus of noise with the pace and the lengths of speech: enough to time training on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from stt_model.corpus.audio_settings import SAMPLE_RATE, STRIDE, WINDOW, frame_count
from stt_model.corpus.manifests import Utterance, write_manifest
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.text.alphabet_file import write_alphabet

LABELS = " abcdefghijklmnopqrstuvwxyz'"
MEDIAN_SECONDS = 5.0
SPREAD = 0.4
"""Standard deviation of the logarithm of the length."""
SHORTEST, LONGEST = 2.0, 12.0
"""Seconds."""
CHARACTERS_A_SECOND = 14
SYLLABLES_A_SECOND = 4
SEED = 20
LARGE_CORPUS = 20_000
"""Utterances of the corpus whose batches stand for those of a real one."""


@dataclass(frozen=True)
class NoiseCorpus:
    """Where the corpus lies, and how much it is."""

    manifest: Path
    alphabet: Path
    classes: int
    utterances: int
    seconds: float
    frames: int
    padding: float = 0.0
    """Share of a batch's frames that only fill it up, where the size of batches was given."""


def write_noise_corpus(folder: Path, utterances: int, batch_size: int | None = None) -> NoiseCorpus:
    """Write manifest, alphabet and 16 kHz wav files; the same ones every time.

    Args:
        folder: where to.
        utterances: how many; a multiple of ``batch_size``, where that is given.
        batch_size: makes the utterances whole batches out of a large corpus that was sorted by
            length, evenly spread over it; without it, each length is drawn by itself.
    """
    draw, noise = random.Random(SEED), np.random.default_rng(SEED)
    alphabet = CharacterAlphabet(LABELS)
    write_alphabet(alphabet, folder / "alphabet.txt")
    lengths = [
        _whole_frames(seconds) for seconds in _draw_lengths(utterances, batch_size or 1, draw)
    ]
    rows = []
    for number, length in enumerate(lengths, start=1):
        path = folder / f"{number}.wav"
        soundfile.write(path, speech_shaped_noise(length, noise), SAMPLE_RATE, subtype="PCM_16")
        text = random_text(round(length / SAMPLE_RATE * CHARACTERS_A_SECOND), draw)
        manifest = folder / "train.csv"
        rows.append(Utterance(path.name, path, path.stat().st_size, text, number, manifest))
    write_manifest(manifest, rows)
    frames = [frame_count(length) for length in lengths]
    return NoiseCorpus(
        manifest=manifest,
        alphabet=folder / "alphabet.txt",
        classes=alphabet.classes,
        utterances=utterances,
        seconds=sum(lengths) / SAMPLE_RATE,
        frames=sum(frames),
        padding=1 - sum(frames) / _padded(frames, batch_size) if batch_size else 0.0,
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


def _draw_lengths(utterances: int, batch_size: int, draw: random.Random) -> list[float]:
    """Return seconds: of batches of one, as drawn; of larger ones, as a large corpus has them."""
    if batch_size == 1:
        return [_draw_seconds(draw) for _ in range(utterances)]
    corpus = sorted(_draw_seconds(draw) for _ in range(LARGE_CORPUS))
    share = LARGE_CORPUS * batch_size // utterances
    starts = [
        (share - batch_size) // 2 + share * batch for batch in range(utterances // batch_size)
    ]
    return [seconds for start in starts for seconds in corpus[start : start + batch_size]]


def _padded(frames: Sequence[int], batch_size: int) -> int:
    """Return the frames of sorted utterances after each batch is filled up to its longest."""
    batches = [frames[start : start + batch_size] for start in range(0, len(frames), batch_size)]
    return sum(max(batch) * len(batch) for batch in batches)


def _draw_seconds(draw: random.Random) -> float:
    return min(max(draw.lognormvariate(np.log(MEDIAN_SECONDS), SPREAD), SHORTEST), LONGEST)


def _whole_frames(seconds: float) -> int:
    # Coqui sorts by bytes and this project by frames: with whole frames the batches are the same.
    return WINDOW + round(seconds * SAMPLE_RATE / STRIDE) * STRIDE
