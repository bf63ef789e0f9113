"""Split a corpus into train, dev and test, sharing no speaker and no text.

Speakers are assigned to dev and test until these are large enough. A text that speakers of several
splits read stays in one split, and its other clips are set aside. To set few aside, dev and test
prefer speakers whose texts nobody else reads, and avoid one who would fill a split alone. Speakers
of each gender and accent are drawn in proportion.

The draw uses a digest of the speaker's name, so it is the same every time. Clips, speakers and
texts that are already in a split stay there.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stt_model.base import DataError
from stt_model.corpus.split_plan import DEV, TEST, TRAIN, SplitPlan

SET_ASIDE, NEW = -1, -2

_HELD_OUT = (TEST, DEV)
_NAMES = {TRAIN: "train", DEV: "dev", TEST: "test"}
_LARGE = 0.1
"""Share of dev or test above which a speaker is used only if others do not suffice."""
_SMALL_STRATUM = 5
"""Groups of gender and accent with fewer speakers are drawn together."""
_LOSSES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Shares of a speaker's audio that may be lost because other splits have the same texts; tried in
this order, until dev and test are large enough."""
_LEAST_TEXTS = 0.25
"""Share of a split's size that may be texts that all speakers read."""

_Seconds = NDArray[np.float64]
_Keys = NDArray[np.uint64]
_Splits = NDArray[np.int8]


@dataclass(frozen=True)
class Speech:
    """The clips to split, all arrays [clips]."""

    speakers: _Keys
    """Digests of the speakers' names; 0 for an unknown speaker."""
    texts: _Keys
    """Digests of ``text_key``."""
    seconds: _Seconds
    strata: _Keys
    """Digests of the properties to draw in proportion, such as gender and accent."""
    previous: _Splits
    """The split that a clip is already in, or NEW."""


@dataclass(frozen=True)
class Splits:
    """The outcome."""

    splits: _Splits
    """[clips] TRAIN, DEV, TEST or SET_ASIDE."""
    by: str
    """What no two splits share."""
    kept: float
    """Share of the audio that is in a split."""
    notes: list[str] = field(default_factory=list)


def text_key(text: str) -> str:
    """Return a key that is equal for transcripts of the same sentence: its letters and digits."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return "".join(filter(str.isalnum, folded)) or folded.strip()


def digest(text: str) -> int:
    """Return a number for a name, never 0; 0 for no name."""
    if not text:
        return 0
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1


def draw_splits(speech: Speech, plan: SplitPlan) -> Splits:
    """Assign every clip to a split.

    DataError if the corpus is empty, or has too few speakers or texts for ``plan``.
    """
    if not len(speech.seconds):
        raise DataError("expected clips to split, found none")
    notes: list[str] = []
    by = _settle(speech, plan, notes)
    splits = _draw(speech, plan, by)
    if (
        by == "speaker+text"
        and plan.split_by == "auto"
        and (problem := _problem(speech, plan, splits))
    ):
        notes.append(
            f"{problem} when no speaker may be in two splits; split by text alone, so speakers are"
            " in several splits and results will look better than on new speakers"
        )
        by = "text"
        splits = _draw(speech, plan, by)
    if problem := _empty(plan, splits):
        raise DataError(
            f"{problem}: there are too few {'texts' if by == 'text' else 'speakers'} to split by"
            f" {by}; give a larger --dev_share and --test_share, or another --split_by"
        )
    kept = float(speech.seconds[splits >= 0].sum() / max(speech.seconds.sum(), 1e-9))
    if kept < 0.9:
        notes.append(
            f"{1 - kept:.0%} of the audio is set aside, as many speakers read the same texts;"
            " --split_by speaker or --split_by text keeps it, at the price of an easier test"
        )
    return Splits(splits, by, kept, notes)


def _settle(speech: Speech, plan: SplitPlan, notes: list[str]) -> str:
    """Return what to split by, before anything is drawn."""
    known = np.unique(speech.speakers[speech.speakers != 0])
    if plan.split_by == "auto":
        if len(known) < 2:
            found = "one speaker" if len(known) else "no speakers"
            notes.append(f"the corpus names {found}, so it is split by text alone")
            return "text"
        if _shares_speakers(speech):
            notes.append("speakers are in several splits already, so it is split by text alone")
            return "text"
        return "speaker+text"
    if plan.split_by != "text" and len(known) < 2:
        raise DataError(
            f"split_by {plan.split_by}: expected two speakers or more, found {len(known)}; name the"
            " column of the speakers, or use --split_by text"
        )
    return plan.split_by


def _shares_speakers(speech: Speech) -> bool:
    placed = (speech.previous >= 0) & (speech.speakers != 0)
    pairs = np.unique(
        np.stack([speech.speakers[placed], speech.previous[placed].astype(np.uint64)]), axis=1
    )
    return len(np.unique(pairs[0])) < pairs.shape[1]


def _draw(speech: Speech, plan: SplitPlan, by: str) -> _Splits:
    # Whole milliseconds, so that sums are exact and do not depend on the order of the clips.
    seconds = np.round(speech.seconds * 1000)
    # A clip of an unknown speaker is drawn by its text.
    known = (speech.speakers != 0) & (by != "text")
    keys, units = np.unique(np.where(known, speech.speakers, speech.texts), return_inverse=True)
    texts = np.unique(speech.texts, return_inverse=True)[1]
    strata = np.zeros(len(keys), np.uint64)
    np.maximum.at(strata, units, speech.strata)
    pool = _Pool(
        keys=keys,
        total=np.bincount(units, seconds).astype(np.float64),
        strata=_join_small(strata),
        splits=_placed(units, speech.previous, len(keys)),
        texts=_Texts(units, texts, seconds, speech.previous) if by == "speaker+text" else None,
    )
    for split in _HELD_OUT:
        target = plan.seconds(split, float(speech.seconds.sum())) * 1000
        if target > 0:
            pool.fill(split, target)
    pool.splits[pool.splits == NEW] = TRAIN
    splits = pool.splits[units]
    if pool.texts:
        pool.texts = None  # to save memory
        owners = _owners(plan, texts, splits, seconds, speech.previous)
        splits = np.where(owners[texts] == splits, splits, np.int8(SET_ASIDE))
    return np.where(speech.previous >= 0, speech.previous, splits).astype(np.int8)


def _placed(members: NDArray[np.int64], previous: _Splits, count: int) -> _Splits:
    """Return the split that each unit or text is already in, or NEW."""
    placed = np.full(count, NEW, np.int8)
    known = previous >= 0
    np.maximum.at(placed, members[known], previous[known])
    return placed


class _Texts:
    """Which units read which texts, and how much of each text is in which split."""

    def __init__(
        self,
        units: NDArray[np.int64],
        texts: NDArray[np.int64],
        seconds: _Seconds,
        previous: _Splits,
    ) -> None:
        count = int(texts.max()) + 1
        pairs, inverse = np.unique(units * count + texts, return_inverse=True)
        self._seconds = np.bincount(inverse, seconds)
        # The pairs of a unit begin where its first one would be.
        self._starts = np.searchsorted(pairs, np.arange(int(units.max()) + 2) * count)
        # In their place: of a large corpus, each array of this length counts.
        self._texts = np.remainder(pairs, count, out=pairs)
        del inverse
        self._placed = _placed(texts, previous, count)
        unit_splits = _placed(units, previous, int(units.max()) + 1)
        unit_splits[unit_splits < 0] = TRAIN
        self._audio = _by_split(texts, unit_splits[units], seconds)

    def try_out(self, unit: int, split: int) -> tuple[float, float]:
        """Return what ``split`` gains, and what is lost in total, if the unit moves there."""
        before, after = self._moved(unit, split)
        placed = self._placed[self._texts[self._starts[unit] : self._starts[unit + 1]]]
        won = _kept(after, placed, split) - _kept(before, placed, split)
        return won, _kept(before, placed) - _kept(after, placed)

    def move(self, unit: int, split: int) -> None:
        """Move a unit from train to a split."""
        part = slice(self._starts[unit], self._starts[unit + 1])
        self._audio[self._texts[part]] = self._moved(unit, split)[1]

    def _moved(self, unit: int, split: int) -> tuple[_Seconds, _Seconds]:
        part = slice(self._starts[unit], self._starts[unit + 1])
        before = self._audio[self._texts[part]]
        after = before.copy()
        after[:, TRAIN] -= self._seconds[part]
        after[:, split] += self._seconds[part]
        return before, after


def _by_split(texts: NDArray[np.int64], splits: _Splits, seconds: _Seconds) -> _Seconds:
    """Return how much audio of each text is in each split, [texts, 3]."""
    count = int(texts.max()) + 1
    audio = np.bincount(texts * 3 + splits, seconds, count * 3)
    return audio.astype(np.float64, copy=False).reshape(count, 3)


def _kept(audio: _Seconds, placed: _Splits, split: int | None = None) -> float:
    """Return how much audio is kept, in all splits or one, if each text stays in one split."""
    owners = np.where(placed >= 0, placed, _majority(audio))
    kept = audio[np.arange(len(audio)), owners]
    return float(kept.sum() if split is None else kept[owners == split].sum())


def _majority(audio: _Seconds) -> NDArray[np.int64]:
    """Return the split that has most of each text; for equal amounts the most held out."""
    return 2 - np.argmax(audio[:, ::-1], axis=1)


@dataclass
class _Pool:
    """The units to draw, speakers or texts, all arrays [units]."""

    keys: _Keys
    total: _Seconds
    """Milliseconds."""
    strata: _Keys
    splits: _Splits
    texts: _Texts | None

    def fill(self, split: int, target: float) -> None:
        """Give units to a split until it has ``target`` milliseconds."""
        for loss in _LOSSES if self.texts else (0.0,):
            self._fill_in_proportion(split, target, loss)
        have = self._have(split)
        # Fill the rest from all remaining units, the smallest first.
        free = np.flatnonzero(self.splits == NEW)
        free = free[np.lexsort((self.keys[free], self.total[free]))]
        for loss in (_LOSSES[-1], np.inf):
            have = self._take(split, free, have, target, (np.inf, loss))

    def _fill_in_proportion(self, split: int, target: float, loss: float) -> None:
        large = self.total > target * _LARGE
        order = np.lexsort((self.keys, np.where(large, self.total, 0), large))
        order = order[self.splits[order] == NEW]
        inverse = np.unique(self.strata, return_inverse=True)[1]
        sizes = np.bincount(inverse, self.total)
        carried = 0.0
        for at in np.argsort(sizes, kind="stable"):
            need = target * sizes[at] / sizes.sum() + carried
            have = self._have(split, inverse == at)
            free = order[inverse[order] == at]
            carried = need - self._take(split, free, have, need, (target / 2, loss))

    def _have(self, split: int, inside: NDArray[np.bool_] | None = None) -> float:
        here = self.splits == split
        return float(self.total[here if inside is None else here & inside].sum())

    def _take(
        self,
        split: int,
        free: NDArray[np.int64],
        have: float,
        need: float,
        limits: tuple[float, float],
    ) -> float:
        """Give units to a split until it is large enough; return its size then.

        ``limits`` are a unit's maximum size, and the share of it that other splits may take.
        """
        largest, loss = limits
        for unit in free:
            size = float(self.total[unit])
            if have >= need:
                break
            if have + size / 2 > need or size > largest or self.splits[unit] != NEW:
                continue
            if self.texts:
                won, lost = self.texts.try_out(int(unit), split)
                if lost > loss * size or (won <= 0 and loss < np.inf):
                    continue
                self.texts.move(int(unit), split)
            self.splits[unit] = split
            have += size
        return have


def _join_small(strata: _Keys) -> _Keys:
    unique, inverse, counts = np.unique(strata, return_inverse=True, return_counts=True)
    joined = np.where(counts < _SMALL_STRATUM, np.uint64(0), unique)
    return np.asarray(joined[inverse], np.uint64)


def _owners(
    plan: SplitPlan,
    texts: NDArray[np.int64],
    splits: _Splits,
    seconds: _Seconds,
    previous: _Splits,
) -> _Splits:
    """Return the split that keeps each text: where it was, or where most of its audio is."""
    audio = _by_split(texts, splits, seconds)
    placed = _placed(texts, previous, len(audio))
    owners = np.where(placed >= 0, placed, _majority(audio)).astype(np.int8)
    for split in _HELD_OUT:
        target = plan.seconds(split, float(seconds.sum())) * _LEAST_TEXTS
        have = float(audio[owners == split, split].sum())
        free = np.flatnonzero((placed < 0) & (audio[:, split] > 0) & (owners == TRAIN))
        loss = audio[free].sum(axis=1) - 2 * audio[free, split]
        for text in free[np.argsort(loss, kind="stable")]:
            if have >= target:
                break
            owners[text] = split
            have += float(audio[text, split])
    return owners


def _problem(speech: Speech, plan: SplitPlan, splits: _Splits) -> str:
    """Describe a held-out split that is far from its intended size; "" if none is."""
    total = float(speech.seconds.sum())
    for split in _HELD_OUT:
        wanted = plan.seconds(split, total)
        found = float(speech.seconds[splits == split].sum())
        if wanted and not wanted * _LEAST_TEXTS * 0.9 <= found <= wanted * 2:
            return (
                f"{_NAMES[split]} would have {found / 3600:.2f} h instead of {wanted / 3600:.2f} h"
            )
    if not (splits == TRAIN).any():
        return "nothing would be left to train on"
    return ""


def _empty(plan: SplitPlan, splits: _Splits) -> str:
    for split in (TRAIN, *_HELD_OUT):
        wanted = split == TRAIN or plan.seconds(split, 1.0) > 0
        if wanted and not (splits == split).any():
            return f"expected clips for {_NAMES[split]}, found none"
    return ""


def stratum(values: Sequence[str]) -> int:
    """Return a number for the properties to draw in proportion; 0 if they are unknown."""
    return digest("\0".join(values)) if any(values) else 0
