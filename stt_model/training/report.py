"""The results of a training run: figures, a history to plot, and a report with the curve."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from stt_model.base import atomic_write, cell, embed
from stt_model.training.config import TrainingConfig
from stt_model.training.precision import FULL, Precision
from stt_model.training.state import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HISTORY = "history.csv"
_STEEP = 5
"""Ratio of the largest loss to the smallest above which the axis is logarithmic."""
COLUMNS = tuple(each.name for each in fields(Epoch))
"""Columns of ``history.csv``, where ``number`` is called ``epoch``."""


@dataclass(frozen=True)
class TrainingResult:
    """The results of a training run, and where its checkpoints are."""

    checkpoint_dir: Path
    devices: str
    parameters: int
    train_utterances: int
    train_hours: float
    config: TrainingConfig
    epochs: Sequence[Epoch]
    """With a dev set the first is epoch 0, the unchanged source."""
    stopped_early: bool
    precision: Precision = FULL
    is_chief: bool = True
    """Whether this worker writes, if there are several."""

    @property
    def best(self) -> Epoch:
        """The epoch with the lowest dev loss, or the last one without a dev set."""
        return best_of(self.epochs)

    def metrics(self) -> dict[str, float]:
        """Return the figures to show with the run; all are finite.

        ``best_epoch`` 0 is the source, which has a ``dev_loss`` but no ``train_loss``.
        """
        figures = {
            "epochs": float(self.epochs[-1].number),
            "best_epoch": float(self.best.number),
            "train_hours": self.train_hours,
            "audio_seconds_per_second": self.epochs[-1].audio_seconds_per_second,
        }
        if self.best.train_loss is not None:
            figures["train_loss"] = self.best.train_loss
        if self.best.dev_loss is not None:
            figures["dev_loss"] = self.best.dev_loss
        if self.epochs[0].number == 0 and self.epochs[0].dev_loss is not None:
            figures["source_dev_loss"] = self.epochs[0].dev_loss
        return figures

    def to_markdown(self) -> str:
        """Return the training report, including its picture."""
        sections = [
            "# Training",
            f"{self.train_utterances} utterances, {self.train_hours:.2f} h,"
            f" {self.parameters:,} parameters, {self.devices},"
            f" computed {self.precision};"
            f" batch {self.config.train_batch_size}, learning rate {self.config.learning_rate:g},"
            f" dropout {self.config.dropout_rate:g}, seed {self.config.random_seed}.",
            *self._chosen(),
            *self._frozen(),
            *self._augmented(),
            " ".join(self._outcome()),
            embed(draw_curve(self.epochs), "Learning curve"),
            "\n".join(self._table()),
        ]
        return "\n\n".join(sections) + "\n"

    def _chosen(self) -> Iterator[str]:
        reasons = dict(self.config.reasons)
        if not reasons:
            return
        rows = ["| setting | chosen | because |", "| --- | --- | --- |"]
        corpus = reasons.pop("corpus")
        for name, reason in reasons.items():
            value = getattr(self.config, name)
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            rows.append(f"| {name} | {cell(shown) or 'none'} | {cell(reason)} |")
        yield f"Chosen by the rule for {cell(corpus)}:"
        yield "\n".join(rows)

    def _frozen(self) -> Iterator[str]:
        epochs = self.config.freeze_source_epochs
        if epochs:
            yield f"Up to epoch {epochs} only the new layers were trained."

    def _augmented(self) -> Iterator[str]:
        if self.config.augment:
            yield f"The training set was augmented in each epoch: {cell(self.config.augment)}."

    def _outcome(self) -> Iterator[str]:
        best, source = self.best, self.epochs[0]
        if best.dev_loss is None:
            yield f"Without a dev set no epoch is the best; the last is epoch {best.number}."
        elif best.number == 0:
            yield (
                "**Training brought no improvement: the best is the source itself**, with a dev"
                f" loss of {best.dev_loss:.3f}. The best checkpoint holds its weights."
            )
        else:
            yield (
                f"Best: epoch {best.number}, dev loss {best.dev_loss:.3f};"
                f" the source had {source.dev_loss:.3f}."
            )
        if self.stopped_early:
            yield f"Stopped early: no improvement in {self.config.es_epochs} epoch(s)."

    def _table(self) -> Iterator[str]:
        yield (
            "| epoch | train loss | dev loss | dev WER | dev CER | learning rate | seconds"
            " | audio s/s | |"
        )
        yield "| ---: |" + " ---: |" * 7 + " --- |"
        for epoch in self.epochs:
            source = "source" if epoch.number == 0 else ""
            note = source or ("new best" if epoch.best else "")
            yield (
                f"| {epoch.number} | {_loss(epoch.train_loss)} | {_loss(epoch.dev_loss)}"
                f" | {_rate(epoch.dev_wer)} | {_rate(epoch.dev_cer)}"
                f" | {epoch.learning_rate:g} | {epoch.seconds:.1f}"
                f" | {epoch.audio_seconds_per_second:.0f} | {note} |"
            )


def best_of(epochs: Sequence[Epoch]) -> Epoch:
    """Return the last epoch that was the best when it ended, or the last one if there is none."""
    return next((epoch for epoch in reversed(epochs) if epoch.best), epochs[-1])


def write_history(directory: Path, epochs: Sequence[Epoch]) -> None:
    """Write ``history.csv`` with a line per epoch."""
    with (
        atomic_write(directory / HISTORY) as beside,
        beside.open("w", encoding="utf-8", newline="") as handle,
    ):
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow("epoch" if name == "number" else name for name in COLUMNS)
        # The csv module writes None as an empty field.
        writer.writerows([getattr(epoch, name) for name in COLUMNS] for epoch in epochs)


def draw_curve(epochs: Sequence[Epoch]) -> Figure:
    """Draw the losses and, where they are known, the dev error rates of the epochs."""
    from matplotlib.figure import Figure

    with_rates = any(epoch.dev_wer is not None for epoch in epochs)
    figure = Figure(figsize=(7, 5.6 if with_rates else 3.4), layout="constrained")
    axes = figure.subplots(2 if with_rates else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_losses(axes[0], epochs)
    if with_rates:
        _draw_rates(axes[1], epochs)
    axes[-1].set_xlabel("epoch")
    return figure


def _draw_losses(axes: Axes, epochs: Sequence[Epoch]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    losses = _draw_lines(axes, epochs, {"train_loss": "train", "dev_loss": "dev"})
    best = best_of(epochs)
    if best.dev_loss is not None:
        axes.plot(
            *(best.number, best.dev_loss),
            "o",
            markersize=10,
            fillstyle="none",
            color="black",
            label=f"best: {'source' if best.number == 0 else f'epoch {best.number}'}",
        )
    for before, after in pairwise(epochs):
        if after.learning_rate < before.learning_rate:
            axes.axvline(after.number - 0.5, color="grey", linestyle=":", linewidth=1)
            axes.annotate(
                f" learning rate {after.learning_rate:.2g}",
                (after.number - 0.5, 1),
                xycoords=("data", "axes fraction"),
                va="top",
                fontsize=7,
                color="grey",
            )
    axes.set_ylabel("loss, nats per utterance")
    if losses and min(losses) > 0 and max(losses) > _STEEP * min(losses):
        # Otherwise the first epochs would flatten the rest of the curve.
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.margins(y=0.1)
        axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def _draw_rates(axes: Axes, epochs: Sequence[Epoch]) -> None:
    from matplotlib.ticker import PercentFormatter

    rates = _draw_lines(axes, epochs, {"dev_wer": "dev WER", "dev_cer": "dev CER"})
    axes.set_ylabel("error rate")
    axes.set_ylim(0, min(max([*rates, 0.05]) * 1.1, 1.5))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(frameon=False)


def _draw_lines(axes: Axes, epochs: Sequence[Epoch], labels: Mapping[str, str]) -> list[float]:
    """Draw a line for each figure that the epochs have; return all that was drawn."""
    from matplotlib.ticker import MaxNLocator

    drawn: list[float] = []
    for name, label in labels.items():
        points = [(e.number, getattr(e, name)) for e in epochs if getattr(e, name) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
            drawn += [figure for _, figure in points]
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return drawn


def _loss(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.3f}"


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"
