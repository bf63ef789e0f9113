"""Synthesise corpora from word lists with espeak-ng from the package registry."""

from __future__ import annotations

import _ctypes
import atexit
import csv
import ctypes
import functools
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from tqdm import tqdm

from stt_model.base import BootstrapError, atomic_directory, usable_cpus

SAMPLE_RATE = 16_000

# From espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3
_LONGEST_DATA_PATH = 150  # bytes; the library keeps it in a buffer of 160 and fails beyond that

_EVENT_LIST_ENDS = 0
_EVENT_WORD = 1


class _Event(ctypes.Structure):
    """``espeak_EVENT``."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_lock = threading.Lock()  # the library keeps its state in global variables


class SynthesisError(BootstrapError):
    """Speech that espeak-ng could not make."""


@dataclass(frozen=True)
class CorpusSpec:
    """A corpus to speak: which words, by whom, how many clips of each split.

    A voice is a language and a variant of it (``sw+f1``). ``held_out_variants`` speak in every
    second clip of the test split and nowhere else. No sentence is in two splits.
    """

    words: tuple[str, ...]
    languages: tuple[str, ...]
    variants: tuple[str, ...]
    held_out_variants: tuple[str, ...]
    train: int
    dev: int
    test: int
    seed: int
    fewest_words: int = 2
    most_words: int = 6


@dataclass(frozen=True)
class Clip:
    """One utterance to synthesise, with all parameters of its sound.

    ``peak`` is the largest sample, of 1; ``noise_ratio`` that of the white noise's amplitude to
    the speech's, both root mean square.
    """

    name: str
    text: str
    voice: str
    words_per_minute: int
    pitch: int
    peak: float
    noise_ratio: float
    noise_seed: int


def synthesise(
    text: str, voice: str, words_per_minute: int = 160, pitch: int = 50
) -> tuple[NDArray[np.float32], int]:
    """Speak ``text``: the same samples for the same arguments, whatever was spoken before.

    Args:
        text: what to say.
        voice: a language and perhaps a variant, such as ``mk`` or ``en-us+m3``.
        words_per_minute: 80 to 450.
        pitch: 0 to 99; 50 is the voice's own.

    Returns:
        Samples, float32 [n], mono, in [-1, 1], and their rate in Hz (the synthesiser's own).

    Raises:
        SynthesisError: no such voice, or espeak-ng refused or said nothing.

    """
    samples, rate, _ = synthesise_words(text, voice, words_per_minute, pitch)
    return samples, rate


def synthesise_words(
    text: str, voice: str, words_per_minute: int = 160, pitch: int = 50
) -> tuple[NDArray[np.float32], int, list[float]]:
    """Do as ``synthesise``, and return too where each word begins, in seconds, as espeak-ng says.

    What it speaks as two words, such as a number, has two beginnings.
    """
    chunks: list[bytes] = []
    begins: list[float] = []

    def collect(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, count * ctypes.sizeof(ctypes.c_short)))
        number = 0
        while events and events[number].type != _EVENT_LIST_ENDS:
            if events[number].type == _EVENT_WORD:
                begins.append(events[number].audio_position / 1000)
            number += 1
        return 0

    callback = _Callback(collect)  # the library keeps no reference to it
    encoded = text.encode() + b"\0"
    with _lock, _fresh_library() as library:
        rate = library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, os.fsencode(_data_path()), _INITIALIZE_DONT_EXIT
        )
        if rate <= 0:
            raise SynthesisError(f"espeak-ng: no usable voice data in {_data_path()}")
        library.espeak_SetSynthCallback(callback)
        if not _variant_exists(voice) or library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SynthesisError(
                f"espeak-ng has no voice {voice!r}; give a language and perhaps a variant, as sw+f1"
            )
        library.espeak_SetParameter(_PARAMETER_RATE, words_per_minute, 0)
        library.espeak_SetParameter(_PARAMETER_PITCH, pitch, 0)
        status = library.espeak_Synth(
            encoded, len(encoded), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        library.espeak_Terminate()
    pcm = np.frombuffer(b"".join(chunks), np.int16)
    if status != 0 or not pcm.any():
        raise SynthesisError(f"espeak-ng: {voice} said nothing for {text!r} (status {status})")
    return pcm.astype(np.float32) / np.float32(32768), rate, begins


def plan_corpus(spec: CorpusSpec) -> dict[str, list[Clip]]:
    """Decide every clip of the train, dev and test splits from ``spec.seed`` alone."""
    random = np.random.default_rng(spec.seed)
    voices = _voices(spec.languages, spec.variants)
    held_out = _voices(spec.languages, spec.held_out_variants)
    used: set[str] = set()
    plan: dict[str, list[Clip]] = {}
    for split, count in (("train", spec.train), ("dev", spec.dev), ("test", spec.test)):
        plan[split] = [
            Clip(
                name=f"{split}-{index:04d}",
                text=_new_sentence(spec, random, used),
                voice=str(random.choice(held_out if split == "test" and index % 2 else voices)),
                words_per_minute=int(random.integers(130, 191)),
                pitch=int(random.integers(30, 71)),
                peak=float(random.uniform(0.2, 0.9)),
                noise_ratio=float(10 ** -random.uniform(1.0, 2.0)),
                noise_seed=int(random.integers(2**32)),
            )
            for index in range(count)
        ]
    return plan


def write_corpus(spec: CorpusSpec, root: Path) -> None:
    """Speak the corpus into ``root``: ``{train,dev,test}.csv`` in Coqui's form, and ``clips/``.

    The clips are 16-bit mono wav at 16 kHz, their paths relative to the CSV. ``root`` appears
    whole or not at all; an existing folder must be empty.
    """
    speak(plan_corpus(spec), root)


def speak(plan: Mapping[str, Sequence[Clip]], root: Path) -> None:
    """Do as ``write_corpus`` with the clips of each split."""
    with atomic_directory(root) as folder:
        clips = folder / "clips"
        clips.mkdir()
        # A fork server: the caller may hold TensorFlow's threads, which a plain fork breaks.
        context = multiprocessing.get_context("forkserver")
        everything = [clip for split in plan.values() for clip in split]
        write = functools.partial(_write_clip, folder=clips)
        with (
            context.Pool(usable_cpus()) as pool,
            tqdm(desc="speaking", total=len(everything), unit="clip", disable=None) as bar,
        ):
            for _ in pool.imap_unordered(write, everything, chunksize=4):
                bar.update()
        for split, planned in plan.items():
            with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["wav_filename", "wav_filesize", "transcript"])
                for clip in planned:
                    path = clips / f"{clip.name}.wav"
                    writer.writerow([path.relative_to(folder), path.stat().st_size, clip.text])


def _write_clip(clip: Clip, folder: Path) -> None:
    speech, rate = synthesise(clip.text, clip.voice, clip.words_per_minute, clip.pitch)
    samples = soxr.resample(speech, rate, SAMPLE_RATE)
    noise = np.random.default_rng(clip.noise_seed).standard_normal(len(samples), np.float32)
    samples = samples + noise * clip.noise_ratio * np.sqrt(np.mean(samples**2))
    samples *= clip.peak / np.abs(samples).max()
    soundfile.write(folder / f"{clip.name}.wav", samples, SAMPLE_RATE, subtype="PCM_16")


def _variant_exists(voice: str) -> bool:
    # The library speaks in the plain voice, and says nothing of it, when it lacks the variant.
    _, plus, variant = voice.partition("+")
    return not plus or (Path(_data_path()) / "voices" / "!v" / variant).is_file()


def _voices(languages: tuple[str, ...], variants: tuple[str, ...]) -> list[str]:
    return [f"{language}+{variant}" for language in languages for variant in variants]


def _new_sentence(spec: CorpusSpec, random: np.random.Generator, used: set[str]) -> str:
    while True:
        length = random.integers(spec.fewest_words, spec.most_words + 1)
        sentence = " ".join(random.choice(spec.words, length))
        if sentence not in used:
            used.add(sentence)
            return sentence


@contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    # Loaded anew for every utterance (3 ms): the library's static variables survive its own
    # initialisation and make each utterance depend on the ones before it.
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        yield library
    finally:
        _ctypes.dlclose(library._handle)


@functools.cache
def _data_path() -> str:
    path: str = espeakng_loader.get_data_path()
    if len(os.fsencode(path)) <= _LONGEST_DATA_PATH:
        return path
    folder = tempfile.mkdtemp(prefix="espeak-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = Path(folder) / "data"
    link.symlink_to(path)
    return str(link)
