"""Where the time of a training step goes: which of TensorFlow's operations, for how long.

Run as ``make bench-step`` or ``python -m tests.benchmarks.step_profile``. One step after another of
noise, without a corpus, a checkpoint or another process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tensorflow as tf

from stt_model.checkpoint.geometry import Geometry
from stt_model.features.extraction import COEFFICIENTS
from stt_model.network.devices import training_strategy
from stt_model.training.config import PRECISIONS, TrainingConfig
from stt_model.training.learner import Learner
from tests.benchmarks.training_speed import useful_operations

CLASSES = 29
SHOWN = 16


def noise_batch(batch_size: int, frames: int) -> dict[str, Any]:
    """Return what a step is fed with: utterances of one length, a label every seven frames."""
    random = np.random.default_rng(1)
    labels = max(1, frames // 7)
    return {
        "features": tf.constant(random.normal(size=(batch_size, frames, COEFFICIENTS)), tf.float32),
        "frames": tf.fill([batch_size], frames),
        "labels": tf.constant(random.integers(0, CLASSES - 1, (batch_size, labels)), tf.int32),
        "label_lengths": tf.fill([batch_size], labels),
        "weights": tf.ones([batch_size]),
        "rows": tf.range(batch_size),
    }


def make_learner(
    n_hidden: int,
    precision: str,
    batch_size: int,
    strategy: tf.distribute.Strategy | None = None,
) -> Learner:
    """Return a network with new weights, and its optimizer."""
    config = TrainingConfig(
        *([], [], Path(), Path()),
        train_batch_size=batch_size,
        learning_rate=1e-4,
        dropout_rate=0.05,
    )
    return Learner(Geometry(n_hidden, CLASSES), config, strategy or training_strategy(), precision)


def time_steps(learner: Learner, batch: Mapping[str, Any], count: int) -> list[float]:
    """Return the seconds of each of some steps, after one that traces the graph."""
    learner.train_step(batch)
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        learner.train_step(batch)
        seconds.append(time.perf_counter() - started)
    return seconds


def profile_step(learner: Learner, batch: Mapping[str, Any]) -> Counter[str]:
    """Return the seconds that a step spends in each kind of operation, over all threads."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        learner.train_step(batch)
        tf.profiler.experimental.stop()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    spent: Counter[str] = Counter()
    for plane in space.planes:
        names = plane.event_metadata
        for line in plane.lines:
            for event in line.events:
                # Operations are called NAME:KIND.
                name = names[event.metadata_id].name
                if ":" in name and "::" not in name and not name.startswith("$"):
                    spent[name.rpartition(":")[2]] += event.duration_ps / 1e12
    return spent


def main(arguments: Sequence[str] | None = None) -> None:
    """Time steps of every precision and size, and print what they spend their time on."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.step_profile",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--n_hidden", type=int, default=2048, metavar="N")
    parser.add_argument("--batch_size", type=int, nargs="+", default=[8, 32], metavar="N")
    parser.add_argument("--frames", type=int, default=250, metavar="N", help="50 a second")
    parser.add_argument("--steps", type=int, default=3, metavar="N")
    parser.add_argument(
        "--precision", nargs="+", default=["off", "bfloat16"], choices=sorted(PRECISIONS)
    )
    args = parser.parse_args(arguments)
    for precision in args.precision:
        for batch_size in args.batch_size:
            learner = make_learner(args.n_hidden, precision, batch_size)
            batch = noise_batch(batch_size, args.frames)
            seconds = median(time_steps(learner, batch, args.steps))
            operations = useful_operations(learner.geometry, batch_size * args.frames)
            print(
                f"\n{PRECISIONS[precision]}, n_hidden {args.n_hidden}, batch {batch_size},"
                f" {args.frames} frames: {seconds:.2f} s a step,"
                f" {batch_size * args.frames / 50 / seconds:.1f} s of audio a second,"
                f" {operations / seconds / 1e9:.0f} GFLOP/s",
                flush=True,
            )
            for kind, spent in profile_step(learner, batch).most_common(SHOWN):
                print(f"  {spent:8.3f} s  {kind}", flush=True)


if __name__ == "__main__":
    main()
