"""Write suggestions for transcription tools: as a table, for Label Studio and for ELAN."""

from __future__ import annotations

import csv
import importlib.util
import json
import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stt_model.corpus import COLUMNS

log = logging.getLogger(__name__)

LABELS = """<View>
  <Audio name="audio" value="$audio"/>
  <TextArea name="transcription" toName="audio" editable="true" maxSubmissions="1" rows="3"
    transcription="true"/>
</View>
"""
"""The interface of a Label Studio project for these tasks."""
TIER = "transcript"


@dataclass(frozen=True)
class Suggestion:
    """A clip to transcribe, with the model's text and uncertainty."""

    rank: int
    """1 is the most useful."""
    clip: str
    """Relative to the folder of the suggestions."""
    text: str
    """The model's text."""
    uncertainty: float
    """Nats per character."""
    recording: Path
    start: float
    """Seconds from the start of the recording."""
    end: float


def write_suggestions(suggestions: Sequence[Suggestion], folder: Path) -> None:
    """Write all forms of a list of suggestions into a folder that has its clips."""
    _write_table(suggestions, folder / "suggestions.csv", folder)
    tasks = [_task(each) for each in suggestions]
    text = json.dumps(tasks, ensure_ascii=False, indent=1)
    (folder / "label-studio.json").write_text(text + "\n", encoding="utf-8")
    (folder / "label-studio.xml").write_text(LABELS, encoding="utf-8")
    if importlib.util.find_spec("pympi"):
        _write_elan(suggestions, folder / "elan")
    else:
        log.warning("no ELAN files: they need the package pympi-ling (extra import)")


def _write_table(suggestions: Sequence[Suggestion], path: Path, folder: Path) -> None:
    # Columns called start and end would say to the import which part of the clip is meant.
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            [*COLUMNS, "rank", "uncertainty", "recording", "recording_from", "recording_to"]
        )
        for each in suggestions:
            size = (folder / each.clip).stat().st_size
            about = [each.rank, f"{each.uncertainty:.4f}", each.recording]
            times = [f"{each.start:.3f}", f"{each.end:.3f}"]
            writer.writerow([each.clip, size, each.text, *about, *times])


def _task(each: Suggestion) -> dict[str, Any]:
    result = {
        "from_name": "transcription",
        "to_name": "audio",
        "type": "textarea",
        "value": {"text": [each.text]},
    }
    return {
        "data": {
            "audio": f"/data/local-files/?d={quote(each.clip)}",
            "recording": str(each.recording),
            "start": round(each.start, 3),
            "end": round(each.end, 3),
            "rank": each.rank,
        },
        "predictions": [
            {"model_version": "stt-bootstrap", "score": -each.uncertainty, "result": [result]}
        ],
    }


def _write_elan(suggestions: Sequence[Suggestion], folder: Path) -> None:
    """Write a file for each recording, with the suggested clips in a tier."""
    import pympi

    folder.mkdir()
    parts: dict[Path, list[Suggestion]] = defaultdict(list)
    for each in suggestions:
        parts[each.recording].append(each)
    for number, (recording, clips) in enumerate(parts.items(), start=1):
        file = pympi.Eaf(author="stt-bootstrap")
        file.remove_tier("default")
        file.add_tier(TIER)
        relative = os.path.relpath(recording, folder)
        file.add_linked_file(recording.absolute().as_uri(), relpath=relative, mimetype="audio/*")
        for each in clips:
            start, end = round(1000 * each.start), round(1000 * each.end)
            file.add_annotation(TIER, start, max(end, start + 1), each.text)
        file.to_file(str(folder / f"{number:04}-{recording.stem}.eaf"))
