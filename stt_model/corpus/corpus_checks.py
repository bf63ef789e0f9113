"""Checks on a corpus as a whole, one function each, over a few numbers of each utterance."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stt_model.corpus.checks import Discrepancy, Settings
from stt_model.corpus.findings import Severity
from stt_model.text import shorten

_PACE_FLOOR = 0.05
"""Minimum spread of the pace, so that very even (synthesised) speech does not flag every clip."""
DIGEST = 16
"""Bytes of a digest."""


@dataclass
class Utterances:
    """Utterances without errors so far, split after split from training to the most held out.

    About 60 bytes each; what a message quotes is looked up.
    """

    manifests: Sequence[Path]
    """By split."""
    text_of: Callable[[int], str]
    """Return the transcript of an utterance."""
    splits: array[int] = field(default_factory=lambda: array("b"))
    """Number of the split."""
    rows: array[int] = field(default_factory=lambda: array("i"))
    """In the manifest of the split."""
    characters: array[int] = field(default_factory=lambda: array("i"))
    seconds: array[float] = field(default_factory=lambda: array("d"))
    sounds: bytearray = field(default_factory=bytearray)
    """Digests of the audio."""
    texts: bytearray = field(default_factory=bytearray)
    """Digests of the transcripts."""

    def __len__(self) -> int:
        return len(self.splits)

    def add(
        self, split: int, row: int, characters: int, seconds: float, sound: bytes, text: bytes
    ) -> None:
        """Add one at the end; ``sound`` and ``text`` are digests."""
        self.splits.append(split)
        self.rows.append(row)
        self.characters.append(characters)
        self.seconds.append(seconds)
        self.sounds += sound
        self.texts += text

    def place(self, at: int) -> str:
        """Return where an utterance is, for messages."""
        return f"row {self.rows[at]} of {self.manifests[self.splits[at]].name}"

    @cached_property
    def split_numbers(self) -> NDArray[np.int8]:
        """The splits as an array."""
        return np.array(self.splits, np.int8)


def audio_across_splits(
    found: Utterances, kept: NDArray[np.bool_], settings: Settings
) -> Iterator[tuple[int, Discrepancy]]:
    """The same audio is in a more held-out split, which keeps it: this copy is rejected."""
    for at, last in _held_out(found, found.sounds, kept):
        yield at, Discrepancy("audio of this split only", f"it is {found.place(last)} too")


def audio_repeated(
    found: Utterances, kept: NDArray[np.bool_], settings: Settings
) -> Iterator[tuple[int, Discrepancy]]:
    """The same audio is in this split already."""
    for group in _groups(found.sounds, kept, found.split_numbers):
        first = int(group[0])
        text, digest = found.text_of(first), _digest_at(found.texts, first)
        where = found.place(first)
        for at in map(int, group[1:]):
            is_same = _digest_at(found.texts, at) == digest
            kind = "the same text" if is_same else f"the text {shorten(text)!r}"
            yield at, Discrepancy("new audio", f"it is {where} already, with {kind}")


def text_across_splits(
    found: Utterances, kept: NDArray[np.bool_], settings: Settings
) -> Iterator[tuple[int, Discrepancy]]:
    """The same transcript is in a more held-out split, which makes that test easier."""
    for at, last in _held_out(found, found.texts, kept):
        yield at, Discrepancy("text of this split only", f"it is {found.place(last)} too")


def odd_pace(
    found: Utterances, kept: NDArray[np.bool_], settings: Settings
) -> Iterator[tuple[int, Discrepancy]]:
    """Seconds per character are far from the median: the text may belong to other audio."""
    limits = settings.limits
    spoken = np.flatnonzero(kept)
    if len(spoken) < limits.pace_utterances:
        return
    pace = np.array(found.seconds)[spoken] / np.array(found.characters)[spoken]
    logarithm = np.log(pace)
    median = float(np.median(logarithm))
    # 1.4826 makes the median absolute deviation of a normal distribution its standard deviation.
    spread = max(1.4826 * float(np.median(np.abs(logarithm - median))), _PACE_FLOOR)
    low, high = np.exp(median + np.array([-1, 1]) * limits.pace_deviations * spread)
    expected = f"{low:.3f} to {high:.3f} s a character"
    for number in np.flatnonzero(~((low <= pace) & (pace <= high))):
        at = int(spoken[number])
        said = f"{pace[number]:.3f} for {shorten(found.text_of(at))!r}"
        yield at, Discrepancy(expected, said)


CorpusCheck = Callable[[Utterances, NDArray[np.bool_], Settings], Iterator[tuple[int, Discrepancy]]]
CORPUS_CHECKS: Mapping[CorpusCheck, Severity] = {
    audio_across_splits: "error",
    audio_repeated: "warning",
    text_across_splits: "warning",
    odd_pace: "warning",
}
"""Each is given the utterances, and which of them have no error so far."""


def _held_out(
    found: Utterances, digests: bytearray, kept: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Yield each utterance that is in a split further from training too, and the last such."""
    for group in _groups(digests, kept):
        last = int(group[-1])
        for at in group[found.split_numbers[group] != found.splits[last]]:
            yield int(at), last


def _groups(
    digests: bytearray, kept: NDArray[np.bool_], splits: NDArray[np.int8] | None = None
) -> Iterator[NDArray[np.int64]]:
    """Yield the utterances that share a digest, and a split if ``splits`` are given, in order.

    Those that share it with no other are left out.
    """
    places = np.flatnonzero(kept)
    halves = np.frombuffer(digests, np.uint64).reshape(-1, 2)[places]
    keys = [halves[:, 0], halves[:, 1]]
    if splits is not None:
        keys.append(splits[places].astype(np.uint64))
    # Stable: utterances of a group stay in their order.
    order = np.lexsort(keys)
    is_new = np.ones(len(order), bool)
    if len(order):
        is_new[1:] = np.any([key[order[1:]] != key[order[:-1]] for key in keys], axis=0)
    starts = np.flatnonzero(is_new)
    ends = np.append(starts[1:], len(order))
    for number in np.flatnonzero(ends - starts > 1):
        yield places[order[starts[number] : ends[number]]]


def _digest_at(digests: bytearray, at: int) -> bytes:
    return bytes(digests[at * DIGEST : (at + 1) * DIGEST])
