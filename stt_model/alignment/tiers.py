"""An alignment as TextGrid and ELAN files, to be looked at and mended in Praat and ELAN."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from stt_model.alignment.clips import AlignedClip, Unmatched
from stt_model.importing import needs

TIERS = ("utterance", "doubtful", "unmatched", "word")
"""Tiers of both: clips, clips without enough confidence, what is in none, single words."""

Interval = tuple[float, float, str]
"""Seconds from, to, and the text."""


def tiers_of(
    clips: Sequence[AlignedClip],
    unmatched: Sequence[Unmatched],
    words: Sequence[Interval],
    min_confidence: float,
) -> dict[str, list[Interval]]:
    """Return the intervals of each tier, in order, none over another."""
    taken = [each for each in clips if each.confidence >= min_confidence]
    doubtful = [each for each in clips if each.confidence < min_confidence]
    found: dict[str, list[Interval]] = {
        "utterance": [(each.start, each.end, each.transcript) for each in taken],
        "doubtful": [
            (each.start, each.end, f"{each.transcript} ({each.confidence:.2f})")
            for each in doubtful
        ],
        "unmatched": [
            (each.start, each.end, f"[{each.kind}] {each.text or each.reason}")
            for each in unmatched
        ],
        "word": list(words),
    }
    return {name: _apart(intervals) for name, intervals in found.items()}


def _apart(intervals: Sequence[Interval]) -> list[Interval]:
    """Return intervals of a millisecond or more that do not lie over each other."""
    found: list[Interval] = []
    for start, end, text in sorted(intervals):
        begin = round(max(start, found[-1][1] if found else 0.0), 3)
        stop = round(end, 3)
        if stop - begin >= 0.001 and text:
            found.append((begin, stop, text))
    return found


def write_textgrid(path: Path, tiers: dict[str, list[Interval]], length: float) -> None:
    """Write a TextGrid; DataError where praatio is not installed."""
    textgrid = needs("praatio.textgrid", "praatio", "Praat TextGrids")
    grid = textgrid.Textgrid(0, length)
    for name, intervals in tiers.items():
        # Praat knows no tier without an interval.
        entries = intervals or [(0, length, "")]
        grid.addTier(textgrid.IntervalTier(name, entries, 0, length))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


def write_elan(path: Path, tiers: dict[str, list[Interval]], audio: Path) -> None:
    """Write an ELAN file that links to the audio; DataError where pympi is not installed."""
    pympi = needs("pympi", "pympi-ling", "ELAN annotations")
    file = pympi.Eaf(author="stt-bootstrap")
    file.remove_tier("default")
    relative = os.path.relpath(audio, path.parent)
    file.add_linked_file(audio.absolute().as_uri(), relpath=relative, mimetype="audio/x-wav")
    for name, intervals in tiers.items():
        file.add_tier(name)
        for start, end, text in intervals:
            begin = round(1000 * start)
            file.add_annotation(name, begin, max(begin + 1, round(1000 * end)), text)
    file.to_file(str(path))
