"""One page to listen to clips with their transcripts, the most doubtful ones first."""

from __future__ import annotations

import random
from pathlib import Path

from stt_model.alignment.outcome import CHECK, AlignmentResult, WrittenClip
from stt_model.base import page_environment

SHOWN = 200
"""Clips of each kind on the page: more of them nobody hears."""


def write_page(result: AlignmentResult, target: Path) -> Path:
    """Write ``check/index.html``, which plays the clips that lie beside it; return its path."""
    environment = page_environment("stt_model.alignment")
    least = sorted(result.taken, key=lambda each: each.clip.confidence)[:SHOWN]
    page = environment.get_template("alignment.html").render(
        result=result,
        parts={
            "Doubtful clips, the most confident first": result.doubtful[::-1][:SHOWN],
            "Taken clips, the least confident first": least,
            "Taken clips drawn by lot": _drawn(result.taken),
        },
        unmatched=result.unmatched[:SHOWN],
    )
    path = target / CHECK / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _drawn(clips: list[WrittenClip]) -> list[WrittenClip]:
    places = sorted(random.Random(len(clips)).sample(range(len(clips)), min(50, len(clips))))
    return [clips[place] for place in places]
