"""Find clips whose text and audio may not match, the most suspicious first, with reasons.

Each kind of evidence is a number: a clip's distance from the corpus's median in robust standard
deviations (median absolute deviation times 1.4826). Below ``THRESHOLD`` it does not count. A clip's
score is that of its strongest evidence; clips without any are ranked by how much model and
transcript disagree.
"""

from __future__ import annotations

import csv
import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stt_model.base import BootstrapError, atomic_write
from stt_model.corpus import clip_digest, read_audio
from stt_model.evaluation.alignment import align
from stt_model.evaluation.samples import EvaluatedSample

THRESHOLD = 4.0
"""Robust standard deviations from which evidence counts."""
FEWEST = 20
"""With fewer clips the statistics mean nothing, and only duplicates and silence are reported."""
LISTED = 0.1
"""Share of the clips in the list, besides all those with evidence against them."""

COLUMNS = (
    *("rank", "drop", "score", "why", "wav_filename", "transcript", "hypothesis"),
    *("loss", "cer", "seconds", "manifest"),
)

_CERTAIN = 20.0
"""Score of certain evidence: silence, the same audio with two texts."""
_MOST = 99.0
_LEAST_ERROR = 0.4
"""Share of wrong characters below which model and transcript count as agreeing."""
_SILENCE_DBFS = -60.0
_ENDING = 0.3
"""Share of the reference or hypothesis that must be missing at an end to count as cut off."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suspect:
    """A clip of the list."""

    sample: EvaluatedSample
    score: float
    """At most 99; the evidence counts from 4."""
    reasons: tuple[str, ...]
    """Reasons in words, the strongest first; empty without evidence."""
    drop: bool
    """Whether the next run should leave it out, as proposed by the list."""

    @property
    def why(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.reasons)


def find_suspects(samples: Sequence[EvaluatedSample]) -> list[Suspect]:
    """Return the most suspicious clips of a corpus, the most suspicious first.

    ``samples`` should be those of all splits, since they define what is usual. Audio is read only
    if the hypothesis is empty, or if clips of equal length may be duplicates.
    """
    evidence: list[list[tuple[float, str, bool]]] = [[] for _ in samples]
    disagreement = _disagreement(samples)
    if len(samples) >= FEWEST:
        for row, value in enumerate(disagreement):
            sample = samples[row]
            if value >= THRESHOLD and _wrong_share(sample) >= _LEAST_ERROR:
                evidence[row].append((float(value), _describe_disagreement(sample), True))
        for row, score, why in (*_odd_speed(samples), *_odd_writing(samples)):
            evidence[row].append((score, why, False))
    for row, score, why, drop in (*_cut_off(samples), *_silent(samples), *_repeated(samples)):
        evidence[row].append((score, why, drop))
    ranked = []
    for sample, value, found in zip(samples, disagreement, evidence, strict=True):
        found.sort(reverse=True)
        score = found[0][0] if found else _below_threshold(float(value))
        reasons = tuple(why for _, why, _ in found)
        ranked.append(Suspect(sample, min(score, _MOST), reasons, any(d for *_, d in found)))
    ranked.sort(key=lambda each: (-each.score, each.sample.wav_filename))
    shown = math.ceil(LISTED * len(ranked))
    return [each for place, each in enumerate(ranked) if place < shown or each.reasons]


def _below_threshold(value: float) -> float:
    """Return a score for a clip without evidence, in the order of ``value``."""
    return THRESHOLD * value / (value + THRESHOLD) if value > 0 else 0.0


def write_suspects(suspects: Sequence[Suspect], path: Path) -> None:
    """Write the list as a CSV file, whole or not at all.

    The next run uses the column ``drop``, which people may edit.
    """
    with (
        atomic_write(path) as beside,
        beside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as handle,
    ):
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        for rank, each in enumerate(suspects, start=1):
            sample = each.sample
            writer.writerow(
                [
                    rank,
                    "yes" if each.drop else "no",
                    f"{each.score:.2f}",
                    each.why,
                    sample.wav_filename,
                    sample.src,
                    sample.res,
                    f"{sample.loss:.3f}" if math.isfinite(sample.loss) else "",
                    f"{sample.cer:.3f}",
                    f"{sample.seconds:.2f}",
                    sample.manifest,
                ]
            )


# Evidence


def _disagreement(samples: Sequence[EvaluatedSample]) -> NDArray[np.float64]:
    """Return for each clip how unusual its loss and its errors are, as the mean of both.

    The loss is per character of the longer text, so that a long clip is not suspicious for its
    length, but a text that is far too short for its clip is.
    """
    if not samples:
        return np.zeros(0)
    losses = [each.loss / _longer(each) if math.isfinite(each.loss) else _MOST for each in samples]
    errors = np.array([_wrong_share(each) for each in samples])
    return (_deviations(np.array(losses), 0.1) + _deviations(errors, 0.05)) / 2


def _longer(sample: EvaluatedSample) -> int:
    return max(len(sample.src), len(sample.res), 1)


def _wrong_share(sample: EvaluatedSample) -> float:
    return sample.char_distance / _longer(sample)


def _deviations(values: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Return how many robust standard deviations values are above the median, at most 99."""
    median = np.median(values)
    spread = max(1.4826 * float(np.median(np.abs(values - median))), floor)
    return np.minimum((values - median) / spread, _MOST)


def _describe_disagreement(sample: EvaluatedSample) -> str:
    if not math.isfinite(sample.loss):
        return "the text is too long for the audio"
    return f"text and audio disagree: {_wrong_share(sample):.0%} of the characters differ"


def _odd_speed(samples: Sequence[EvaluatedSample]) -> Iterator[tuple[int, float, str]]:
    rows = [row for row, each in enumerate(samples) if each.seconds > 0 and each.src]
    if len(rows) < FEWEST:
        return
    paces = [len(samples[row].src) / samples[row].seconds for row in rows]
    logarithms = np.log(np.array(paces))
    fast, slow = _deviations(logarithms, 0.1), _deviations(-logarithms, 0.1)
    usual = float(np.median(paces))
    for row, pace, above, below in zip(rows, paces, fast, slow, strict=True):
        if max(above, below) >= THRESHOLD:
            word = "fast" if above > below else "slow"
            why = f"{word}: {pace:.1f} characters a second, where {usual:.1f} are usual"
            yield row, float(max(above, below)), why


def _odd_writing(samples: Sequence[EvaluatedSample]) -> Iterator[tuple[int, float, str]]:
    """Yield texts whose letter pairs are rare in the others: perhaps another language."""
    all_pairs, all_firsts = Counter[tuple[str, str]](), Counter[str]()
    for sample in samples:
        all_pairs.update(pairwise(f" {sample.src} "))
        all_firsts.update(f" {sample.src}")
    kinds = len(all_firsts) + 1
    surprise = np.zeros(len(samples))
    for row, sample in enumerate(samples):
        own, own_firsts = Counter(pairwise(f" {sample.src} ")), Counter(f" {sample.src}")
        # Without its own pairs, which would make it look usual.
        surprise[row] = -sum(
            count
            * math.log(
                (all_pairs[pair] - count + 0.5)
                / (all_firsts[pair[0]] - own_firsts[pair[0]] + 0.5 * kinds)
            )
            for pair, count in own.items()
        ) / max(own.total(), 1)
    for row, value in enumerate(_deviations(surprise, 0.1)):
        if value >= 1.5 * THRESHOLD:
            yield row, float(value), "written unlike the other texts: perhaps another language"


def _cut_off(samples: Sequence[EvaluatedSample]) -> Iterator[tuple[int, float, str, bool]]:
    """Yield clips whose reference or hypothesis continues at an end while the rest agrees."""
    for row, sample in enumerate(samples):
        if not sample.res or _wrong_share(sample) < _ENDING:
            continue
        kinds = [
            "text" if hypothesis is None else "audio" if reference is None else ""
            for reference, hypothesis in align(sample.src, sample.res, "character")
        ]
        for end, place in ((kinds, "beginning"), (kinds[::-1], "end")):
            longest = _run_at_the_start(end)
            length = len(sample.src if end[0] == "text" else sample.res)
            rest = sample.char_distance - longest
            if longest >= max(4, _ENDING * length) and rest <= 0.2 * length:
                missing = "audio" if end[0] == "text" else "text"
                why = f"cut off: the {missing} is missing at the {place}"
                yield row, THRESHOLD + 10 * longest / max(length, 1), why, True


def _run_at_the_start(kinds: Sequence[str]) -> int:
    """Return the length of the first run of one kind; 0 if it is in both texts."""
    return next((i for i, kind in enumerate(kinds) if not kind or kind != kinds[0]), len(kinds))


def _silent(samples: Sequence[EvaluatedSample]) -> Iterator[tuple[int, float, str, bool]]:
    for row, sample in enumerate(samples):
        if sample.res.strip() or not sample.src.strip():
            continue
        try:
            power = float(np.mean(np.square(read_audio(sample.wav_filename))))
        except BootstrapError as error:
            _log.warning("%s", error)
            continue
        level = 10 * math.log10(power) if power else -math.inf
        if level < _SILENCE_DBFS:
            yield row, _CERTAIN, f"silence: {level:.0f} dBFS", True
        else:
            yield row, THRESHOLD, "the hypothesis is empty", False


def _repeated(samples: Sequence[EvaluatedSample]) -> Iterator[tuple[int, float, str, bool]]:
    """Yield clips with the same bytes as an earlier one."""
    by_length: dict[float, list[int]] = {}
    for row, sample in enumerate(samples):
        by_length.setdefault(round(sample.seconds, 4), []).append(row)
    for rows in by_length.values():
        first: dict[str, int] = {}
        for row in rows if len(rows) > 1 else ():
            try:
                digest = clip_digest(samples[row].wav_filename)
            except BootstrapError as error:
                _log.warning("%s", error)
                continue
            if (other := first.setdefault(digest, row)) == row:
                continue
            name = Path(samples[other].wav_filename).name
            if samples[other].src == samples[row].src:
                yield row, THRESHOLD, f"duplicate: the same audio and text as {name}", True
            else:
                for place, twin in ((row, name), (other, Path(samples[row].wav_filename).name)):
                    yield place, _CERTAIN, f"duplicate: the audio of {twin} with other text", True
