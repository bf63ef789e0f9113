"""Align references with hypotheses, by word and by character, and count the errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import jiwer

Unit = Literal["word", "character"]
Pair = tuple[str | None, str | None]
"""A word or character of the reference and that of the hypothesis; None if there is none."""

# Spaces at the ends count, as in Coqui.
_AS_THEY_ARE = jiwer.Compose([jiwer.ReduceToListOfListOfChars()])


def align(reference: str, hypothesis: str, unit: Unit) -> list[Pair]:
    """Align two texts with as few differences as possible.

    The number of differing pairs is the edit distance; either text may be empty.
    """
    output: jiwer.WordOutput | jiwer.CharacterOutput
    if unit == "word":
        output = jiwer.process_words(reference, hypothesis)
    else:
        output = jiwer.process_characters(reference, hypothesis, _AS_THEY_ARE, _AS_THEY_ARE)
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
    """Counts of an alignment; ``hits`` are equal in reference and hypothesis."""

    hits: Counter[str] = field(default_factory=Counter)
    substitutions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By the unit of the reference and that of the hypothesis."""
    deletions: Counter[str] = field(default_factory=Counter)
    """Units of the reference that are missing in the hypothesis."""
    insertions: Counter[str] = field(default_factory=Counter)
    """Units of the hypothesis that are not in the reference."""

    def add(self, pairs: Iterable[Pair]) -> None:
        """Count the pairs of one more utterance."""
        for reference, hypothesis in pairs:
            if reference is None:
                self.insertions[hypothesis or ""] += 1
            elif hypothesis is None:
                self.deletions[reference] += 1
            elif reference == hypothesis:
                self.hits[reference] += 1
            else:
                self.substitutions[reference, hypothesis] += 1

    @property
    def length(self) -> int:
        """Words or characters of the references."""
        return self.hits.total() + self.substitutions.total() + self.deletions.total()

    @property
    def distance(self) -> int:
        """Errors of all three kinds."""
        return self.substitutions.total() + self.deletions.total() + self.insertions.total()


def count_errors(texts: Iterable[tuple[str, str]], unit: Unit) -> ErrorCounts:
    """Return the errors over all pairs of reference and hypothesis."""
    counts = ErrorCounts()
    for reference, hypothesis in texts:
        counts.add(align(reference, hypothesis, unit))
    return counts
