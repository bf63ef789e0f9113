"""Coqui STT's beam search with a scorer, using the decoder of flashlight-text.

Both keep the best prefixes of the text at each frame, sum the paths that lead to each, and score a
word with the language model once its space is there. The differences are mapped here:

- flashlight uses log10 probabilities, Coqui natural logarithms;
- the spelling of a word includes its space, so that it is scored when Coqui would score it;
- flashlight does not allow the last label of a unit to repeat over frames, except for one
"silence" label, which it also allows between units. So each unit has a second spelling with its
last label repeated, and silence is a label that only extra frames after the last one have.
There, silence is the missing space of the last word;
- flashlight adds the probability of the end of the sentence unless, as here, its decoding is
never ended;
- Coqui never writes units that the language model does not know: they are left out.

What still differs: for an incomplete word flashlight uses the score of the most probable
completion, where Coqui uses none, so a full beam drops other texts; the two states of a text, with
and without a blank after it, occupy two places in the beam; and the space after a word may occur
twice with a blank between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.base import DataError, ScorerError, call_apart, stderr_held_back
from stt_model.decoding.scorer import Scorer
from stt_model.decoding.search_defaults import DEFAULT_BEAM_WIDTH, DEFAULT_CUTOFF_TOP_N

_SAMPLED_UNITS = 2000
"""Units that are looked up to check that the scorer fits the model's alphabet."""
_MEMORY_TO_LOAD = 8 * 2**30
_MEMORY_A_BYTE = 16
"""Address space for a check in bytes, and more per byte of the file: ARPA text grows."""
_SECONDS_TO_LOAD = 120.0
_BYTES_A_SECOND = 2 * 2**20
"""Maximum duration of a check: on the slowest disk, and for text."""
_LEFT_OUT = -1000.0
"""Natural logarithm of the probability of labels that the cutoffs exclude."""
_FAR_BEHIND = 15.0
_FAR_BEHIND_FOR_ALPHA = 8.0
"""Nats by which a text may trail the best: acoustically, and per unit of alpha."""


@dataclass(frozen=True)
class Weights:
    """The weight of the language model, ``lm_alpha``, and of each unit, ``lm_beta`` in nats."""

    lm_alpha: float
    lm_beta: float


@dataclass(frozen=True)
class SearchSettings:
    """How wide to search; names, meanings and defaults are Coqui STT's.

    Attributes:
        beam_width: prefixes of the text that are kept at each frame.
        cutoff_prob: at each frame only the most probable labels that together reach this
            probability count; 1 for all of them.
        cutoff_top_n: the maximum number of those labels; no effect while ``cutoff_prob`` is 1.
    """

    beam_width: int = DEFAULT_BEAM_WIDTH
    cutoff_prob: float = 1.0
    cutoff_top_n: int = DEFAULT_CUTOFF_TOP_N

    def check(self) -> None:
        """Refuse invalid numbers; DataError names the flag."""
        if self.beam_width < 0:
            raise DataError(f"--beam_width: expected 0 or more, got {self.beam_width}")
        if not 0 < self.cutoff_prob <= 1:
            raise DataError(
                f"--cutoff_prob: expected a number above 0, up to 1, got {self.cutoff_prob}"
            )
        if self.cutoff_top_n < 1:
            raise DataError(f"--cutoff_top_n: expected 1 or more, got {self.cutoff_top_n}")


class ScorerSearch:
    """Finds the text of an utterance; it cannot be shared by threads or sent to processes."""

    def __init__(self, scorer: Scorer, classes: int, settings: SearchSettings) -> None:
        """Load the language model and build the tree of spellings.

        ``classes`` is the width of the logits, the blank being the last class.
        """
        self.settings = settings
        self.classes = classes
        self.separator = "" if scorer.is_bytes else " "
        flashlight = _import_flashlight()
        self.units = scorer.units
        language_model = _load_language_model(scorer, self.units)
        scores, unknown = _score_alone(language_model, len(self.units))
        silence = classes
        spellings = flashlight.Trie(classes + 1, silence)
        for number, (spelling, score) in enumerate(zip(scorer.spellings, scores, strict=True)):
            if score != unknown:
                spellings.insert(spelling, number, score)
                spellings.insert([*spelling, spelling[-1]], number, score)
                if not scorer.is_bytes:
                    spellings.insert([*spelling[:-1], silence], number, score)
        spellings.smear(flashlight.SmearingMode.MAX)
        self._spellings = spellings
        self._language_model = language_model
        self._weights: Weights | None = None
        # For the missing space of the last word, and one more frame, since flashlight completes
        # a unit only when another frame follows.
        self._end = np.full((2, classes + 1), -np.inf, np.float32)
        self._end[:, silence] = 0.0

    def decode(self, logits: NDArray[np.float32], weights: Weights) -> str:
        """Return the best text of ``logits``, float32 [frames, classes]."""
        if weights != self._weights:
            self._decoder = self._make_decoder(weights)
            self._weights = weights
        emissions = np.full((len(logits), self.classes + 1), -np.inf, np.float32)
        emissions[:, :-1] = cut(log_softmax(logits), self.settings)
        decoder = self._decoder
        decoder.decode_begin()
        decoder.decode_step(emissions.ctypes.data, *emissions.shape)
        in_time = decoder.get_best_hypothesis(0)
        decoder.decode_step(self._end.ctypes.data, *self._end.shape)
        # Empty if no text of the beam ends with a whole unit: then without the incomplete unit.
        best = decoder.get_best_hypothesis(0).words or in_time.words
        return self.separator.join(self.units[unit] for unit in best if unit >= 0)

    def _make_decoder(self, weights: Weights) -> Any:
        flashlight = _import_flashlight()
        alpha, beta = weights.lm_alpha, weights.lm_beta
        options = flashlight.LexiconDecoderOptions(
            beam_size=self.settings.beam_width,
            beam_size_token=self.classes + 1,
            beam_threshold=_FAR_BEHIND + _FAR_BEHIND_FOR_ALPHA * abs(alpha) + abs(beta),
            lm_weight=alpha * math.log(10),
            word_score=beta,
            unk_score=-math.inf,
            sil_score=0.0,
            log_add=True,
            criterion_type=flashlight.CriterionType.CTC,
        )
        silence, blank, no_unit = self.classes, self.classes - 1, len(self.units)
        transitions: list[float] = []
        return flashlight.LexiconDecoder(
            options,
            self._spellings,
            self._language_model,
            silence,
            blank,
            no_unit,
            transitions,
            False,
        )


def check_scorer(scorer: Scorer) -> None:
    """Refuse a scorer that is damaged, or of another alphabet.

    KenLM reads it in a separate process, since a damaged language model can crash it. A package
    does not name its characters, but if it is spelled with the wrong ones, its vocabulary does not
    match its language model.

    Raises:
        ScorerError: the language model cannot be read, or knows less than half of the vocabulary.
    """
    step = math.ceil(len(scorer.units) / _SAMPLED_UNITS)
    units = scorer.units[::step]
    _import_flashlight()
    scores, unknown = call_apart(
        _score_units,
        scorer,
        units,
        memory=_MEMORY_TO_LOAD + _MEMORY_A_BYTE * scorer.path.stat().st_size,
        seconds=_SECONDS_TO_LOAD + scorer.path.stat().st_size / _BYTES_A_SECOND,
        failure=lambda end: ScorerError(
            f"{scorer.path}: KenLM cannot read it: {end}; the file is damaged, or this machine has"
            " too little memory for it: copy it again"
        ),
    )
    strange = [unit for unit, score in zip(units, scores, strict=True) if score == unknown]
    if 2 * len(strange) > len(units):
        raise ScorerError(
            f"{scorer.path}: made for another alphabet than the model's: spelled with the model's,"
            f" {len(strange) / len(units):.0%} of its words are unknown to its language model,"
            f" such as {strange[0]!r}"
        )
    if any(not score <= 0 for score in [*scores, unknown]):
        raise ScorerError(
            f"{scorer.path}: expected logarithms of probabilities, found numbers above 0 or none at"
            " all; the file is damaged: copy it again"
        )


def _score_units(scorer: Scorer, units: Sequence[str]) -> tuple[list[float], float]:
    return _score_alone(_load_language_model(scorer, units), len(units))


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the natural logarithms of the probabilities, over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float32)


def cut(log_probabilities: NDArray[np.float32], settings: SearchSettings) -> NDArray[np.float32]:
    """Return float32 [frames, classes], with very low values for labels that the cutoffs exclude.

    Not -inf: if no other label continues a word, the search falls back to the excluded ones.
    """
    if settings.cutoff_prob >= 1:
        return log_probabilities
    order = np.argsort(-log_probabilities, axis=-1, kind="stable")
    in_order = np.take_along_axis(log_probabilities, order, -1)
    mass = np.exp(in_order)
    # The label that reaches the wanted mass is included.
    out = np.cumsum(mass, -1) - mass >= settings.cutoff_prob
    out[:, settings.cutoff_top_n :] = True
    in_order[out] = _LEFT_OUT
    result = np.empty_like(log_probabilities)
    np.put_along_axis(result, order, in_order, -1)
    return result


def _import_flashlight() -> Any:
    try:
        from flashlight.lib.text import decoder
    except ModuleNotFoundError as error:
        raise ScorerError(
            "a scorer needs the package flashlight-text, which is not installed; it comes ready to"
            " use for Python 3.10 to 3.12 on x86-64"
        ) from error
    return decoder


def _load_language_model(scorer: Scorer, units: Sequence[str]) -> Any:
    _import_flashlight()
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    dictionary = Dictionary()
    for unit in (*units, "<unk>"):
        dictionary.add_entry(unit)
    problem = None
    with stderr_held_back():
        try:
            language_model = KenLM(str(scorer.path), dictionary)
        except (RuntimeError, MemoryError, ValueError) as error:
            problem = error
    if problem is not None:
        # Before its last line KenLM names the place in its source.
        reason = [type(problem).__name__, *str(problem).strip().splitlines()][-1]
        raise ScorerError(f"{scorer.path}: KenLM cannot read it: {reason}") from problem
    return language_model


def _score_alone(language_model: Any, count: int) -> tuple[list[float], float]:
    """Return log10 of the probability of each of ``count`` units, and of an unknown unit.

    They have no context; KenLM gives the second value to every unit that it does not know.
    """
    nothing = language_model.start(True)
    *scores, unknown = (language_model.score(nothing, unit)[1] for unit in range(count + 1))
    return scores, unknown
