"""The devices that training runs on, and the processes that share the work."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from stt_model.base import TrainingError

DEVICE_FILES = Path("/dev")
"""Where the driver makes a file ``nvidia0`` for the first GPU that this process may use."""


@dataclass(frozen=True)
class Workers:
    """The processes that train one network together, each on the devices of its machine."""

    count: int
    index: int
    """Of this process; 0 is the one that writes."""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, and all else that there should be one of."""
        return self.index == 0


@contextmanager
def loss_noted(workers: Workers) -> Iterator[None]:
    """Raise TrainingError where another worker is gone."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        if workers.count == 1:
            raise
        raise TrainingError(
            f"worker {workers.index}: another one of the {workers.count} workers is gone; start all"
            " of them again with the same arguments to resume"
        ) from error


def training_strategy() -> tf.distribute.Strategy:
    """Return the strategy over every GPU of this machine, or over its CPU.

    With ``TF_CONFIG`` in the environment, it is over those of all machines that it names. Then it
    must be made before anything else is computed.
    """
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    devices = [device.name for device in gpus] or ["CPU:0"]
    return tf.distribute.MirroredStrategy(devices)


def workers_of(strategy: tf.distribute.Strategy) -> Workers:
    """Return how many processes a strategy is over, and which of them this is."""
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec().as_dict() if resolver else {}
    chiefs = len(cluster.get("chief", ()))
    count = chiefs + len(cluster.get("worker", ()))
    if count < 2:
        return Workers(1, 0)
    return Workers(count, resolver.task_id + (chiefs if resolver.task_type == "worker" else 0))


def sum_over_workers(strategy: tf.distribute.Strategy, figures: Sequence[int]) -> list[int]:
    """Return the sums of each figure over all workers, each of which calls this."""
    workers = workers_of(strategy).count
    if workers == 1:
        return list(figures)

    # The first replica of each worker has them, the others none.
    def share(values: Any) -> Any:
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync // workers
        is_first = context.replica_id_in_sync_group % replicas == 0
        return values if is_first else tf.zeros_like(values)

    counts = strategy.run(share, args=(tf.constant([figures], tf.int64),))
    return [int(each) for each in strategy.gather(counts, axis=0).numpy().sum(axis=0)]


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Return what a strategy computes on, such as ``2 GPUs`` or ``the CPU``."""
    gpus = len(tf.config.list_logical_devices("GPU"))
    count = workers_of(strategy).count
    replicas = strategy.num_replicas_in_sync // count
    if gpus:
        here = f"{gpus} GPU{'s' if gpus > 1 else ''}"
    elif replicas == 1:
        here = f"the CPU ({_why_no_gpu()})"
    else:
        here = f"{replicas} logical CPUs"
    return here if count == 1 else f"{here} of each of {count} workers"


def _why_no_gpu() -> str:
    """Return why there is none; TensorFlow itself says nothing where CUDA is not installed."""
    hidden = "CUDA_VISIBLE_DEVICES" in os.environ
    if hidden or not any(DEVICE_FILES.glob("nvidia[0-9]*")):
        return "no GPU found"
    return (
        "an NVIDIA GPU is here, but TensorFlow cannot use it; CUDA for it comes with"
        " pip install 'tensorflow[and-cuda]'"
    )
