"""Praat: ``.TextGrid`` files beside long recordings, read by praatio."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from stt_model.importing.clip import Found, ImportSourceError, Notes, Options, needs
from stt_model.importing.layout import beside, parent
from stt_model.importing.segments import Recording
from stt_model.importing.tree import Tree, reason_of

NAME = "textgrid"
TITLE = "Praat TextGrids"

_FINE = ("word", "phone", "phoneme", "syllable", "segment", "tone")
"""Beginnings of the names of tiers that hold parts of utterances."""
_WHOLE = ("transcript", "transcription", "utterance", "utterances", "sentence", "text", "speech")


def recognise(tree: Tree) -> bool:
    """Tell by the suffix ``.TextGrid``."""
    return bool(tree.seen(".textgrid"))


def read(tree: Tree, options: Options, notes: Notes) -> Iterator[Found]:
    """Yield the intervals with text, of the given tier or of all tiers with utterances."""
    textgrid = needs("praatio.textgrid", "praatio", TITLE)
    for name in tree.find(".textgrid"):
        path = tree.local(name)
        try:
            grid = textgrid.openTextgrid(
                str(path), includeEmptyIntervals=False, duplicateNamesMode="rename"
            )
        except Exception as error:  # a damaged file can make the library raise anything
            raise ImportSourceError(
                f"{path}: expected a TextGrid, found: {reason_of(error)}"
            ) from error
        tiers = _tiers(path, grid, options)
        notes.add(f"{name}: transcripts from the tiers {', '.join(tiers)}")
        audio = beside(tree, parent(name), PurePosixPath(name).stem)
        missing = f"expected the recording {PurePosixPath(audio).name} beside it, found none"
        recording = Recording(tree, name, audio if tree.exists(audio) else "", missing)
        for tier in tiers:
            speaker = tier if len(tiers) > 1 else ""
            for interval in grid.getTier(tier).entries:
                start, end = float(interval.start), float(interval.end)
                where = f"tier {tier}, {start:.3f} s"
                yield recording.segment(
                    start, end, interval.label, where=where, tier=tier, speaker=speaker
                )


def _tiers(path: Path, grid: Any, options: Options) -> list[str]:
    names = list(grid.tierNames)
    if options.tier:
        if options.tier not in names:
            raise ImportSourceError(
                f"{path}: expected the tier {options.tier!r}, found {', '.join(names)}"
            )
        return [options.tier]
    intervals = [name for name in names if hasattr(grid.getTier(name), "insertSpace")]
    intervals = [name for name in intervals if _has_intervals(grid.getTier(name))]
    whole = [name for name in intervals if name.lower() in _WHOLE]
    coarse = [name for name in intervals if not _is_fine(name)]
    chosen = whole or coarse
    if not chosen:
        raise ImportSourceError(
            f"{path}: expected a tier with whole utterances, found {', '.join(names) or 'none'};"
            " name one with --tier"
        )
    return chosen


def _is_fine(name: str) -> bool:
    # Alignment tools write "SPEAKER - words".
    return name.lower().rpartition("-")[2].strip().startswith(_FINE)


def _has_intervals(tier: Any) -> bool:
    return bool(tier.entries) and hasattr(tier.entries[0], "end")
