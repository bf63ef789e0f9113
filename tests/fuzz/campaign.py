"""One target in this process: damaged input after damaged input, within bounds."""

from __future__ import annotations

import contextlib
import itertools
import random
import resource
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stt_model.base.errors import BootstrapError
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS

SECONDS_A_CASE = 30
MEMORY = 2 * 2**30
"""Bytes of memory that the whole process may grow to."""


class SlowError(BaseException):
    """A case takes too long."""


@dataclass(frozen=True)
class Outcome:
    """What a campaign did; ``failure`` is "" where all went well."""

    target: str
    cases: int
    refused: int
    seconds: float
    peak: int
    """Bytes of memory at most, of this process and of those that it started."""
    failure: str = ""
    data: bytes = b""


def run(name: str, *, seed: int, cases: int, seconds: float) -> Outcome:
    """Try ``cases`` inputs, or as many as there is time for; end at the first mistake."""
    draw = random.Random(f"{name} {seed}")
    started = time.monotonic()
    done = refused = 0
    failure, data = "", b""
    with (
        tempfile.TemporaryDirectory(prefix="stt-bootstrap-fuzz-") as folder,
        TARGETS[name].opened(Path(folder)) as (seeds, read),
    ):
        for number in itertools.count():
            if number >= cases or time.monotonic() - started > seconds:
                break
            # At first each seed as it is.
            data = seeds[number] if number < len(seeds) else b""
            data = data or mutate(draw.choice(seeds), seeds, draw)
            done += 1
            try:
                with _limited():
                    read(data)
            except BootstrapError as error:
                refused += 1
                if not str(error).isprintable():
                    failure = f"more than one plain line: {str(error)!r}"
            except (Exception, SlowError) as error:
                failure = f"{type(error).__name__}: {str(error)[:300]}"
            if not failure and _peak() > MEMORY:
                failure = f"{_peak() / 2**20:.0f} MiB of memory"
            if failure:
                break
    seconds = time.monotonic() - started
    return Outcome(name, done, refused, seconds, _peak(), failure, data if failure else b"")


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
