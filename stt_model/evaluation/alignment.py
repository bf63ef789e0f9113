"""What was said beside what was understood, by word and by character, and the errors counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import jiwer

Unit = Literal["word", "character"]
Pair = tuple[str | None, str | None]
"""A word or character that was said, and what was understood in its place; None for nothing."""

# Spaces at the ends count, as they do for Coqui.
_AS_THEY_ARE = jiwer.Compose([jiwer.ReduceToListOfListOfChars()])


def align(said: str, understood: str, unit: Unit) -> list[Pair]:
    """Return the two texts in pairs with as few differences as possible.

    The pairs that differ are the edit distance; either text may be empty of words.
    """
    output: jiwer.WordOutput | jiwer.CharacterOutput
    if unit == "word":
        output = jiwer.process_words(said, understood)
    else:
        output = jiwer.process_characters(said, understood, _AS_THEY_ARE, _AS_THEY_ARE)
    references, hypotheses = output.references[0], output.hypotheses[0]
    pairs: list[Pair] = []
    for chunk in output.alignments[0]:
        left = references[chunk.ref_start_idx : chunk.ref_end_idx]
        right = hypotheses[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "delete":
            pairs += [(each, None) for each in left]
        elif chunk.type == "insert":
            pairs += [(None, each) for each in right]
        else:
            pairs += zip(left, right, strict=True)
    return pairs


@dataclass
class ErrorCounts:
    """How often what was understood as what; ``hits`` were understood as said."""

    hits: Counter[str] = field(default_factory=Counter)
    substitutions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By what was said and what was understood instead."""
    deletions: Counter[str] = field(default_factory=Counter)
    """What was said and not understood at all."""
    insertions: Counter[str] = field(default_factory=Counter)
    """What was understood where nothing was said."""

    def add(self, pairs: Iterable[Pair]) -> None:
        """Count the pairs of one more utterance."""
        for said, understood in pairs:
            if said is None:
                self.insertions[understood or ""] += 1
            elif understood is None:
                self.deletions[said] += 1
            elif said == understood:
                self.hits[said] += 1
            else:
                self.substitutions[said, understood] += 1

    @property
    def length(self) -> int:
        """Words or characters that were said."""
        return self.hits.total() + self.substitutions.total() + self.deletions.total()

    @property
    def distance(self) -> int:
        """Errors of all three kinds."""
        return self.substitutions.total() + self.deletions.total() + self.insertions.total()


def count_errors(texts: Iterable[tuple[str, str]], unit: Unit) -> ErrorCounts:
    """Return the errors over all pairs of what was said and what was understood."""
    counts = ErrorCounts()
    for said, understood in texts:
        counts.add(align(said, understood, unit))
    return counts
