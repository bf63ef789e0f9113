"""Settings of an import besides source and target."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.base import DataError, check_parameters, choice, switch, text
from stt_model.corpus import SplitPlan

SPLITS_FROM = ("auto", "released", "new")


@dataclass(frozen=True)
class ImportSettings(SplitPlan):
    """How a source is read, and how its clips are split."""

    format: str = text("", "Format of the source; empty to detect it.", metavar="NAME")
    columns: str = text(
        "",
        "Roles of a table's columns, such as audio=path,transcript=sentence,speaker=who; other"
        " columns are recognised by their names.",
        metavar="ROLE=COLUMN",
    )
    encoding: str = text("", "Encoding of text files; empty to detect it.", metavar="NAME")
    tier: str = text(
        "",
        "Tier of ELAN and Praat files that holds the transcripts; empty to choose automatically.",
        metavar="NAME",
    )
    speaker_pattern: str = text(
        "",
        "Regular expression whose only group matches the speaker in a clip's path, such as"
        " ^([^/]+)/ for one folder per speaker; empty for none.",
        metavar="REGEX",
    )
    splits: str = choice(
        "auto",
        SPLITS_FROM,
        "Whether to use the splits that the source was released with, or to draw new ones: auto"
        " uses the released ones, except Common Voice's, which hold few of its clips.",
    )
    copy_audio: bool = switch(
        False, "Copy every clip into the corpus, instead of naming its place in the source."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_parameters(self, DataError)
