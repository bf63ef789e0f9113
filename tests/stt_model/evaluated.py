"""Evaluated utterances made up for tests, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stt_model.corpus.manifests import Utterance
from stt_model.evaluation.samples import EvaluatedSample, compare


def evaluated(
    reference: str,
    hypothesis: str,
    *,
    loss: float = 1.0,
    seconds: float = 1.5,
    clip: Path = Path("/corpus/clip.wav"),
    manifest: Path = Path("/corpus/test.csv"),
    **extra: str,
) -> EvaluatedSample:
    utterance = Utterance(clip.name, clip, 0, reference, 1, manifest, extra)
    return compare(utterance, hypothesis, loss, seconds)


def evaluated_pairs(pairs: Sequence[tuple[str, str]]) -> list[EvaluatedSample]:
    """The worst last, as an evaluation has them."""
    return sorted((evaluated(*pair) for pair in pairs), key=lambda sample: sample.wer)
