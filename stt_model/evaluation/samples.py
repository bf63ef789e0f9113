"""Evaluated utterances, and Coqui STT's JSON format for them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stt_model.base import DataError, atomic_write
from stt_model.corpus import Utterance
from stt_model.evaluation.alignment import Pair, align

COQUI_KEYS = (
    *("wav_filename", "src", "res", "loss"),
    *("char_distance", "char_length", "word_distance", "word_length", "cer", "wer"),
)
"""The keys of a sample in the JSON, in this order."""


@dataclass(frozen=True)
class EvaluatedSample:
    """One utterance under Coqui STT's names: ``src`` is the reference, ``res`` the hypothesis.

    ``loss`` is the CTC loss in nats; ``cer`` and ``wer`` are the distances over the lengths.
    """

    wav_filename: str
    src: str
    res: str
    loss: float
    char_distance: int
    char_length: int
    word_distance: int
    word_length: int
    cer: float
    wer: float
    seconds: float = 0.0
    """Duration of the clip."""
    manifest: str = ""
    """The CSV file that lists it."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """The file's columns beyond Coqui's three."""


def compare(utterance: Utterance, hypothesis: str, loss: float, seconds: float) -> EvaluatedSample:
    """Return the utterance with the hypothesis and the distances between the two."""
    words = align(utterance.transcript, hypothesis, "word")
    characters = align(utterance.transcript, hypothesis, "character")
    word_length, char_length = _length(words), _length(characters)
    word_distance, char_distance = distance(words), distance(characters)
    return EvaluatedSample(
        wav_filename=utterance.place,
        src=utterance.transcript,
        res=hypothesis,
        loss=loss,
        char_distance=char_distance,
        char_length=char_length,
        word_distance=word_distance,
        word_length=word_length,
        cer=char_distance / char_length,
        wer=word_distance / word_length,
        seconds=seconds,
        manifest=str(utterance.source),
        extra=utterance.extra,
    )


def known_samples(
    path: Path, utterances: Sequence[Utterance], seconds: Callable[[Utterance], float]
) -> list[EvaluatedSample] | None:
    """Return samples of these utterances from a JSON file of ``write_samples``.

    None unless it holds all of them with their current transcripts. ``seconds`` returns the
    duration of a clip, which the file does not hold. DataError for another kind of file.
    """
    try:
        told = {
            (each["wav_filename"], each["src"]): (
                str(each["res"]),
                math.inf if each["loss"] is None else float(each["loss"]),
            )
            for each in json.loads(path.read_text(encoding="utf-8"))
        }
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: expected the JSON of --test_output_file, found another file"
        ) from error
    keys = [(each.place, each.transcript) for each in utterances]
    if not all(key in told for key in keys):
        return None
    return [
        compare(each, *told[key], seconds(each)) for each, key in zip(utterances, keys, strict=True)
    ]


def distance(pairs: Sequence[Pair]) -> int:
    """Return the errors in an alignment."""
    return sum(reference != hypothesis for reference, hypothesis in pairs)


def _length(pairs: Sequence[Pair]) -> int:
    return sum(reference is not None for reference, _ in pairs)


def write_samples(samples: Sequence[EvaluatedSample], path: Path) -> None:
    """Write the samples as a JSON list of objects with Coqui STT's keys; infinity becomes null."""
    with atomic_write(path) as beside:
        text = json.dumps(list(map(_json_object, samples)), ensure_ascii=False, indent=2)
        # File names that are not UTF-8 are written with JSON's escapes.
        beside.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _json_object(sample: EvaluatedSample) -> dict[str, Any]:
    values = {key: getattr(sample, key) for key in COQUI_KEYS}
    return {**values, "loss": sample.loss if math.isfinite(sample.loss) else None}
