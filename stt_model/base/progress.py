"""Progress of a long loop: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import time
from types import TracebackType

from tqdm import tqdm

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Counts utterances and seconds of audio, and reports the speed."""

    def __init__(
        self, description: str, utterances: int, *, done: int = 0, shown: bool = True
    ) -> None:
        self._description = description
        # Without a terminal tqdm disables itself.
        self._bar = tqdm(
            total=utterances,
            initial=done,
            desc=description,
            leave=False,
            disable=None if shown else True,
        )
        self._lines = shown and self._bar.disable
        self._utterances = utterances
        self._done = done
        self._audio_seconds = 0.0
        self._started = self._last_line = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def update(self, utterances: int, audio_seconds: float, note: str = "") -> None:
        """Report that this much more is done, with a note such as the loss so far."""
        self._done += utterances
        self._audio_seconds += audio_seconds
        now = time.monotonic()
        speed = f"{self._audio_seconds / max(now - self._started, 1e-9):.0f} s of audio/s"
        speed = f"{note}, {speed}" if note else speed
        self._bar.set_postfix_str(speed, refresh=False)
        self._bar.update(utterances)
        if self._lines and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            log.info("%s: %d of %d, %s", self._description, self._done, self._utterances, speed)
