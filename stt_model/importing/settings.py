"""What an import is told beside source and target."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.base import DataError, check_parameters, choice, switch, text
from stt_model.corpus import SplitPlan

SPLITS_FROM = ("auto", "released", "new")


@dataclass(frozen=True)
class ImportSettings(SplitPlan):
    """How a source is read, and how its clips are split."""

    format: str = text("", "Format of the source; empty to tell it by its content.", metavar="NAME")
    columns: str = text(
        "",
        "Which column of a table is what, such as audio=path,transcript=sentence,speaker=who; what"
        " is not said is guessed from the names.",
        metavar="ROLE=COLUMN",
    )
    encoding: str = text(
        "", "Encoding of text files; empty to tell it by their content.", metavar="NAME"
    )
    tier: str = text(
        "",
        "Tier of ELAN and Praat files that holds the transcripts; empty to choose it.",
        metavar="NAME",
    )
    speaker_pattern: str = text(
        "",
        "Regular expression whose one group is the speaker in a clip's path, such as ^([^/]+)/ for"
        " a folder a speaker.",
        metavar="REGEX",
    )
    splits: str = choice(
        "auto",
        SPLITS_FROM,
        "Whether to take the splits that the source was released with, or to draw new ones: auto"
        " takes released ones, except from Common Voice, whose hold a small part of the clips.",
    )
    copy_audio: bool = switch(
        False, "Copy every clip into the corpus, instead of naming it where it lies."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_parameters(self, DataError)
