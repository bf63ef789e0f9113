"""Checks on a corpus as a whole, against what they say in plain loops."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stt_model.corpus import utterance_table
from stt_model.corpus.checks import Limits, Settings
from stt_model.corpus.corpus_checks import CORPUS_CHECKS
from stt_model.corpus.utterance_table import Utterances
from stt_model.text import shorten

MANIFESTS = [Path("train.csv"), Path("dev.csv"), Path("test.csv")]
LIMITS = Limits(pace_utterances=4, pace_deviations=1)


@dataclass(frozen=True)
class Said:
    """An utterance as the checks see it."""

    split: int
    row: int
    text: str
    sound: bytes
    seconds: float

    @property
    def pace(self):
        return self.seconds / len(self.text)


@st.composite
def corpora(draw):
    """Few texts and sounds, so that many are equal; surrogates as no file could hold them."""
    parts = st.tuples(
        st.sampled_from(["a", "b", "ab", "cab", "a" * 300, "\ud800"]),
        st.sampled_from([bytes([number]) * 16 for number in range(4)]),
        st.sampled_from([0.3, 1.0, 2.0, 40.0]) | st.floats(0.01, 300),
    )
    return [
        Said(split, row, *each)
        for split in range(3)
        for row, each in enumerate(draw(st.lists(parts, max_size=12)), start=1)
    ]


def found_by_checks(corpus):
    """Return what the checks find: check, utterance, what was found."""
    utterances = Utterances(MANIFESTS, lambda place: corpus[place - 100].text)
    # Numbers have gaps, as rows with errors leave them.
    for at, each in enumerate(corpus):
        sound = (each.seconds, each.sound, each.text)
        utterances.add(2 * at, each.split, each.row, 100 + at, *sound)
    found = []
    for check, severity in CORPUS_CHECKS.items():
        for at, discrepancy in check(utterances, Settings(None, LIMITS)):
            utterances.note(at, len(found))
            found.append((check.__name__, at // 2, discrepancy.found))
        if severity == "error":
            utterances.drop_found()
    assert [found[number] for _, number in utterances.noted()] == sorted(
        found, key=lambda each: each[1]
    )
    utterances.close()
    return found


def found_by_loops(corpus):
    """Do the same by comparing every utterance with every other."""
    found, kept = [], list(range(len(corpus)))
    for at in kept:
        others = [x for x in kept if corpus[x].sound == corpus[at].sound]
        last = corpus[others[-1]]
        if last.split != corpus[at].split:
            place = f"row {last.row} of {MANIFESTS[last.split].name}"
            found.append(("audio_across_splits", at, f"it is {place} too"))
    kept = [at for at in kept if at not in {each[1] for each in found}]
    for at in kept:
        each = corpus[at]
        same = [x for x in kept if (corpus[x].sound, corpus[x].split) == (each.sound, each.split)]
        first = corpus[same[0]]
        if at != same[0]:
            text = "the same text"
            if first.text != each.text:
                text = f"the text {shorten(first.text)!r}"
            place = f"row {first.row} of {MANIFESTS[first.split].name}"
            found.append(("audio_repeated", at, f"it is {place} already, with {text}"))
        last = corpus[[x for x in kept if corpus[x].text == each.text][-1]]
        if last.split != each.split:
            place = f"row {last.row} of {MANIFESTS[last.split].name}"
            found.append(("text_across_splits", at, f"it is {place} too"))
    if len(kept) >= LIMITS.pace_utterances:
        logarithms = np.log([corpus[at].pace for at in kept])
        middle = np.median(logarithms)
        spread = max(1.4826 * np.median(np.abs(logarithms - middle)), 0.05)
        for at in kept:
            if not np.exp(middle - spread) <= corpus[at].pace <= np.exp(middle + spread):
                said = f"{corpus[at].pace:.3f} for {shorten(corpus[at].text)!r}"
                found.append(("odd_pace", at, said))
    return found


@given(corpora())
def test_the_checks_find_what_comparing_all_utterances_finds(corpus):
    assert sorted(found_by_checks(corpus)) == sorted(found_by_loops(corpus))


def test_many_utterances_are_written_in_parts_and_all_are_compared(monkeypatch):
    monkeypatch.setattr(utterance_table, "_AT_ONCE", 7)
    corpus = [Said(0, row, "a", row.to_bytes(16, "big"), 1.0) for row in range(1, 101)]
    corpus.append(Said(2, 1, "a", (50).to_bytes(16, "big"), 1.0))
    found = found_by_checks(corpus)
    assert found[0] == ("audio_across_splits", 49, "it is row 1 of test.csv too")
    assert [each[:2] for each in found[1:]] == [
        ("text_across_splits", at) for at in reversed(range(100)) if at != 49
    ]
