"""Decode logits: beam search, beam search with a scorer, or the best label of each frame."""

from __future__ import annotations

import functools
import math
import weakref
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import loky
import numpy as np
from numpy.typing import NDArray

from stt_model.base import DataError, ScorerError, usable_cpus
from stt_model.decoding.beam_search import (
    ScorerSearch,
    SearchSettings,
    Weights,
    check_scorer,
    cut,
    log_softmax,
)
from stt_model.decoding.scorer import Scorer, read_scorer
from stt_model.decoding.search_defaults import DEFAULT_BEAM_WIDTH, DEFAULT_CUTOFF_TOP_N
from stt_model.text import Alphabet

_PIECES_A_WORKER = 4


class Decoder(Protocol):
    """Turns logits into text; made once and used for every batch."""

    def decode(self, logits: Any, frames: Any) -> list[str]:
        """Return the transcript of each utterance.

        Args:
            logits: float32 [batch, frames, classes]; the last class is the blank.
            frames: int32 [batch], frames of each utterance that are not padding.
        """
        ...


def open_decoder(
    alphabet: Alphabet,
    *,
    beam_width: int = 0,
    scorer_path: Path | None = None,
    vocab_file: Path | None = None,
    lm_alpha: float | None = None,
    lm_beta: float | None = None,
    cutoff_prob: float = 1.0,
    cutoff_top_n: int = DEFAULT_CUTOFF_TOP_N,
    workers: int | None = None,
) -> Decoder:
    """Return a decoder for the logits of a model with ``alphabet``.

    Args:
        alphabet: the labels of the classes before the last.
        beam_width: prefixes of the text that are kept at each frame; 0 for Coqui STT's 1024.
            1 without a scorer takes the best label of each frame.
        scorer_path: language model and vocabulary; see ``scorer.py`` for the kinds.
        vocab_file: words that the scorer may write, if its file has none or others.
        lm_alpha: weight of the language model; None for the scorer's own.
        lm_beta: reward for a word, in nats; None for the scorer's own.
        cutoff_prob: use each frame's likeliest labels up to this total probability; 1 for all.
        cutoff_top_n: maximum number of those labels, if ``cutoff_prob`` is below 1.
        workers: utterances decoded at once; None for one per usable processor.

    Raises:
        DataError: an invalid number.
        ScorerError: the scorer cannot be read, or is not of this alphabet.
    """
    settings = SearchSettings(beam_width, cutoff_prob, cutoff_top_n)
    settings.check()
    settings = replace(settings, beam_width=beam_width or DEFAULT_BEAM_WIDTH)
    if scorer_path is not None:
        scorer = read_scorer(scorer_path, alphabet, vocab_file)
        decoder = ScorerDecoder(scorer, alphabet.classes, settings, workers)
        decoder.weigh(lm_alpha, lm_beta)
        return decoder
    if beam_width == 1:
        return GreedyDecoder(alphabet)
    return BeamDecoder(alphabet, settings, workers)


class GreedyDecoder:
    """Takes the best label of each frame."""

    def __init__(self, alphabet: Alphabet) -> None:
        self.alphabet = alphabet

    def decode(self, logits: Any, frames: Any) -> list[str]:
        """Return the labels of the frames, without repeats and blanks."""
        best = (frame.argmax(axis=-1) for frame in _utterances(logits, frames))
        return [collapse(labels, self.alphabet) for labels in best]


def collapse(labels: NDArray[np.integer[Any]], alphabet: Alphabet) -> str:
    """Return the text of the best label of each frame, [frames]: without repeats and blanks."""
    changes = np.diff(labels, prepend=-1) != 0
    return alphabet.decode(labels[changes & (labels != alphabet.blank)])


class BeamDecoder:
    """Keeps the best prefixes of the text at each frame, summing all paths to each."""

    def __init__(
        self, alphabet: Alphabet, settings: SearchSettings, workers: int | None = None
    ) -> None:
        self.alphabet = alphabet
        self.settings = settings
        # Threads do, because the search does not hold the interpreter's lock.
        self._pool = ThreadPoolExecutor(workers or usable_cpus())

    def decode(self, logits: Any, frames: Any) -> list[str]:
        """Return the most probable text of each utterance."""
        search = functools.partial(_search_alone, settings=self.settings)
        found = self._pool.map(search, _utterances(logits, frames))
        return [self.alphabet.decode(labels) for labels in found]


class ScorerDecoder:
    """Searches for the best text with a scorer, in one process per worker."""

    def __init__(
        self,
        scorer: Scorer,
        classes: int,
        settings: SearchSettings,
        workers: int | None = None,
    ) -> None:
        """Check the scorer; the processes start with the first batch.

        Raises:
            ScorerError: it is not of the alphabet that it was read for.
        """
        check_scorer(scorer)
        self.scorer_path = scorer.path
        self.is_bytes = scorer.is_bytes
        self.own_weights = Weights(scorer.lm_alpha, scorer.lm_beta)
        self.weigh()
        # Processes, because flashlight holds the interpreter's lock while it searches. Unlike the
        # standard library's, Loky's do not run the main program again.
        self._workers = workers or usable_cpus()
        self._pool = loky.ProcessPoolExecutor(
            self._workers,
            initializer=_open_search,
            initargs=(scorer, classes, settings),
        )
        # Each process holds the whole vocabulary, so none outlives its decoder.
        weakref.finalize(self, self._pool.shutdown, wait=False, kill_workers=True)

    def weigh(self, lm_alpha: float | None = None, lm_beta: float | None = None) -> None:
        """Change the weights for everything decoded from now on; None is the scorer's own.

        Raises:
            DataError: a weight that is not a finite number.
        """
        for name, weight in {"lm_alpha": lm_alpha, "lm_beta": lm_beta}.items():
            if weight is not None and not math.isfinite(weight):
                raise DataError(f"--{name}: expected a number, got {weight}")
        self.weights = Weights(
            self.own_weights.lm_alpha if lm_alpha is None else lm_alpha,
            self.own_weights.lm_beta if lm_beta is None else lm_beta,
        )

    def decode(self, logits: Any, frames: Any) -> list[str]:
        """Return the best text of each utterance."""
        search = functools.partial(_search, weights=self.weights)
        utterances = _utterances(logits, frames)
        # A few pieces per worker: few messages, and none waits long for the slowest.
        size = math.ceil(len(utterances) / (_PIECES_A_WORKER * self._workers))
        try:
            return list(self._pool.map(search, utterances, chunksize=max(size, 1)))
        except BrokenExecutor as error:
            raise ScorerError(
                f"{self.scorer_path}: a process that decodes has died, probably because memory ran"
                " out: each holds the whole vocabulary; give this machine more, or the scorer"
                " fewer words; or the scorer is damaged: copy it again"
            ) from error


def _search_alone(
    logits: NDArray[np.float32], settings: SearchSettings
) -> NDArray[np.integer[Any]]:
    from stt_model.decoding import prefix_search  # Numba, which takes a moment to import.

    probabilities = np.maximum(log_softmax(logits), prefix_search.SMALLEST)
    return prefix_search.search(cut(probabilities, settings), settings.beam_width)


def _utterances(logits: Any, frames: Any) -> list[NDArray[np.float32]]:
    pairs = zip(np.asarray(logits, np.float32), np.asarray(frames), strict=True)
    return [utterance[:length] for utterance, length in pairs]


_search_of_process: ScorerSearch


def _open_search(scorer: Scorer, classes: int, settings: SearchSettings) -> None:
    global _search_of_process
    _search_of_process = ScorerSearch(scorer, classes, settings)


def _search(logits: NDArray[np.float32], weights: Weights) -> str:
    return _search_of_process.decode(logits, weights)
