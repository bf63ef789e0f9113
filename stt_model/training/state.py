"""The state of a run that its last checkpoint cannot hold, in a JSON file beside it.

The file has the checkpoint's name and appears together with it, so that both are consistent
whenever the run is killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stt_model.base import OtherRunError, TrainingError, build, one_line, read_json
from stt_model.checkpoint import Checkpoint, open_checkpoint, state_path
from stt_model.training.config import PRECISIONS
from stt_model.training.loss_scale import LossScale
from stt_model.training.precision import Precision
from stt_model.training.schedule import DevRecord

FORMAT = 1
ADVICE = "give --save_checkpoint_dir another folder, or begin anew there with --restart true"


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch. Losses are nats per utterance.

    Epoch 0 is the unchanged source: it has no ``train_loss``. Without a dev set there is no
    ``dev_loss``. ``seconds`` are those of training, and in epoch 0 of evaluation.
    """

    number: int
    train_loss: float | None
    dev_loss: float | None
    learning_rate: float
    seconds: float
    audio_seconds_per_second: float
    best: bool
    dev_wer: float | None = None
    dev_cer: float | None = None
    """By greedy decoding; None also in runs of older versions."""


@dataclass
class Totals:
    """Sums over the batches of the current epoch."""

    batches: int = 0
    utterances: int = 0
    loss: float = 0.0
    audio_seconds: float = 0.0
    seconds: float = 0.0


@dataclass
class RunState:
    """The state of a run; together with the weights and Adam's moments it can be resumed."""

    identity: dict[str, Any]
    """``TrainingConfig.identity`` of the run."""
    source: dict[str, Any]
    """Name, digest and lineage of the initial checkpoint, as in the lineage."""
    found: list[str]
    """The checkpoints that were in the directory before."""
    step: int
    learning_rate: float
    epoch: int = 1
    """The current epoch."""
    iterations: int = 0
    """Adam's updates, which may be fewer than the run's steps, since a plateau goes back."""
    skipped_in_a_row: int = 0
    totals: Totals = field(default_factory=Totals)
    record: DevRecord = field(default_factory=DevRecord)
    random_state: dict[str, list[int]] = field(default_factory=dict)
    """State of dropout's generators, by layer."""
    precision: Precision | None = None
    """The run's precision; None before it is settled, and in runs of older versions."""
    loss_scale: LossScale | None = None
    """The loss scale, if the network computes in float16."""
    history: list[Epoch] = field(default_factory=list)
    stopped_early: bool = False
    epochs: int = 0
    """The number of epochs requested at the last start; 0 if not recorded."""

    @property
    def is_over(self) -> bool:
        """Whether the run has reached its end."""
        return self.stopped_early or 0 < self.epochs < self.epoch

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON types."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RunState:
        """Return the state that ``to_json`` wrote; ValueError if it is invalid."""
        values = {name: value for name, value in content.items() if name != "format"}
        state = build(cls, values)
        state.check()
        return state

    def check(self) -> None:
        """Refuse impossible numbers; ValueError names the first."""
        record, totals, scale = self.record, self.totals, self.loss_scale or LossScale()
        known = {epoch.number for epoch in self.history}
        limits = {
            "epoch": self.epoch >= 1,
            "step": self.step >= 0,
            "iterations": self.iterations >= 0,
            "skipped_in_a_row": self.skipped_in_a_row >= 0,
            "learning_rate": self.learning_rate > 0,
            "totals": min(totals.batches, totals.utterances, totals.seconds) >= 0,
            "totals.audio_seconds": totals.audio_seconds >= 0,
            "record.epochs_without_improvement": record.epochs_without_improvement >= 0,
            "record.best_epoch": record.best_loss is None or record.best_epoch in known,
            "precision": self.precision is None or self.precision.name in PRECISIONS,
            "loss_scale": scale.factor > 0 and scale.good_steps >= 0,
            "history": [epoch.number for epoch in self.history]
            == [*range(self.epoch - len(self.history), self.epoch)],
            "source": isinstance(self.source.get("name"), str),
            "source.lineage": isinstance(self.source.get("lineage", {}), (dict, type(None))),
        }
        for name, allowed in limits.items():
            if not allowed:
                raise ValueError(f"{name} has an impossible value")

    def check_same(self, identity: Mapping[str, Any], directory: Path) -> None:
        """Refuse to resume with other settings, other data or another starting point.

        Raises:
            OtherRunError: something differs; all of it is named.
        """
        names = [*self.identity, *(name for name in identity if name not in self.identity)]
        differing = [
            _difference(name, self.identity.get(name), identity.get(name))
            for name in names
            if self.identity.get(name) != identity.get(name)
        ]
        if differing:
            raise OtherRunError(
                f"{directory}: holds a run with other arguments: {'; '.join(differing)}; give the"
                f" same to go on, {ADVICE}"
            )


def _difference(name: str, before: Any, now: Any) -> str:
    digests = [value for value in (before, now) if isinstance(value, str) and len(value) == 64]
    return f"--{name} has other content" if digests else f"--{name} was {before}, is {now}"


def is_to_go_on_from(state: RunState, identity: Mapping[str, Any], epochs: int) -> bool:
    """Tell whether a run is over and the request differs, so that another run has to be started.

    The same request with more epochs resumes the same run.
    """
    return state.is_over and (state.identity != identity or epochs < state.epoch)


def find_run(directory: Path) -> tuple[Checkpoint, RunState] | None:
    """Return the last checkpoint of a directory's run, and its state; None if there is no run.

    Raises:
        CheckpointError: the checkpoint is damaged.
        TrainingError: its state is.
    """
    if not (directory / "checkpoint").is_file():
        return None
    last = open_checkpoint(directory, "last")
    path = state_path(last.prefix)
    if not path.is_file():
        return None
    return last, read_state(path)


def read_state(path: Path) -> RunState:
    """Read the state file beside a checkpoint.

    Raises:
        TrainingError: it is damaged, or of another version.
    """
    try:
        content = read_json(path)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("another format")
        return RunState.from_json(content)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path}: expected the state of a run in format {FORMAT}, found something else"
            f" ({one_line(str(error))}); {ADVICE}"
        ) from error
