"""How fast training steps are on GPUs: float32, TF32, bfloat16 and float16, on one and on two.

Run as ``make bench-gpu`` or ``python -m tests.benchmarks.gpu_speed`` on a machine with a GPU; the
README beside this file says how to bring TensorFlow there as wheels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import tensorflow as tf

from stt_model.checkpoint.geometry import Geometry
from stt_model.network.arithmetic import bfloat16_speed
from tests.benchmarks.step_profile import CLASSES, make_learner, noise_batch, time_steps
from tests.benchmarks.training_speed import useful_operations


@dataclass(frozen=True)
class Case:
    """What is computed in: one of ``config.PRECISIONS``, and whether products may take TF32."""

    name: str
    precision: str
    tensor_float: bool


CASES = (
    Case("float32", "off", tensor_float=False),
    Case("TF32", "off", tensor_float=True),
    Case("bfloat16", "bfloat16", tensor_float=True),
    Case("float16", "float16", tensor_float=True),
)


def measure(case: Case, replicas: int, args: argparse.Namespace, batch_size: int) -> str:
    """Return a row of the table; ``batch_size`` is that of each replica."""
    tf.config.experimental.enable_tensor_float_32_execution(case.tensor_float)
    devices = [device.name for device in tf.config.list_logical_devices("GPU")][:replicas]
    strategy = tf.distribute.MirroredStrategy(devices)
    learner = make_learner(args.n_hidden, case.precision, batch_size * replicas, strategy)
    batch = noise_batch(batch_size * replicas, args.frames)
    for device in devices:
        tf.config.experimental.reset_memory_stats(device.removeprefix("/device:"))
    seconds = median(time_steps(learner, batch, args.steps))
    frames = batch_size * replicas * args.frames
    operations = useful_operations(Geometry(args.n_hidden, CLASSES), frames)
    peak = max(
        tf.config.experimental.get_memory_info(device.removeprefix("/device:"))["peak"]
        for device in devices
    )
    return (
        f"| {case.name} | {replicas} | {batch_size} | {1000 * seconds:.0f}"
        f" | {frames / 50 / seconds:.0f} | {operations / seconds / 1e12:.2f} | {peak / 1e9:.2f} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.gpu_speed",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--n_hidden", type=int, default=2048)
    parser.add_argument("--batch_size", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--frames", type=int, default=250, help="50 a second")
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args(arguments)
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise SystemExit("error: expected a GPU, found none; `make bench` measures on the CPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    print(f"{', '.join(map(str, names))}; TensorFlow {tf.__version__}; n_hidden {args.n_hidden}")
    for batch_size in args.batch_size:
        speed = bfloat16_speed(args.n_hidden, batch_size)
        print(f"batch {batch_size}: products {speed:.2f} times as fast in bfloat16, by `auto`")
    print(
        "\n| computed in | replicas | batch of each | ms a step | audio s/s | TFLOP/s | peak GB |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for replicas in (1, 2):
        if replicas <= len(gpus):
            for batch_size in args.batch_size:
                for case in CASES:
                    print(measure(case, replicas, args, batch_size), flush=True)


if __name__ == "__main__":
    main()
