"""The trainers that are compared, each run by its own command line and timed from outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.benchmarks.noise_corpus import NoiseCorpus

LEARNING_RATE = 0.0001
DROPOUT_RATE = 0.05
LINES_SHOWN_ON_FAILURE = 15


def timed_environment() -> dict[str, str]:
    """Return the environment of a process that is timed.

    Without the switch that keeps Python from storing bytecode: with it, a virtual environment whose
    packages have none compiles TensorFlow's sources in every process, which takes five seconds. And
    without what TensorFlow 2, once imported, leaves for TensorFlow 1, which then behaves as 2 does.
    """
    unwanted = ("PYTHONDONTWRITEBYTECODE", "TF2_BEHAVIOR")
    kept = {name: text for name, text in os.environ.items() if name not in unwanted}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Settings:
    """What to train, in Coqui's words; at least 2 epochs, since the first is not counted."""

    n_hidden: int
    batch_size: int
    epochs: int


@dataclass(frozen=True)
class Line:
    """A line of a trainer's log, and when it arrived: seconds since the process began."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Timing:
    """What one run took. Seconds; ``peak_bytes`` is resident memory.

    ``later_epochs`` runs from the end of the first epoch to the end of the last, and holds one
    checkpoint an epoch; ``checkpoint`` is what one of these took.
    """

    start_up: float
    first_epoch: float
    later_epochs: float
    checkpoint: float
    peak_bytes: int


class Trainer(ABC):
    """How to run a trainer, and how to read its log.

    ``ready`` matches the line after which the first epoch begins, ``epoch_end`` the line after each
    epoch, before its checkpoint. ``multiplies_in`` names the type whose peak counts.
    """

    name: str
    ready: re.Pattern[str]
    epoch_end: re.Pattern[str]
    multiplies_in: str = "float32"
    environment: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def command(self, settings: Settings, corpus: NoiseCorpus, folder: Path) -> list[str]:
        """Return the command line that trains from scratch in ``folder``."""

    @abstractmethod
    def last_epoch(self, lines: Sequence[Line], folder: Path) -> float:
        """Return the seconds of the last epoch without any checkpoint."""

    def run(self, settings: Settings, corpus: NoiseCorpus, folder: Path) -> Timing:
        """Train in ``folder``, which must be empty.

        Raises:
            SystemExit: the trainer failed; the end of its log says why.
        """
        command = self.command(settings, corpus, folder)
        lines, status, peak_bytes = _run(command, {**timed_environment(), **self.environment})
        if status != 0:
            end = "\n".join(line.text for line in lines[-LINES_SHOWN_ON_FAILURE:])
            raise SystemExit(f"{end}\nerror: {self.name} ended with exit status {status}")
        return self.read_log(lines, settings.epochs, folder, peak_bytes)

    def read_log(self, lines: Sequence[Line], epochs: int, folder: Path, peak_bytes: int) -> Timing:
        """Turn the arrival of lines into what the run took.

        Raises:
            SystemExit: the log does not tell of every epoch.
        """
        starts = [line.seconds for line in lines if self.ready.search(line.text)]
        ends = [line.seconds for line in lines if self.epoch_end.search(line.text)]
        if not starts or len(ends) != epochs:
            raise SystemExit(
                f"error: log of {self.name}: expected the end of {epochs} epochs,"
                f" found {len(ends)}; adapt tests/benchmarks/trainers.py to its lines"
            )
        return Timing(
            start_up=starts[0],
            first_epoch=ends[0] - starts[0],
            later_epochs=ends[-1] - ends[0],
            checkpoint=ends[-1] - ends[-2] - self.last_epoch(lines, folder),
            peak_bytes=peak_bytes,
        )


class Bootstrap(Trainer):
    """``stt-bootstrap train`` of this project."""

    name = "stt-bootstrap"
    """Without the precision, which follows it where one is given."""
    ready = re.compile(r"^training [\d,]+ parameters on ")
    epoch_end = re.compile(r"^epoch \d+: train loss ")

    def __init__(self, precision: str = "") -> None:
        """Compute in one of the choices of ``--mixed_precision``; by default in its default."""
        self.precision = precision
        if precision:
            self.name = f"{type(self).name}, {'float32' if precision == 'off' else precision}"
        if precision == "bfloat16":
            self.multiplies_in = "bfloat16"

    def command(self, settings: Settings, corpus: NoiseCorpus, folder: Path) -> list[str]:
        flags = ["--mixed_precision", self.precision] if self.precision else []
        flags += _common_flags(settings, corpus, folder)
        return [sys.executable, "-m", "stt_bootstrap.pipelines.cli", "train", *flags]

    def last_epoch(self, lines: Sequence[Line], folder: Path) -> float:
        # The log has no line where an epoch begins; the lineage has the trainer's own clock.
        lineage = json.loads((folder / "checkpoint" / "lineage.json").read_text(encoding="utf-8"))
        return float(lineage["last"]["seconds"])


class Coqui(Trainer):
    """``coqui_stt_training.train`` as ``tests/golden/install_reference.sh`` installs it."""

    name = "Coqui STT 1.4.0"
    ready = re.compile(r"^I Training epoch \d+\.\.\.")
    epoch_end = re.compile(r"^I Finished training epoch \d+ - loss: ")
    environment: ClassVar[Mapping[str, str]] = {"TF_CPP_MIN_LOG_LEVEL": "3"}

    def __init__(self, reference: Path) -> None:
        """Find it below ``reference``.

        Raises:
            SystemExit: it is not there.
        """
        self.python = reference.absolute() / "train" / "bin" / "python"
        if not self.python.exists():
            raise SystemExit(
                f"error: {self.python}: expected Coqui STT's Python, found none; make it with"
                f" `tests/golden/install_reference.sh {reference}`"
            )

    def command(self, settings: Settings, corpus: NoiseCorpus, folder: Path) -> list[str]:
        return [
            *(str(self.python), "-m", "coqui_stt_training.train"),
            *_common_flags(settings, corpus, folder),
            # What this project does by itself: keep the features of the first epoch, draw the order
            # of the batches anew in the later ones, write and keep one checkpoint an epoch.
            *("--feature_cache", str(folder / "features"), "--shuffle_batches", "true"),
            *("--checkpoint_secs", "0", "--max_to_keep", "1"),
            # A rehearsal before the first epoch, which would only lengthen the start.
            *("--skip_batch_test", "true"),
            *("--summary_dir", str(folder / "summaries")),
        ]

    def last_epoch(self, lines: Sequence[Line], folder: Path) -> float:
        start = [line.seconds for line in lines if self.ready.search(line.text)][-1]
        return [line.seconds for line in lines if self.epoch_end.search(line.text)][-1] - start


def _common_flags(settings: Settings, corpus: NoiseCorpus, folder: Path) -> list[str]:
    """Return the flags that mean the same to both."""
    flags = {
        "train_files": corpus.manifest,
        "alphabet_config_path": corpus.alphabet,
        "checkpoint_dir": folder / "checkpoint",
        "load_train": "init",
        "n_hidden": settings.n_hidden,
        "train_batch_size": settings.batch_size,
        "epochs": settings.epochs,
        "learning_rate": LEARNING_RATE,
        "dropout_rate": DROPOUT_RATE,
        "show_progressbar": "false",
    }
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]


def _run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[list[Line], int, int]:
    """Return the lines of a process, its exit status and its peak of resident memory in bytes."""
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**environment, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout
        lines = [Line(time.monotonic() - started, text.rstrip("\n")) for text in process.stdout]
        # Unlike resource.getrusage, this tells one child's peak from that of the others.
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return lines, process.returncode, usage.ru_maxrss * 1024
