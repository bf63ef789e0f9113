"""How long recordings are aligned and cut."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.base import DataError, check_parameters, choice, real

ROMANISE = ("auto", "always", "never")


@dataclass(frozen=True)
class AlignmentConfig:
    """What becomes a clip."""

    shortest_clip: float = real(
        2.0, "Minimum length of a clip, in seconds.", minimum=0.3, metavar="SECONDS"
    )
    longest_clip: float = real(
        15.0, "Maximum length of a clip, in seconds.", minimum=1.0, metavar="SECONDS"
    )
    shortest_pause: float = real(
        0.15, "Minimum pause for a cut between clips, in seconds.", minimum=0.06
    )
    min_confidence: float = real(
        0.3,
        "Minimum confidence of a clip to keep, from 0 (any other text would fit as well) to 1 (the"
        " model hears exactly this text); clips below are listed as doubtful.",
        minimum=0,
        maximum=1,
    )
    romanise: str = choice(
        "auto",
        ROMANISE,
        "Whether words are aligned by their sound, written in Latin letters; auto does so if the"
        " checkpoint's alphabet cannot write them.",
    )

    def __post_init__(self) -> None:
        check_parameters(self, DataError)
        if self.shortest_clip >= self.longest_clip:
            raise DataError(
                f"--shortest_clip: expected less than --longest_clip {self.longest_clip:g}, found"
                f" {self.shortest_clip:g}"
            )
