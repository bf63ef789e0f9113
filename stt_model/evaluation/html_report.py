"""An evaluation as one self-contained HTML page: no network, no script, no other file."""

from __future__ import annotations

import base64
import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from stt_model.base import atomic_write, page_environment
from stt_model.corpus import SAMPLE_RATE, AudioError, read_audio
from stt_model.evaluation.alignment import Pair, align
from stt_model.evaluation.report import FEW, METHOD, SUSPECTS_SHOWN, suspects_summary
from stt_model.evaluation.samples import EvaluatedSample
from stt_model.evaluation.significance import FEWEST_FOR_TEST
from stt_model.text import show_characters
from stt_model.training import Epoch, draw_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from stt_model.evaluation.learning_curve import Forecast
    from stt_model.evaluation.measured import Provenance
    from stt_model.evaluation.result import EvaluationResult
    from stt_model.evaluation.suspects import Suspect

WORST_FOR_EACH_SHOWN = 4
"""Utterances that are shown in detail, in multiples of ``report_count``."""
LONGEST_CLIP = 30.0
"""Seconds; longer clips have no player."""
AUDIO_BYTES = 3 * 2**20
"""Bytes of all clips in the page, before base64 makes them a third larger."""
TOP = 10
"""Entries in each list of errors."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def write_html_report(result: EvaluationResult, path: Path) -> None:
    """Write the page, whole or not at all."""
    with atomic_write(path) as beside:
        # File names that are not UTF-8 are shown with escapes.
        beside.write_text(render(result), encoding="utf-8", errors="backslashreplace")


def render(result: EvaluationResult) -> str:
    """Return the page.

    Clips of the worst utterances are embedded as MP3, which every browser plays. AudioError if one
    can no longer be read.
    """
    environment = page_environment("stt_model.evaluation")
    environment.filters |= {"visible": show_characters, "facts": _facts}
    generations = _generations(result.provenance)
    page = environment.get_template("evaluation.html").render(
        result=result,
        method=METHOD,
        warning=FEW if len(result.samples) < FEWEST_FOR_TEST else "",
        curves=_curves(generations),
        forecast=_forecast(result.forecast),
        heat_map=_heat_map(result),
        kinds={"Words": result.words, "Characters": result.characters},
        top=TOP,
        worst=list(_worst(result)),
        suspects=list(_suspects(result)),
        suspects_summary=suspects_summary(result.suspects),
        texts=_best_and_median(result),
        mode=_mode(generations),
        data=_data(result.samples),
        generations=generations,
    )
    # Other control characters are errors for browsers and commands for terminals.
    return _CONTROLS.sub("\ufffd", page)


# The worst utterances


@dataclass(frozen=True)
class _Word:
    """A word of the reference and of the hypothesis, divided into matching and differing parts.

    A part is text and whether it is wrong; a side without parts is a missing word.
    """

    kind: str
    reference: list[tuple[str, bool]]
    hypothesis: list[tuple[str, bool]]


@dataclass(frozen=True)
class _Utterance:
    sample: EvaluatedSample
    words: list[_Word]
    audio: str
    """A data URI; empty if there is no player."""


def _worst(result: EvaluationResult) -> Iterator[_Utterance]:
    """Yield the utterances with errors, the worst first."""
    left = AUDIO_BYTES
    count = WORST_FOR_EACH_SHOWN * result.report_count
    for sample in result.samples[::-1][:count]:
        if not sample.char_distance:
            return
        clip = _mp3(sample.wav_filename) if sample.seconds <= LONGEST_CLIP else b""
        if len(clip) > left:
            clip = b""
        left -= len(clip)
        words = [_word(pair) for pair in align(sample.src, sample.res, "word")]
        yield _Utterance(sample, words, _data_uri("audio/mpeg", clip) if clip else "")


def _suspects(result: EvaluationResult) -> Iterator[tuple[Suspect, str]]:
    """Yield the first suspects, each with its clip as a data URI, empty if there is no player.

    A clip that cannot be read may be a suspect for that reason, so it is no error here.
    """
    left = AUDIO_BYTES
    for suspect in result.suspects[:SUSPECTS_SHOWN]:
        clip = b""
        if suspect.sample.seconds <= LONGEST_CLIP:
            with contextlib.suppress(AudioError):
                clip = _mp3(suspect.sample.wav_filename)
        if len(clip) > left:
            clip = b""
        left -= len(clip)
        yield suspect, _data_uri("audio/mpeg", clip) if clip else ""


def _best_and_median(result: EvaluationResult) -> dict[str, list[EvaluatedSample]]:
    """Return some of the utterances that are not shown in detail."""
    samples = result.samples
    count = min(result.report_count, len(samples))
    middle = max((len(samples) - count) // 2, 0)
    parts = {
        "The best utterances": samples[:count],
        "Utterances in the middle": samples[middle : middle + count],
    }
    return {title: shown for title, shown in parts.items() if shown}


def _mode(generations: Sequence[Mapping[str, Any]]) -> str:
    """Return whether the model was fine-tuned or transferred; empty if not known."""
    steps = [str(generation["made"].get("mode") or "") for generation in generations[:2]]
    found = next((step for step in steps if step), "")
    trained = bool(generations) and generations[0]["made"].get("step") == "training"
    return found or ("fine-tune" if trained else "")


def _mp3(path: str) -> bytes:
    data = io.BytesIO()
    soundfile.write(data, read_audio(path), SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III")
    return data.getvalue()


def _word(pair: Pair) -> _Word:
    reference, hypothesis = pair
    if reference == hypothesis:
        kind = "hit"
    elif reference is None:
        kind = "inserted"
    elif hypothesis is None:
        kind = "deleted"
    else:
        kind = "substituted"
    characters = align(reference or "", hypothesis or "", "character")
    return _Word(
        kind,
        [(left, left != right) for left, right in characters if left is not None],
        [(right, left != right) for left, right in characters if right is not None],
    )


# Pictures


@dataclass(frozen=True)
class _HeatMap:
    characters: tuple[str, ...]
    rows: list[tuple[str, list[tuple[int, float]]]]
    """Rows: a character of the reference, then for each character of the hypothesis the
    count and its shade, from 0 to 1 for the most frequent mistake."""


def _heat_map(result: EvaluationResult) -> _HeatMap:
    matrix = result.confusions
    counts = np.array(matrix.counts)
    mistakes = counts - np.diag(np.diag(counts))
    # The square root, since a few very frequent mistakes would leave all others white.
    shares = np.sqrt(mistakes / max(mistakes.max(), 1))
    rows = [
        (reference, list(zip(row.tolist(), share.tolist(), strict=True)))
        for reference, row, share in zip(matrix.characters, counts, shares, strict=True)
    ]
    return _HeatMap(matrix.characters, rows)


def _curves(generations: Sequence[Mapping[str, Any]]) -> str:
    """Return the losses of the last training as a picture; empty if they are not known."""
    history = generations[0]["made"].get("history", []) if generations else []
    if not history:
        return ""
    try:
        epochs = [Epoch(**epoch) for epoch in history]
    except TypeError:
        # Written by another version, with other columns.
        return ""
    return _svg(draw_curve(epochs))


def _forecast(forecast: Forecast | None) -> str:
    return _svg(forecast.draw()) if forecast else ""


def _svg(figure: Figure) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="svg")
    return _data_uri("image/svg+xml", data.getvalue())


def _data_uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


# Facts


def _data(samples: Sequence[EvaluatedSample]) -> dict[str, str]:
    seconds = np.array([sample.seconds for sample in samples])
    words = [word for sample in samples for word in sample.src.split()]
    characters = [character for sample in samples for character in sample.src]
    facts = {
        "utterances": f"{len(samples):,}",
        "audio": f"{seconds.sum() / 3600:.2f} h",
        "words": f"{len(words):,}, {len(set(words)):,} different",
        "characters": f"{len(characters):,}, {len(set(characters)):,} different",
    }
    if samples:
        shortest, median, longest = np.quantile(seconds, [0, 0.5, 1])
        facts["shortest, median, longest clip"] = (
            f"{shortest:.1f} s, {median:.1f} s, {longest:.1f} s"
        )
    return facts


def _generations(provenance: Provenance | None) -> list[dict[str, Any]]:
    """Return the checkpoint and its ancestors: name, digest, how each was made."""
    generations: list[dict[str, Any]] = []
    described: Mapping[str, Any] | None = provenance.checkpoint if provenance else None
    while described:
        lineage = described["lineage"] or {}
        made = {name: value for name, value in lineage.items() if name != "source"}
        generations.append({"name": described["name"], "digest": described["digest"], "made": made})
        described = lineage.get("source")
    return generations


def _facts(value: object) -> str:
    """Format a JSON value for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_facts(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_facts, value))
    if isinstance(value, str) and not value.strip():
        return show_characters(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
