"""One target in this process: damaged input after damaged input, within bounds."""

from __future__ import annotations

import contextlib
import itertools
import random
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stt_model.base.errors import BootstrapError
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS

SECONDS_A_CASE = 30
PLACES = 8
MEMORY = 2 * 2**30
"""Bytes of memory that the whole process may grow to."""


class SlowError(BaseException):
    """A case takes too long."""


class Failure(NamedTuple):
    """A mistake, and what it was made with."""

    message: str
    case: int
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What a campaign did; ``failures`` is empty where all went well."""

    target: str
    cases: int
    refused: int
    seconds: float
    peak: int
    """Bytes of memory at most, of this process and of those that it started."""
    failures: tuple[Failure, ...] = ()


def run(name: str, *, seed: int, cases: int, seconds: float) -> Outcome:
    """Try ``cases`` inputs, or as many as there is time for.

    Of mistakes made at one place of the code the first is kept; at ``PLACES`` places it ends.
    """
    draw = random.Random(f"{name} {seed}")
    done = refused = 0
    found: dict[str, Failure] = {}
    with (
        tempfile.TemporaryDirectory(prefix="stt-bootstrap-fuzz-") as folder,
        TARGETS[name].opened(Path(folder)) as (seeds, read),
    ):
        # What is damaged may take long to make.
        started = time.monotonic()
        for number in itertools.count():
            over = number >= cases or time.monotonic() - started > seconds
            if over or len(found) >= PLACES or "memory" in found:
                break
            # At first each seed as it is.
            data = seeds[number] if number < len(seeds) else b""
            data = data or mutate(draw.choice(seeds), seeds, draw)
            done += 1
            place, message = "", ""
            try:
                with _limited():
                    read(data)
            except BootstrapError as error:
                refused += 1
                if not str(error).isprintable():
                    message = f"more than one plain line: {str(error)!r}"
                    place = f"line of {_place(error)}"
            except (Exception, SlowError) as error:
                message = f"{type(error).__name__}: {str(error)[:300]}"
                place = f"{type(error).__name__} at {_place(error)}"
            if not message and _peak() > MEMORY:
                place, message = "memory", f"{_peak() / 2**20:.0f} MiB of memory"
            if message and place not in found:
                found[place] = Failure(f"{message} ({place})", done, data)
        seconds = time.monotonic() - started
    return Outcome(name, done, refused, seconds, _peak(), tuple(found.values()))


def _place(error: BaseException) -> str:
    """Return the last line of the project's own code that an error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "stt_model/" in frame.filename] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "nowhere"


def _peak() -> int:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, started) * 1024


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise SlowError(f"more than {SECONDS_A_CASE} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS_A_CASE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
