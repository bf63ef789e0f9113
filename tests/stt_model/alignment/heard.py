"""Recordings of tones, a pitch a letter, and a network that hears them without having learnt to."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from stt_model.corpus import USUAL_AUDIO
from stt_model.text import CharacterAlphabet
from tests.corpora import RATE, SECONDS_A_LETTER, tone_samples

LETTERS = "abcdefgh"
ALPHABET = CharacterAlphabet(f" {LETTERS}")
PITCHES = np.array([300 + 97 * (ord(letter) % 23) for letter in LETTERS])


def draw_words(count: int, seed: int = 1) -> list[str]:
    """Return words in which no letter follows itself, each another."""
    draw = random.Random(seed)
    words: list[str] = []
    while len(words) < count:
        word = "".join(draw.choices(LETTERS, k=draw.randint(3, 6)))
        if all(a != b for a, b in itertools.pairwise(word)) and word not in words:
            words.append(word)
    return words


def write_speech(
    path: Path, phrases: Sequence[str], pause: float = 0.5
) -> list[tuple[float, float]]:
    """Write phrases with pauses around them; return where each begins and ends, in s."""
    silence = np.zeros(round(pause * RATE), np.float32)
    pieces, spans, now = [silence], [], pause
    for phrase in phrases:
        spans.append((now, now + SECONDS_A_LETTER * len(phrase)))
        now = spans[-1][1] + pause
        pieces += [tone_samples(phrase), silence]
    samples = np.concatenate(pieces)
    samples += np.random.default_rng(1).normal(0, 0.002, len(samples)).astype(np.float32)
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return spans


def infer(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return logits of tones: of each frame the letter with its pitch, or the blank in silence."""
    found = [_logits(each) for each in samples]
    frames = np.array([len(each) for each in found], np.int32)
    batch = np.zeros((len(found), max(frames), ALPHABET.classes), np.float32)
    for place, each in enumerate(found):
        batch[place, : len(each)] = each
    return batch, frames


def _logits(samples: np.ndarray) -> np.ndarray:
    frames = USUAL_AUDIO.frame_count(len(samples))
    starts = np.arange(frames) * USUAL_AUDIO.stride
    windows = samples[starts[:, None] + np.arange(USUAL_AUDIO.window)]
    spectra = np.abs(np.fft.rfft(windows * np.hanning(USUAL_AUDIO.window)))
    bins = np.round(PITCHES * USUAL_AUDIO.window / RATE).astype(int)
    at_pitches = spectra[:, bins]
    loud = at_pitches.max(axis=1) > 5
    logits = np.zeros((frames, ALPHABET.classes), np.float32)
    logits[:, 1:-1] = 8 * at_pitches / np.maximum(at_pitches.sum(axis=1, keepdims=True), 1e-6)
    logits[:, 1:-1] *= loud[:, None]
    logits[:, -1] = np.where(loud, 1, 8)
    # A space is heard where silence begins.
    logits[1:, 0] = np.where(loud[:-1] & ~loud[1:], 9, 0)
    return logits
