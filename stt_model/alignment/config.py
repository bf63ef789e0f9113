"""How long recordings are aligned and cut."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.base import DataError, check_parameters, choice, real

ROMANISE = ("auto", "always", "never")


@dataclass(frozen=True)
class AlignmentConfig:
    """What becomes a clip."""

    shortest_clip: float = real(2.0, "Shortest clip, in seconds.", minimum=0.3, metavar="SECONDS")
    longest_clip: float = real(15.0, "Longest clip, in seconds.", minimum=1.0, metavar="SECONDS")
    shortest_pause: float = real(
        0.15, "Shortest pause that a clip may begin or end in, in seconds.", minimum=0.06
    )
    min_confidence: float = real(
        0.3,
        "Least confidence of a clip that is taken, from 0 (its text fits no better than any other"
        " would) to 1 (the model hears just this text); the others are listed as doubtful.",
        minimum=0,
        maximum=1,
    )
    romanise: str = choice(
        "auto",
        ROMANISE,
        "Whether words are aligned by what they sound like in Latin letters: auto does so where the"
        " checkpoint's alphabet cannot write them.",
    )

    def __post_init__(self) -> None:
        check_parameters(self, DataError)
        if self.shortest_clip >= self.longest_clip:
            raise DataError(
                f"--shortest_clip: expected less than --longest_clip {self.longest_clip:g}, found"
                f" {self.shortest_clip:g}"
            )
