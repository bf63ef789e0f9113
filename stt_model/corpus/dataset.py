"""Samples of manifests: utterances with labels and lengths; only the lengths are in memory."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.base import DataError, Spool
from stt_model.corpus.audio import AudioError, AudioInfo, audio_info
from stt_model.corpus.audio_settings import USUAL_AUDIO, AudioSettings
from stt_model.corpus.manifests import Utterance, iter_utterances
from stt_model.storage import StoreError
from stt_model.text import Alphabet, describe_characters, normalise

log = logging.getLogger(__name__)

ADVICE = "`stt-bootstrap validate` lists every such row and writes manifests without them"

HEADER_THREADS = 32
"""Threads that read headers: they mostly wait for the disk or the network."""
_HEADERS_AT_ONCE = 64
_NAMED_TOO_SHORT = 20
_MANY = 5000


@dataclass(frozen=True)
class Sample:
    """One utterance ready for training: its labels, and its length from the file's header."""

    utterance: Utterance
    labels: tuple[int, ...]
    frames: int
    seconds: float


class Samples:
    """Samples by row; only their lengths are in memory, 24 bytes per row.

    ``frames`` int32 [rows] and ``seconds`` float64 [rows] are each clip's length, ``frames_needed``
    int32 [rows] is what CTC needs for its labels. ``audio`` says how clips are cut into frames.
    """

    def __init__(
        self,
        spool: Spool[Utterance],
        alphabet: Alphabet,
        *,
        places: NDArray[np.int64],
        frames: NDArray[np.int32],
        seconds: NDArray[np.float64],
        frames_needed: NDArray[np.int32],
        audio: AudioSettings = USUAL_AUDIO,
    ) -> None:
        self._spool = spool
        self._alphabet = alphabet
        self._places = places
        self.frames = frames
        self.seconds = seconds
        self.frames_needed = frames_needed
        self.audio = audio

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> Sample:
        """Read a sample from disk; IndexError where there is none."""
        utterance = self.utterance(row)
        labels = tuple(self._alphabet.encode(utterance.transcript))
        return Sample(utterance, labels, int(self.frames[row]), float(self.seconds[row]))

    def utterance(self, row: int) -> Utterance:
        """Read the utterance alone; IndexError where there is none."""
        return self._spool.read(int(self._places[row]))

    def select(self, rows: NDArray[Any]) -> Samples:
        """Return the samples of these rows, in this order, or those where a mask is true."""
        return Samples(
            self._spool,
            self._alphabet,
            places=self._places[rows],
            frames=self.frames[rows],
            seconds=self.seconds[rows],
            frames_needed=self.frames_needed[rows],
            audio=self.audio,
        )


def read_samples(
    manifests: Sequence[Path], alphabet: Alphabet, audio: AudioSettings = USUAL_AUDIO
) -> Samples:
    """Read manifests and every clip's header, and check every transcript against the alphabet.

    A transcript that fits only in NFC is converted to NFC. ``audio`` are the model's settings,
    which determine how many frames a clip has.

    Raises:
        DataError: if there is no row, or a row has a blank transcript, characters outside the
            alphabet, or no readable audio. The message shows the first such row, and for
            transcripts how many more there are.
    """
    spool: Spool[Utterance] = Spool()
    places, needed = array("q"), array("i")
    first_problem, problems = "", 0
    for utterance in _utterances(manifests):
        utterance = _in_writable_form(utterance, alphabet)
        if problem := _problem(utterance, alphabet):
            first_problem = first_problem or problem
            problems += 1
        if not problems:
            places.append(spool.append(utterance))
            needed.append(frames_needed(alphabet.encode(utterance.transcript)))
    if problems:
        more = f" (and {problems - 1} more such rows)" if problems > 1 else ""
        raise DataError(f"{first_problem}{more}; {ADVICE}")
    if not places:
        names = ", ".join(str(path) for path in manifests)
        raise DataError(f"{names}: expected at least one utterance, found none")
    spool.flush()
    rows = np.array(places, np.int64)
    if len(rows) >= _MANY:
        log.info("reading the headers of %s clips", f"{len(rows):,}")
    frames, seconds = _lengths(spool, rows, audio)
    return Samples(
        spool,
        alphabet,
        places=rows,
        frames=frames,
        seconds=seconds,
        frames_needed=np.array(needed, np.int32),
        audio=audio,
    )


def drop_too_short(samples: Samples) -> Samples:
    """Return the samples that can be trained on; the log names the others.

    CTC has no path through fewer frames than ``frames_needed``.

    Raises:
        DataError: none is left.
    """
    long_enough = samples.frames >= samples.frames_needed
    too_short = np.flatnonzero(~long_enough)
    for row in too_short[:_NAMED_TOO_SHORT]:
        sample = samples[row]
        log.warning(
            "%s, row %d: left out: expected at least %d frames of audio for its %d labels,"
            " found %d",
            sample.utterance.source,
            sample.utterance.row,
            samples.frames_needed[row],
            len(sample.labels),
            sample.frames,
        )
    if len(too_short) > _NAMED_TOO_SHORT:
        log.warning("and %d more that are too short", len(too_short) - _NAMED_TOO_SHORT)
    if not long_enough.any():
        source = samples.utterance(0).source
        raise DataError(
            f"{source}: every transcript has more labels than its audio has frames;"
            " check that these clips belong to these transcripts"
        )
    return samples.select(long_enough)


def frames_needed(labels: Sequence[int]) -> int:
    """Return the frames that CTC needs: one per label, and a blank between equal neighbours."""
    return len(labels) + sum(first == second for first, second in pairwise(labels))


@contextmanager
def row_named(utterance: Utterance) -> Iterator[None]:
    """Add the row to error messages about its clip."""
    try:
        yield
    except AudioError as error:
        raise DataError(f"{utterance.source}, row {utterance.row}: {error}; {ADVICE}") from error
    except StoreError as error:
        # The same class, since callers decide by it whether to try again.
        raise type(error)(f"{utterance.source}, row {utterance.row}: {error}") from error


def _utterances(manifests: Iterable[Path]) -> Iterator[Utterance]:
    for path in manifests:
        yield from iter_utterances(path)


def _lengths(
    spool: Spool[Utterance], places: NDArray[np.int64], audio: AudioSettings
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the frames and the seconds of each clip."""
    frames, seconds = np.empty(len(places), np.int32), np.empty(len(places), np.float64)

    def read_headers(start: int) -> None:
        for row in range(start, min(start + _HEADERS_AT_ONCE, len(places))):
            info = _audio_info(spool.read(int(places[row])))
            frames[row], seconds[row] = info.frames_for(audio), info.duration

    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        # The first error is raised: results are awaited in order.
        parts = [pool.submit(read_headers, at) for at in range(0, len(places), _HEADERS_AT_ONCE)]
        try:
            for part in parts:
                part.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return frames, seconds


def _audio_info(utterance: Utterance) -> AudioInfo:
    with row_named(utterance):
        return audio_info(utterance.place)


def _in_writable_form(utterance: Utterance, alphabet: Alphabet) -> Utterance:
    if alphabet.missing(utterance.transcript):
        return replace(utterance, transcript=normalise(utterance.transcript))
    return utterance


def _problem(utterance: Utterance, alphabet: Alphabet) -> str | None:
    row = f"{utterance.source}, row {utterance.row}"
    if not utterance.transcript.strip():
        return f"{row}: expected a transcript, found none"
    missing = alphabet.missing(utterance.transcript)
    if missing:
        return (
            f"{row}: expected only characters of the alphabet ({alphabet.size} labels), found"
            f" {describe_characters(sorted(missing))}; to give the model a new alphabet, use"
            " --drop_source_layers and --alphabet_config_path"
        )
    return None
