"""Settings of a server."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.base import real, whole


@dataclass(frozen=True)
class ServingSettings:
    """Limits of a server; requests beyond them are refused at once."""

    most_mib: int = whole(25, "Largest accepted recording, in MiB.", minimum=1, metavar="MIB")
    most_seconds: float = real(600.0, "Longest accepted recording, in seconds.", above=0)
    most_waiting: int = whole(
        16, "Requests that may wait for the model; others are told to try again.", minimum=1
    )
    longest_utterance: float = real(
        30.0, "Seconds of a stream after which the text so far is final.", minimum=1
    )
