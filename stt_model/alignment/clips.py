"""Matched tokens to clips, each with a confidence, and what of text and audio is in none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stt_model.alignment.config import AlignmentConfig
from stt_model.alignment.cutting import Cut, choose_clips, find_cuts
from stt_model.alignment.evidence import decoys, forced_costs
from stt_model.alignment.matching import Matched, plain_rows
from stt_model.alignment.tokens import Labels, Text

_LOCAL = 8
"""Labels of the shortest part of a clip that is judged by itself."""
_HEARD = 0.3
"""Seconds of speech between two tokens that are not the text's."""
_END = 0.15
"""Seconds by which a word may begin before its first label, or end behind its last."""
_HEARD_APART = 1.0
"""Seconds of speech outside of all clips that are told of."""


@dataclass(frozen=True)
class AlignedClip:
    """A part of a recording with what is said in it."""

    start: float
    """s."""
    end: float
    """s."""
    transcript: str
    confidence: float
    """0 to 1: see ``AlignmentConfig.min_confidence``."""
    first: int
    """Of its tokens."""
    last: int
    """The token behind it."""


@dataclass(frozen=True)
class Unmatched:
    """Text without audio, or audio without text."""

    kind: str
    """text or audio."""
    start: float
    """s; of a text, where it would be."""
    end: float
    text: str
    reason: str


def make_clips(
    text: Text,
    labels: Labels,
    matched: Matched,
    log_probabilities: NDArray[np.float16],
    pauses: NDArray[np.float64],
    step: float,
    config: AlignmentConfig,
) -> tuple[list[AlignedClip], list[Unmatched]]:
    """Return the clips of a recording, in order, and what is in none of them.

    Args:
        text: the tokens.
        labels: theirs.
        matched: where they lie.
        log_probabilities: float16 [frames, classes].
        pauses: as ``find_pauses`` returns them.
        step: seconds between two frames.
        config: how clips are cut.
    """
    length = len(log_probabilities) * step
    spans = matched.spans.astype(np.float64) * np.float64(step)
    sentences = [token.sentence for token in text.tokens]
    ends = frozenset(
        number for number in range(1, len(sentences)) if sentences[number] != sentences[number - 1]
    )
    clips: list[AlignedClip] = []
    for stretch in _stretches(text, matched, spans, pauses, step):
        cuts = find_cuts(stretch, spans, pauses, config.shortest_pause, length)
        for begin, end in choose_clips(cuts, config.shortest_clip, config.longest_clip, ends):
            confidence = _confidence(labels, matched, log_probabilities, begin, end, step)
            transcript = text.between(begin.token, end.token)
            clips.append(
                AlignedClip(begin.start, end.end, transcript, confidence, begin.token, end.token)
            )
    unmatched = [*_texts(text, matched, clips, spans, length), *_audio(matched, clips, step)]
    return clips, sorted(unmatched, key=lambda each: each.start)


def _stretches(
    text: Text,
    matched: Matched,
    spans: NDArray[np.float64],
    pauses: NDArray[np.float64],
    step: float,
) -> Iterator[Sequence[int]]:
    """Yield runs of tokens that follow each other in text and audio."""
    heard = np.concatenate([[0.0], np.cumsum(matched.speech, dtype=np.float64)]) * step
    foreign = {token for token, begin, end in matched.fillers if heard[end] - heard[begin] > _HEARD}
    left_out = sorted(each.sentence for each in text.left_out)
    run: list[int] = []
    for number, token in enumerate(text.tokens):
        is_apart = number in foreign
        if run:
            before = text.tokens[run[-1]].sentence
            is_apart = is_apart or any(before < each < token.sentence for each in left_out)
            is_apart = is_apart or _loud(spans[run[-1], 1], spans[number, 0], pauses) > _HEARD
        if is_apart and run:
            yield run
            run = []
        if matched.spans[number, 0] >= 0:
            run.append(number)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _loud(begin: float, end: float, pauses: NDArray[np.float64]) -> float:
    """Return for how long there is sound between two words, in s: their ends do not count."""
    begin, end = begin + _END, end - _END
    if end - begin <= _HEARD:
        return 0.0
    first, last = np.searchsorted(pauses[:, 1], begin), np.searchsorted(pauses[:, 0], end)
    inside = np.clip(pauses[first:last], begin, end)
    return float(end - begin - (inside[:, 1] - inside[:, 0]).sum())


def _confidence(
    labels: Labels,
    matched: Matched,
    log_probabilities: NDArray[np.float16],
    begin: Cut,
    end: Cut,
    step: float,
) -> float:
    """Return how far a clip's text is from wrong text, on the way to a perfect fit: 0 to 1.

    The whole of it is compared with decoys on the same frames, its worst part with what wrong text
    costs in the recording; what is worse of both counts.
    """
    first, last = int(labels.starts[begin.token]), int(labels.ends[end.token - 1])
    block = plain_rows(log_probabilities)(int(begin.start / step), round(end.end / step))
    own = labels.sequence[first:last]
    others = decoys(labels.sequence, first, last)
    costs = forced_costs(block, np.vstack([own[None], others]))
    wrong = costs[1:][np.isfinite(costs[1:])]
    if not np.isfinite(costs[0]):
        return 0.0
    whole = 1.0 if not len(wrong) else 1 - costs[0] / max(float(wrong.mean()), 1e-6)
    part = 1 - _worst_part(labels, matched, begin.token, end.token) / matched.wrong_label
    return float(np.clip(min(whole, part), 0, 1))


def _worst_part(labels: Labels, matched: Matched, first: int, last: int) -> float:
    """Return what a label costs, in nats, where tokens in a row cost the most."""
    counts = np.diff(labels.starts)[first:last]
    costs = matched.costs[first:last]
    total = max(int(counts.sum()), 1)
    worst = float(costs.sum()) / total
    end, count, cost = 0, 0, 0.0
    for begin in range(len(counts)):
        while end < len(counts) and count < _LOCAL:
            count, cost = count + int(counts[end]), cost + float(costs[end])
            end += 1
        if count < _LOCAL:
            break
        worst = max(worst, cost / count)
        count, cost = count - int(counts[begin]), cost - float(costs[begin])
    return worst


def _texts(
    text: Text,
    matched: Matched,
    clips: Sequence[AlignedClip],
    spans: NDArray[np.float64],
    length: float,
) -> Iterator[Unmatched]:
    """Yield the text that is in no clip: sentences left out, and runs of tokens."""
    place_of: dict[int, float] = {}
    for token, (begin, _) in zip(text.tokens, spans, strict=True):
        if begin >= 0:
            place_of.setdefault(token.sentence, float(begin))
    known = sorted(place_of)
    for left in text.left_out:
        later = known[int(np.searchsorted(known, left.sentence)) :]
        place = place_of[later[0]] if later else length
        yield Unmatched("text", place, place, left.text, left.reason)
    covered = np.zeros(len(text.tokens), bool)
    for clip in clips:
        covered[clip.first : clip.last] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[True], covered, [True]]).astype(np.int8)))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield from _runs(text, matched, spans, int(first), int(last))


def _runs(
    text: Text, matched: Matched, spans: NDArray[np.float64], first: int, last: int
) -> Iterator[Unmatched]:
    """Yield what is in no clip, divided by whether it was found in the audio."""
    while first < last:
        is_found = matched.spans[first, 0] >= 0
        end = first
        while end < last and (matched.spans[end, 0] >= 0) == is_found:
            end += 1
        words = text.between(first, end)
        if is_found:
            begin, stop = float(spans[first, 0]), float(spans[end - 1, 1])
            reason = "found in the audio, but not between two pauses that make a clip of it"
        else:
            begin = float(spans[first - 1, 1]) if first and spans[first - 1, 1] >= 0 else 0.0
            stop = begin
            reason = "not found in the audio"
            if not any(token.labels for token in text.tokens[first:end]):
                reason = "the checkpoint has no labels for it, as for numbers in digits"
        yield Unmatched("text", begin, stop, words, reason)
        first = end


def _audio(matched: Matched, clips: Sequence[AlignedClip], step: float) -> Iterator[Unmatched]:
    """Yield the audio with speech that no text belongs to."""
    heard = np.concatenate([[0.0], np.cumsum(matched.speech, dtype=np.float64)]) * step
    for _, begin, end in matched.fillers:
        seconds = float(heard[end] - heard[begin])
        if seconds >= _HEARD_APART:
            reason = f"{seconds:.1f} s of speech that the text does not have"
            yield Unmatched("audio", begin * step, end * step, "", reason)
