"""The intended sizes of a corpus's splits, and what they must not share."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.base import DataError, check_parameters, choice, real

TRAIN, DEV, TEST = 0, 1, 2
SPLIT_BY = ("auto", "speaker+text", "speaker", "text")


@dataclass(frozen=True)
class SplitPlan:
    """The intended sizes of the splits, and what they must not share."""

    dev_share: float = real(
        0.1, "Share of all audio that becomes the dev split.", minimum=0, below=1
    )
    test_share: float = real(
        0.1, "Share of all audio that becomes the test split.", minimum=0, below=1
    )
    dev_hours: float = real(
        0.0, "Hours of the dev split; above 0 they replace dev_share.", minimum=0
    )
    test_hours: float = real(
        0.0, "Hours of the test split; above 0 they replace test_share.", minimum=0
    )
    split_by: str = choice(
        "auto",
        SPLIT_BY,
        "What no two splits may share: speaker+text, speaker or text; auto means both, or text"
        " alone if there are too few speakers.",
    )

    def __post_init__(self) -> None:
        check_parameters(self, DataError)
        if self.dev_share + self.test_share >= 1:
            raise DataError(
                "--dev_share and --test_share: expected less than 1 together, so that something is"
                f" left to train on, found {self.dev_share + self.test_share:g}"
            )

    def seconds(self, split: int, total: float) -> float:
        """Return the intended seconds of a held-out split of a corpus of ``total`` seconds."""
        hours = self.dev_hours if split == DEV else self.test_hours
        share = self.dev_share if split == DEV else self.test_share
        return hours * 3600 if hours else share * total
