"""Long recordings of synthesised speech whose words lie at known places, with texts that err."""

from __future__ import annotations

import itertools
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr

from stt_bootstrap.demo.corpora import ENGLISH, HELD_OUT_VARIANTS, MACEDONIAN, SWAHILI, VARIANTS
from stt_bootstrap.demo.synthesis import SAMPLE_RATE, synthesise_words

LANGUAGES = {"en": ("en-us", ENGLISH), "sw": ("sw", SWAHILI), "mk": ("mk", MACEDONIAN)}
QUIET = 0.01
"""Of the loudest sample: what is below it before and behind a phrase is no part of it."""


@dataclass
class Phrase:
    """Words that are spoken without a pause, and where."""

    words: list[str]
    start: float = 0.0
    end: float = 0.0
    written: str = "right"
    """right, missing (spoken, not in the text) or wrong (other words in the text)."""
    spans: list[list[float]] = field(default_factory=list)
    """Where each word begins and ends, in s; none where espeak-ng does not tell them apart."""


@dataclass(frozen=True)
class Written:
    """A word of the text; which phrase and which of its words it is, or -1 for one not spoken."""

    word: str
    phrase: int
    place: int


def write_recording(
    folder: Path,
    language: str,
    minutes: float,
    *,
    seed: int = 1,
    errors: float = 0.05,
    by: str = "sentence",
    noise_db: tuple[float, float] = (15.0, 30.0),
) -> Path:
    """Write ``NAME.wav``, ``NAME.txt`` and ``NAME.json`` with the truth; return the wav.

    Of the sentences, or words, a share ``errors`` is wrong: a third is not in the text, a third is
    another there, and as many as a third are in the text only. Several voices speak in turn, with
    white noise that many decibels below them.
    """
    random = np.random.default_rng(seed)
    voice, words = LANGUAGES[language]
    sentences = _plan(random, words, minutes)
    spoken = [phrase for sentence in sentences for phrase in sentence]
    speakers = _speakers(random, sentences, voice)
    with multiprocessing.get_context("forkserver").Pool() as pool:
        sounds = pool.starmap(_speak, zip((p.words for p in spoken), speakers, strict=True))
    pieces, now = [np.zeros(SAMPLE_RATE // 2, np.float32)], 0.5
    first_of = {id(sentence[0]) for sentence in sentences}
    for phrase, (sound, words_at) in zip(spoken, sounds, strict=True):
        low, high = (0.35, 1.5) if id(phrase) in first_of else (0.15, 0.5)
        pause = np.zeros(int(random.uniform(low, high) * SAMPLE_RATE), np.float32)
        now += len(pause) / SAMPLE_RATE
        phrase.start, phrase.end = now, now + len(sound) / SAMPLE_RATE
        phrase.spans = [[now + begin, now + end] for begin, end in words_at]
        now = phrase.end
        pieces += [pause, sound]
    samples = np.concatenate([*pieces, np.zeros(SAMPLE_RATE // 2, np.float32)])
    _add_noise(random, samples, noise_db)
    name = f"{language}-{minutes:g}-{by}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{name}.wav", samples, SAMPLE_RATE, subtype="PCM_16")
    write = _write if by == "sentence" else _write_words
    text, written = write(random, sentences, words, errors)
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    truth = {
        "phrases": [asdict(each) for each in spoken],
        "written": [asdict(each) for each in written],
    }
    (folder / f"{name}.json").write_text(json.dumps(truth, ensure_ascii=False), encoding="utf-8")
    return folder / f"{name}.wav"


def read_truth(wav: Path) -> tuple[list[Phrase], list[Written]]:
    """Return the phrases of a recording, and the words of its text."""
    truth = json.loads(wav.with_suffix(".json").read_text(encoding="utf-8"))
    return [Phrase(**each) for each in truth["phrases"]], [
        Written(**each) for each in truth["written"]
    ]


def _plan(random: np.random.Generator, words: Sequence[str], minutes: float) -> list[list[Phrase]]:
    sentences, seconds = [], 0.0
    while seconds < 60 * minutes:
        lengths = random.integers(2, 7, random.integers(1, 4))
        sentences.append([Phrase([str(w) for w in random.choice(words, n)]) for n in lengths])
        seconds += 0.6 + sum(0.3 + 0.42 * n for n in lengths)
    return sentences


def _speakers(
    random: np.random.Generator, sentences: list[list[Phrase]], language: str
) -> list[tuple[str, int, int]]:
    """Return voice, words a minute and pitch of each phrase: somebody says some sentences."""
    found: list[tuple[str, int, int]] = []
    variants = (*VARIANTS, *HELD_OUT_VARIANTS)
    left = 0
    for sentence in sentences:
        if left == 0:
            left = int(random.integers(3, 15))
            variant = str(random.choice(variants))
            speaker = (
                f"{language}+{variant}",
                int(random.integers(130, 191)),
                int(random.integers(30, 71)),
            )
        left -= 1
        found += [speaker] * len(sentence)
    return found


def _speak(
    words: list[str], speaker: tuple[str, int, int]
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Return a phrase without silence around it, and where its words lie in it, in s."""
    sound, rate, begins = synthesise_words(" ".join(words), *speaker)
    samples = np.asarray(soxr.resample(sound, rate, SAMPLE_RATE), np.float32)
    samples *= 0.5 / np.abs(samples).max()
    loud = np.flatnonzero(np.abs(samples) > QUIET * np.abs(samples).max())
    first, last = int(loud[0]), int(loud[-1]) + 1
    if len(begins) != len(words):
        return samples[first:last], []
    places = [max(first, round(each * SAMPLE_RATE)) for each in begins] + [last]
    spans = []
    for begin, end in itertools.pairwise(places):
        inside = loud[(loud >= begin) & (loud < end)]
        behind = int(inside[-1]) + 1 if len(inside) else end
        spans.append(((begin - first) / SAMPLE_RATE, (behind - first) / SAMPLE_RATE))
    return samples[first:last], spans


def _add_noise(
    random: np.random.Generator, samples: np.ndarray, noise_db: tuple[float, float]
) -> None:
    """Add noise, a level for each minute, to the samples as they are."""
    level = float(np.sqrt(np.mean(samples[np.abs(samples) > 0] ** 2)))
    for begin in range(0, len(samples), 60 * SAMPLE_RATE):
        part = samples[begin : begin + 60 * SAMPLE_RATE]
        noise = random.standard_normal(len(part), np.float32)
        part += noise * np.float32(level * 10 ** (-random.uniform(*noise_db) / 20))
    np.clip(samples, -1, 1, out=samples)


def _write(
    random: np.random.Generator,
    sentences: list[list[Phrase]],
    words: Sequence[str],
    errors: float,
) -> tuple[str, list[Written]]:
    lines, written, number = [], [], 0
    for sentence in sentences:
        draw = random.uniform()
        kind = "missing" if draw < errors / 3 else "wrong" if draw < errors * 2 / 3 else "right"
        parts = []
        for phrase in sentence:
            phrase.written = kind
            text = phrase.words if kind == "right" else _others(random, words, len(phrase.words))
            if kind != "missing":
                parts.append(" ".join(text))
                written += [
                    Written(word, number if kind == "right" else -1, place)
                    for place, word in enumerate(text)
                ]
            number += 1
        if parts:
            lines.append(_as_sentence(parts))
        if random.uniform() < errors / 3:
            surplus = [_others(random, words, 4) for _ in range(2)]
            written += [Written(word, -1, 0) for part in surplus for word in part]
            lines.append(_as_sentence([" ".join(part) for part in surplus]))
    return "\n".join(lines) + "\n", written


def _write_words(
    random: np.random.Generator,
    sentences: list[list[Phrase]],
    words: Sequence[str],
    errors: float,
) -> tuple[str, list[Written]]:
    lines, written, number = [], [], 0
    for sentence in sentences:
        parts = []
        for phrase in sentence:
            text = []
            for place, word in enumerate(phrase.words):
                draw = random.uniform() / (errors / 3)
                if draw >= 1:
                    # As it is, another word instead, or another word before it.
                    if draw < 3:
                        text.append(Written(str(random.choice(words)), -1, 0))
                    text += [Written(word, number, place)] if draw >= 2 else []
            written += text
            parts.append(" ".join(each.word for each in text))
            number += 1
        if kept := [each for each in parts if each]:
            lines.append(_as_sentence(kept))
    return "\n".join(lines) + "\n", written


def _as_sentence(parts: Sequence[str]) -> str:
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _others(random: np.random.Generator, words: Sequence[str], count: int) -> list[str]:
    return [str(word) for word in random.choice(words, count)]
