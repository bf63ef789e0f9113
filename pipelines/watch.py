"""Follow a run of kfp.local: which task runs, its progress, how it ends."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

# What kfp.local logs around a task; colours may surround the name.
_STARTED = re.compile(r"Executing task \S*'([\w-]+)'")
_FINISHED = re.compile(r"Task \S*'[\w-]+'\S* finished with status \S*(SUCCESS|FAILURE)")
_INDENT = "    "
# A task's log lines as kfp's executor writes them, without the executor's own.
_LOGGED = re.compile(r"\[KFP Executor \S+ \S+ (?:INFO|WARNING|ERROR)\]: (.+)")
_OF_KFP = re.compile(
    r"Looking for component|Loading KFP component|Got executor_input|Wrote executor output"
    r"|Using \w+Strategy|Wrote to executor"
)
_OWN_ERROR = re.compile(r"stt_model(?:\.\w+)+Error: (.+)")


def component_of(task: str) -> str:
    """Return the component of a task; kfp numbers a component's tasks from the second on."""
    return re.sub(r"-\d+$", "", task).replace("-", "_")


def progress_in(line: str) -> str | None:
    """Return the message of a progress line in a task's log; None for other lines."""
    # kfp.local indents by the depth of the DAG.
    logged = _LOGGED.fullmatch(line.strip())
    return logged[1] if logged and not _OF_KFP.match(logged[1]) else None


class Watch(io.TextIOBase):
    """Stands in for stdout while kfp.local runs.

    Attributes:
        tasks: the tasks that started, in order, by the names in the compiled pipeline.
        failures: one line for each task that failed.
    """

    def __init__(self, logs: Path, say: Callable[[str], None], verbose: bool = False) -> None:
        """Keep what each task prints in ``logs``; ``say`` takes the lines meant for a person."""
        self.tasks: list[str] = []
        self.failures: list[str] = []
        self._logs = logs
        self._say = say
        self._verbose = verbose
        self._line = ""
        self._started = 0.0
        self._running = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Capture stdout and the root logger until the block ends."""
        handler = logging.StreamHandler(self)
        logging.getLogger().addHandler(handler)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(self):
                # It warns that images and display names are ignored in a local run.
                warnings.filterwarnings("ignore", module=r"kfp\.local")
                yield
        finally:
            logging.getLogger().removeHandler(handler)

    def write(self, text: str) -> int:
        """Take some text; whole lines are processed at once."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(line)
        return len(text)

    def _take(self, line: str) -> None:
        if started := _STARTED.search(line):
            self.tasks.append(started[1])
            self._started = time.monotonic()
            self._running = True
            self._say(f"{component_of(started[1])}: running")
        elif finished := _FINISHED.search(line):
            self._finish(succeeded=finished[1] == "SUCCESS")
        elif self._running:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(line.removeprefix(_INDENT) + "\n")
            if self._verbose:
                self._say(line)
            elif progress := progress_in(line):
                self._say(f"{component_of(self.tasks[-1])}: {progress}")

    def _finish(self, succeeded: bool) -> None:
        self._running = False
        seconds = time.monotonic() - self._started
        verdict = "done in" if succeeded else "failed after"
        self._say(f"{component_of(self.tasks[-1])}: {verdict} {seconds:.0f} s")
        if not succeeded:
            self.failures.append(self._read_error())

    @property
    def _log(self) -> Path:
        return self._logs / f"{self.tasks[-1]}.log"

    def _read_error(self) -> str:
        """Return the last line that the task printed: that of its exception."""
        text = self._log.read_text(encoding="utf-8") if self._log.is_file() else ""
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
        if own := _OWN_ERROR.fullmatch(last.strip()):
            return own[1]
        name = component_of(self.tasks[-1])
        return f"{name} failed: {last.strip()}; its whole output: {self._log}"
