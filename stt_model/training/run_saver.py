"""When and how a run is saved: its checkpoints, the state beside them, and its history."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from stt_model.base import StoppedError, TrainingError
from stt_model.checkpoint import (
    Checkpoint,
    describe_run,
    open_checkpoint,
    remove_leftovers,
    write_checkpoint,
)
from stt_model.network import sum_over_workers, workers_of
from stt_model.storage import CONTINUABLE_ERRORS, StoreError
from stt_model.training.config import TrainingConfig
from stt_model.training.learner import Learner
from stt_model.training.report import best_of, write_history
from stt_model.training.state import RunState


class RunSaver:
    """Saves a run into its directory. Of several workers, the first does so for all of them."""

    def __init__(
        self,
        config: TrainingConfig,
        source: Checkpoint,
        learner: Learner,
        state: RunState,
        after_save: Callable[[], None],
    ) -> None:
        self._config = config
        self._directory = config.save_checkpoint_dir
        self._source = source
        self._learner = learner
        self._state = state
        self._after_save = after_save
        self._is_chief = workers_of(learner.strategy).is_chief
        self._stop = threading.Event()
        self._is_storing = False
        self._saved = time.monotonic()

    @contextmanager
    def minding_termination(self) -> Iterator[None]:
        """Take note of SIGTERM during the block, so that it never interrupts a step."""
        if threading.current_thread() is not threading.main_thread():
            # Only the main thread receives signals.
            yield
            return
        previous = signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)

    @contextmanager
    def minding_the_store(self) -> Iterator[None]:
        """Save the run if the store with its clips fails during the block, after all retries.

        Raises:
            StoppedError: another attempt may get past the failure.
            TrainingError: it may not.
        """
        try:
            yield
        except StoreError as error:
            if self._is_storing:
                # The run is saved locally, but not in the store.
                raise
            self.save("last")
            passing = isinstance(error, CONTINUABLE_ERRORS)
            kind = StoppedError if passing else TrainingError
            advice = "start again" if passing else "fix that, then start again"
            raise kind(
                f"{error}; the run is saved in {self._directory}: {advice} with the same arguments"
                " to resume"
            ) from error

    def begin(self, *, resumed: bool) -> None:
        """Save a new run, or remove the unfinished files of a killed process."""
        # The first save of a run must not be taken for that of an earlier one.
        self._check_all_start_alike()
        if not resumed:
            # Shows before the first step that the directory can be written to.
            self.save("last")
        elif self._is_chief:
            remove_leftovers(self._directory, self._state.found)

    def _check_all_start_alike(self) -> None:
        """Wait for all workers, and check that they start at the same point of the run."""
        state = self._state
        workers = workers_of(self._learner.strategy)
        # One slot per worker, so that the sums are the values of each.
        own = [state.epoch, state.totals.batches]
        places = [own if each == workers.index else [0, 0] for each in range(workers.count)]
        sums = sum_over_workers(
            self._learner.strategy, [part for place in places for part in place]
        )
        found = sorted(set(zip(sums[::2], sums[1::2], strict=True)))
        if len(found) > 1:
            raise TrainingError(
                "the workers found the run at different points: "
                + " and ".join(f"epoch {epoch} after batch {batch}" for epoch, batch in found)
                + "; start all of them again with the same arguments"
            )

    def save_if_due(self) -> None:
        """Save the last weights if checkpoint_secs have passed.

        Raises:
            StoppedError: SIGTERM was received; the weights are saved.
        """
        state, interval = self._state, self._config.checkpoint_secs
        if self._stop.is_set():
            self.save("last")
            raise StoppedError(
                f"{self._directory}: stopped by SIGTERM in epoch {state.epoch} after batch"
                f" {state.totals.batches} and saved; start again with the same arguments to resume"
            )
        if interval and time.monotonic() - self._saved >= interval:
            self.save("last")

    def save(self, which: str) -> None:
        """Write the current weights as the ``best`` or the ``last`` checkpoint."""
        if not self._is_chief:
            return
        state = self._state
        state.iterations = self._learner.iterations
        state.random_state = self._learner.random_state()
        state.loss_scale = self._learner.loss_scale
        write_checkpoint(
            self._directory,
            self._learner.weights(),
            self._source.alphabet,
            which=which,
            step=state.step,
            learning_rate=state.learning_rate,
            adam=self._learner.moments(),
            beta_powers=self._learner.beta_powers(),
            flags={
                "epochs": self._config.epochs,
                **self._config.settings(),
                **asdict(self._source.audio),
            },
            lineage=self._lineage(),
            training_state=state.to_json(),
            keep=[self._directory / name for name in self._kept()],
        )
        if which == "last":
            if state.history:
                self._write_history()
            self._is_storing = True
            self._after_save()
            self._is_storing = False
            self._saved = time.monotonic()

    def source_is_best(self) -> bool:
        """Return whether the directory's best checkpoint is the source itself."""
        if not self._kept() or not (self._directory / "best_dev_checkpoint").is_file():
            return False
        best = open_checkpoint(self._directory, "best", self._source.alphabet)
        return best.prefix.name == self._state.source["name"]

    def _kept(self) -> list[str]:
        """Return the source's name if it is in the same directory."""
        name = self._state.source["name"]
        return [name] if name in self._state.found else []

    def _write_history(self) -> None:
        try:
            write_history(self._directory, self._state.history)
        except OSError as error:
            raise TrainingError(
                f"{self._directory}: cannot write the history: {error.strerror}"
            ) from error

    def _lineage(self) -> dict[str, Any]:
        epochs = self._state.history
        figures = {"best": asdict(best_of(epochs)), "last": asdict(epochs[-1])} if epochs else {}
        return {
            "step": "training",
            **figures,
            "history": [asdict(epoch) for epoch in epochs],
            "settings": {"epochs": self._config.epochs, **self._config.settings()},
            "precision": self._state.precision and asdict(self._state.precision),
            "train_digest": self._state.identity["train_files"],
            "source": self._state.source,
            **describe_run(),
        }
