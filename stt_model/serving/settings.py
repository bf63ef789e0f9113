"""What a server may be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from stt_model.base import real, whole


@dataclass(frozen=True)
class ServingSettings:
    """Limits of a server; what is beyond them is answered, not waited for."""

    most_mib: int = whole(25, "Largest recording that is taken, in MiB.", minimum=1, metavar="MIB")
    most_seconds: float = real(600.0, "Longest recording that is taken, in seconds.", above=0)
    most_waiting: int = whole(
        16, "Requests that may wait for the model; further ones are told to come again.", minimum=1
    )
    longest_utterance: float = real(
        30.0, "Seconds of a stream after which the text so far is final.", minimum=1
    )
