"""Parts of long recordings with their texts, as in annotations and subtitles."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.importing.clip import Clip, Found, SetAside
from stt_model.importing.layout import filled
from stt_model.importing.tree import Tree


@dataclass(frozen=True)
class Recording:
    """A long recording, and the file that holds its texts."""

    tree: Tree
    annotations: str
    audio: str
    """Its name in the tree; "" if there is none."""
    missing: str
    """The reason to set its segments aside if the recording is missing."""

    def segment(
        self, start: float, end: float, text: str, *, where: str, tier: str = "", speaker: str = ""
    ) -> Found:
        """Return the clip from ``start`` to ``end``, both in seconds."""
        name = f"{self.annotations}#{f'{tier}#' if tier else ''}{start:.3f}-{end:.3f}"
        where = f"{self.annotations}, {where}"
        if not self.audio:
            return SetAside(name, where, "audio_missing", self.missing, text)
        return Clip(
            name=name,
            audio=self.tree.place(self.audio),
            transcript=text,
            where=where,
            start=start,
            end=end,
            extra=filled(speaker=speaker),
        )
