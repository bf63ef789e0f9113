"""Every check on one utterance, one function each; those on the corpus are in ``corpus_checks``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stt_model.corpus.audio_settings import SAMPLE_RATE, frame_count
from stt_model.corpus.findings import Severity
from stt_model.corpus.manifests import Utterance
from stt_model.corpus.measuring import Measurement
from stt_model.text import (
    Alphabet,
    NormalisedText,
    describe_characters,
    encoding_problem,
    is_control,
    shorten,
    show_characters,
)


@dataclass(frozen=True)
class Limits:
    """The thresholds of the checks; only ``max_seconds_read`` rejects a row."""

    min_seconds: float = 0.3
    """Shorter clips hardly hold a word."""
    max_seconds: float = 30.0
    """Longer clips need much memory, and CTC learns little from them."""
    max_seconds_read: float = 300.0
    """Longer files were never cut into utterances: an error, and not decoded."""
    silence_dbfs: float = -60.0
    """Root mean square of the whole utterance, relative to full scale."""
    clipped_share: float = 0.01
    """Share of samples at full scale."""
    pace_deviations: float = 5.0
    """Robust standard deviations of log seconds per character, from the corpus' median."""
    pace_utterances: int = 20
    """With fewer utterances their pace is not checked."""


@dataclass(frozen=True)
class Item:
    """An utterance as the checks see it."""

    split: str
    utterance: Utterance
    text: str
    """The transcript in NFC, as in the clean manifest."""
    audio: Measurement | None
    audio_problem: str
    """Why there is no measurement."""
    normalised: NormalisedText | None = None
    """The normaliser's outcome, if there is a normaliser."""


@dataclass(frozen=True)
class Settings:
    """The settings of the checks."""

    alphabet: Alphabet | None
    limits: Limits
    dropped: Mapping[str, str] = field(default_factory=dict)
    """Reasons to leave clips out of training, by clip."""


class Discrepancy(NamedTuple):
    """The finding of a check on one row."""

    expected: str
    found: str


def suspect_dropped(item: Item, settings: Settings) -> Discrepancy | None:
    """The list of suspects says to drop the row; those of the test split stay."""
    why = settings.dropped.get(item.utterance.place)
    if why is None or item.split == "test":
        return None
    return Discrepancy(
        "a row that is not marked to be dropped", f"a suspect: {why or 'no reason given'}"
    )


def audio_readable(item: Item, settings: Settings) -> Discrepancy | None:
    """The audio is missing, empty, unreadable or far too long."""
    return None if item.audio else Discrepancy("readable audio", item.audio_problem)


def transcript_blank(item: Item, settings: Settings) -> Discrepancy | None:
    """The transcript is empty or only spaces."""
    return None if item.text.strip() else Discrepancy("a transcript", repr(item.text))


def transcript_encoding(item: Item, settings: Settings) -> Discrepancy | None:
    """The transcript was saved in one encoding and read in another."""
    problem = encoding_problem(item.utterance.transcript)
    return Discrepancy("the transcript as it was written", problem) if problem else None


def transcript_normalised(item: Item, settings: Settings) -> Discrepancy | None:
    """The language's rules cannot tell what was said, or leave nothing of the transcript."""
    if item.normalised is None or not item.normalised.problem:
        return None
    return Discrepancy("a transcript that the rules can handle", item.normalised.problem)


def transcript_control_characters(item: Item, settings: Settings) -> Discrepancy | None:
    """The transcript holds control characters, such as a line end, which cannot be labels."""
    if not (control := set(filter(is_control, item.text))):
        return None
    found = f"{describe_characters(sorted(control))} in {shorten(item.text)!r}"
    return Discrepancy("no control characters", found)


def transcript_in_alphabet(item: Item, settings: Settings) -> Discrepancy | None:
    """The transcript holds characters that the given alphabet lacks."""
    alphabet = settings.alphabet
    if alphabet is None or not (missing := alphabet.missing(item.text)):
        return None
    found = f"{describe_characters(sorted(missing))} in {shorten(item.text)!r}"
    return Discrepancy(f"only the {alphabet.size} labels of the alphabet", found)


def transcript_fits_audio(item: Item, settings: Settings) -> Discrepancy | None:
    """The transcript is longer than the audio's frames allow (CTC: labels + repeats)."""
    if item.audio is None:
        return None
    labels = _labels(item.text, settings.alphabet)
    needed = len(labels) + sum(a == b for a, b in itertools.pairwise(labels))
    frames = frame_count(item.audio.samples)
    if frames >= needed:
        return None
    found = f"{frames} frames ({item.audio.seconds:.2f} s) for {shorten(item.text)!r}"
    return Discrepancy(f"at least {needed} frames of 20 ms, one per label and repeat", found)


def transcript_normal_form(item: Item, settings: Settings) -> Discrepancy | None:
    """The transcript is not in NFC; the clean manifest has it in NFC."""
    written = item.utterance.transcript
    # A normaliser's own report shows this change.
    if item.normalised or item.text == written:
        return None
    changed = describe_characters(sorted(set(written) - set(item.text))) or "marks in another order"
    return Discrepancy("composed characters (NFC)", f"{changed} in {shorten(written)!r}")


def transcript_digits(item: Item, settings: Settings) -> Discrepancy | None:
    """The transcript holds digits, which are spoken in many ways; spell them out."""
    alphabet = settings.alphabet
    digits = {character for character in item.text if character.isdigit()}
    if not digits or (alphabet is not None and not alphabet.is_bytes):
        return None
    return Discrepancy(
        "numbers spelled out", f"{show_characters(sorted(digits))} in {shorten(item.text)!r}"
    )


def duration_short(item: Item, settings: Settings) -> Discrepancy | None:
    """The audio is very short."""
    limit = settings.limits.min_seconds
    if item.audio is None or item.audio.seconds >= limit:
        return None
    return Discrepancy(f"at least {limit:g} s", f"{item.audio.seconds:.2f} s")


def duration_long(item: Item, settings: Settings) -> Discrepancy | None:
    """The audio is very long."""
    limit = settings.limits.max_seconds
    if item.audio is None or item.audio.seconds <= limit:
        return None
    return Discrepancy(f"at most {limit:g} s", f"{item.audio.seconds:.1f} s")


def audio_silent(item: Item, settings: Settings) -> Discrepancy | None:
    """The audio is silent, or close to it."""
    limit = settings.limits.silence_dbfs
    if item.audio is None or item.audio.level is None or item.audio.level >= limit:
        return None
    return Discrepancy(f"speech above {limit:g} dBFS", f"{item.audio.level:.0f} dBFS")


def audio_clipped(item: Item, settings: Settings) -> Discrepancy | None:
    """The audio was recorded too loud: many samples are at full scale."""
    limit = settings.limits.clipped_share
    share = item.audio.clipped_share if item.audio else None
    if share is None or share <= limit:
        return None
    return Discrepancy(f"at most {limit:.1%} of samples clipped", f"{share:.1%}")


def audio_sample_rate(item: Item, settings: Settings) -> Discrepancy | None:
    """The audio is sampled below 16 kHz, so the upper part of the features' band is empty."""
    if item.audio is None or item.audio.sample_rate >= SAMPLE_RATE:
        return None
    return Discrepancy(f"at least {SAMPLE_RATE} Hz", f"{item.audio.sample_rate} Hz")


def wav_filesize(item: Item, settings: Settings) -> Discrepancy | None:
    """The size in the manifest is not the file's; the clean manifest has the right one."""
    if item.audio is None or item.audio.file_bytes == item.utterance.wav_filesize:
        return None
    return Discrepancy(
        f"{item.audio.file_bytes} bytes", str(item.utterance.wav_filesize or "no number")
    )


UtteranceCheck = Callable[[Item, Settings], Discrepancy | None]
UTTERANCE_CHECKS: Mapping[UtteranceCheck, Severity] = {
    suspect_dropped: "error",
    audio_readable: "error",
    transcript_blank: "error",
    transcript_encoding: "error",
    transcript_normalised: "error",
    transcript_control_characters: "error",
    transcript_in_alphabet: "error",
    transcript_fits_audio: "error",
    transcript_normal_form: "warning",
    transcript_digits: "warning",
    duration_short: "warning",
    duration_long: "warning",
    audio_silent: "warning",
    audio_clipped: "warning",
    audio_sample_rate: "warning",
    wav_filesize: "warning",
}


MANIFEST, FIELDS = "manifest", "fields"


def _labels(text: str, alphabet: Alphabet | None) -> Sequence[Hashable]:
    """Return the labels that CTC has to write; code points if there is no alphabet."""
    return text if alphabet is None or alphabet.missing(text) else alphabet.encode(text)


def place_of(item: Item) -> str:
    """Return where an utterance is, for messages."""
    return f"row {item.utterance.row} of {item.utterance.source.name}"
