"""How many seconds of audio a second training gets through, and Coqui STT on the same corpus.

Run as ``make bench`` or ``python -m tests.benchmarks.training_speed``. What is measured, and what
is not, is in ``README.md`` beside this file. TensorFlow stays out of this process: Linux counts its
memory into the peak of every process that it starts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from stt_model.base.files import atomic_write
from stt_model.checkpoint.geometry import Geometry
from stt_model.training.config import PRECISIONS
from tests.benchmarks.matrix_product import peak_in_subprocess
from tests.benchmarks.noise_corpus import NoiseCorpus, write_noise_corpus
from tests.benchmarks.trainers import Bootstrap, Coqui, Settings, Timing, Trainer

OPERATIONS_A_WEIGHT = 6
"""Multiply and add: once forward, and backward once for the input and once for the weight."""


@dataclass(frozen=True)
class Run:
    """One training run of one trainer on a corpus."""

    trainer: str
    settings: Settings
    corpus: NoiseCorpus
    timing: Timing
    multiplies_in: str = "float32"

    @property
    def speed(self) -> float:
        """Seconds of audio a second, over the epochs after the first with their checkpoints."""
        return self._later_audio / self.timing.later_epochs

    @property
    def speed_of_steps(self) -> float:
        """The same without the time that checkpoints took."""
        return self._later_audio / self._seconds_of_steps

    @property
    def operations_a_second(self) -> float:
        """Useful floating-point operations a second, checkpoints left out; see the README."""
        geometry = Geometry(self.settings.n_hidden, self.corpus.classes)
        frames = self.corpus.frames * (self.settings.epochs - 1)
        return useful_operations(geometry, frames) / self._seconds_of_steps

    @property
    def _later_audio(self) -> float:
        return self.corpus.seconds * (self.settings.epochs - 1)

    @property
    def _seconds_of_steps(self) -> float:
        checkpoints = self.timing.checkpoint * (self.settings.epochs - 1)
        return self.timing.later_epochs - checkpoints


def multiplied_weights(geometry: Geometry) -> int:
    """Return how many weights every frame is multiplied with: those of all matrices."""
    return sum(shape[0] * shape[1] for shape in geometry.shapes().values() if len(shape) == 2)


def useful_operations(geometry: Geometry, frames: int) -> int:
    """Return the floating-point operations that training on ``frames`` cannot do without."""
    return OPERATIONS_A_WEIGHT * multiplied_weights(geometry) * frames


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every combination of sizes, print tables, and write JSON if asked to."""
    args = _parse(arguments)
    trainers: list[Trainer] = [Bootstrap(precision) for precision in args.precision]
    if args.reference:
        trainers.append(Coqui(args.reference))
    else:
        print(
            "Coqui STT 1.4.0 is not measured: no --reference, no STT_REFERENCE_DIR"
            " (`make reference` installs it)"
        )
    peaks: dict[str, float] = {}
    _measure_peaks(trainers, peaks)
    results: list[tuple[Settings, list[Run]]] = []
    for batch_size in args.batch_size:
        with tempfile.TemporaryDirectory(prefix="stt-bench-") as temporary:
            corpus = write_noise_corpus(
                Path(temporary), whole_batches(args.utterances, batch_size), batch_size
            )
            for n_hidden in args.n_hidden:
                settings = Settings(n_hidden, batch_size, args.epochs)
                runs = measure(trainers, settings, corpus, args.runs)
                _measure_peaks(trainers, peaks)
                results.append((settings, runs))
                print(f"\n{to_table(settings, runs, peaks)}", flush=True)
    best = ", ".join(f"{kind} {peak / 1e9:.0f} GFLOP/s" for kind, peak in peaks.items())
    print(f"\nmatrix products at best: {best}; {describe_machine()}")
    if args.json:
        _write_json(args.json, results, peaks)


def _measure_peaks(trainers: Sequence[Trainer], peaks: dict[str, float]) -> None:
    """Measure what the trainers multiply in, and keep the best that was ever found."""
    for kind in sorted({trainer.multiplies_in for trainer in trainers}, reverse=True):
        peaks[kind] = max(peaks.get(kind, 0.0), peak_in_subprocess(kind))


def whole_batches(utterances: int, batch_size: int) -> int:
    """Return the utterances that fill two batches or more.

    Coqui would leave out a last one that is not full; and an epoch of one step would tell more of
    the checkpoint behind it than of training.
    """
    return max(2, -(-utterances // batch_size)) * batch_size


def measure(
    trainers: Sequence[Trainer], settings: Settings, corpus: NoiseCorpus, count: int
) -> list[Run]:
    """Run the trainers in turn, ``count`` times each."""
    runs = []
    for _ in range(count):
        for trainer in trainers:
            with tempfile.TemporaryDirectory(prefix="stt-bench-run-") as folder:
                timing = trainer.run(settings, corpus, Path(folder))
            runs.append(Run(trainer.name, settings, corpus, timing, trainer.multiplies_in))
    return runs


def by_trainer(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Group runs by trainer, in the order of their first run."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.trainer, []).append(run)
    return groups


def ratios(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Return how many times as fast as the last trainer each other is, for each pair of runs."""
    *others, last = by_trainer(runs).items()
    return {
        name: [one.speed / other.speed for one, other in zip(group, last[1], strict=True)]
        for name, group in others
    }


def to_table(settings: Settings, runs: Sequence[Run], peaks: Mapping[str, float]) -> str:
    """Return the runs as text: one line each, then medians and ratios.

    ``peaks`` are in floating-point operations a second, by what is multiplied.
    """
    corpus = runs[0].corpus
    lines = [
        f"n_hidden {settings.n_hidden}, batch {settings.batch_size}: {corpus.utterances}"
        f" utterances, {corpus.seconds:.0f} s of audio, {corpus.padding:.1%} padding;"
        f" {settings.epochs} epochs, of which the first is not counted",
        f"  {'':34}{'audio s/s':>10}{'steps only':>12}{'of peak':>9}{'start-up s':>12}"
        f"{'epoch 1 s':>11}{'checkpoint s':>14}{'memory GB':>11}",
    ]
    groups = by_trainer(runs)
    for name, group in groups.items():
        peak = peaks[group[0].multiplies_in]
        lines += [_row(f"{name}, run {place}", [run], peak) for place, run in enumerate(group, 1)]
        lines.append(_row(f"{name}, median", group, peak))
    for name, pairs in ratios(runs).items():
        each = ", ".join(f"{ratio:.2f}" for ratio in pairs)
        lines.append(
            f"  {name}: {median(pairs):.2f} times as fast as {[*groups][-1]}; pair by pair: {each}"
        )
    return "\n".join(lines)


def _row(label: str, runs: Sequence[Run], peak: float) -> str:
    def middle(value: Callable[[Run], float]) -> float:
        return median(value(run) for run in runs)

    return (
        f"  {label:34}"
        f"{middle(lambda run: run.speed):10.1f}"
        f"{middle(lambda run: run.speed_of_steps):12.1f}"
        f"{middle(lambda run: run.operations_a_second) / peak:9.1%}"
        f"{middle(lambda run: run.timing.start_up):12.1f}"
        f"{middle(lambda run: run.timing.first_epoch):11.1f}"
        f"{middle(lambda run: run.timing.checkpoint):14.2f}"
        f"{middle(lambda run: run.timing.peak_bytes) / 1e9:11.2f}"
    )


def describe_machine() -> str:
    """Return what ran the benchmark, such as ``2 cores, Linux x86_64``."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {platform.system()} {platform.machine()}"


def _write_json(
    path: Path, results: Sequence[tuple[Settings, Sequence[Run]]], peaks: Mapping[str, float]
) -> None:
    report = {
        "machine": describe_machine(),
        "load_average": os.getloadavg(),
        "peak_operations_a_second": dict(peaks),
        "results": [
            {
                **asdict(settings),
                **_figures(runs[0].corpus),
                "runs": [
                    {
                        "trainer": run.trainer,
                        "audio_seconds_per_second": run.speed,
                        "audio_seconds_per_second_of_steps": run.speed_of_steps,
                        "share_of_peak": run.operations_a_second / peaks[run.multiplies_in],
                        **asdict(run.timing),
                    }
                    for run in runs
                ],
                "ratios": ratios(runs),
            }
            for settings, runs in results
        ],
    }
    with atomic_write(path) as beside:
        beside.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _figures(corpus: NoiseCorpus) -> dict[str, float]:
    return {name: getattr(corpus, name) for name in ("utterances", "seconds", "frames", "padding")}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.training_speed",
        description="Measure how many seconds of audio a second training gets through.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--n_hidden", type=int, nargs="+", default=[2048], metavar="N", help="width"
    )
    parser.add_argument(
        "--batch_size", type=int, nargs="+", default=[8, 32], metavar="N", help="utterances"
    )
    parser.add_argument(
        "--utterances",
        type=int,
        default=32,
        metavar="N",
        help="size of the corpus; more where they would not fill two batches",
    )
    parser.add_argument("--epochs", type=int, default=2, metavar="N", help="2 or more")
    parser.add_argument("--runs", type=int, default=2, metavar="N", help="runs of each trainer")
    parser.add_argument(
        "--precision",
        nargs="+",
        default=["off", "bfloat16"],
        choices=["auto", *PRECISIONS],
        help="what this project computes in",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        default=os.environ.get("STT_REFERENCE_DIR"),
        metavar="DIR",
        help="where Coqui STT 1.4.0 is installed (STT_REFERENCE_DIR)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    args = parser.parse_args(arguments)
    if args.epochs < 2:
        parser.error(f"--epochs: expected 2 or more, got {args.epochs}: the first is not counted")
    if args.runs < 1:
        parser.error(f"--runs: expected 1 or more, got {args.runs}")
    for name, least in (("utterances", args.utterances), ("batch_size", min(args.batch_size))):
        if least < 1:
            parser.error(f"--{name}: expected 1 or more, got {least}")
    return args


if __name__ == "__main__":
    main()
