"""How much faster this machine multiplies in bfloat16, at the sizes of a network."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from stt_model.network.lstm import product_of_frames

ROWS = 256
"""Of the large product that is timed: enough that more would be no faster a row."""
ROUNDS = 3
"""The first of which finds nothing prepared."""
LARGE_PRODUCTS = 6.4
"""Products like the timed one, with 4 · H² weights, that a step takes outside of the loops: three
with the LSTM's input kernel, one for the gradient of its recurrent kernel, and three with layers 1,
2, 3 and 5, which have 3.24 · H² weights together."""

_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
"""What Linux calls instructions that multiply bfloat16, on x86-64 and on ARM."""


def multiplies_bfloat16(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether a processor or GPU of this machine has instructions for bfloat16."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
        return all(each.get("compute_capability", (0, 0)) >= (8, 0) for each in details)
    try:
        words = cpu_info.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    return any(flag in words for flag in _FLAGS)


@functools.cache
def bfloat16_speed(n_hidden: int, rows: int) -> float:
    """Return how many times as fast as in float32 a training step's products are in bfloat16.

    That is measured, in under a second at ``n_hidden`` 2048 on two cores, once in a process.

    Args:
        n_hidden: width of the network.
        rows: utterances that a device computes together.
    """
    cases = [_step_products(n_hidden, rows, dtype) for dtype in (tf.float32, tf.bfloat16)]
    times = [[float("inf")] * len(products) for products in cases]
    for _ in range(ROUNDS):
        # In turn, so that what else the machine does slows down both.
        for best, products in zip(times, cases, strict=True):
            for place, product in enumerate(products):
                best[place] = min(best[place], _seconds_of(product))
    in_full, in_short = (
        LARGE_PRODUCTS * large * rows / ROWS + forward + back for large, forward, back in times
    )
    return in_full / in_short


def _step_products(n_hidden: int, rows: int, dtype: tf.DType) -> list[Callable[[], Any]]:
    """Return a large product, and those of the loops over time: forward and back."""
    kernel = tf.cast(tf.fill([n_hidden, 4 * n_hidden], 0.01), dtype)
    many = tf.cast(tf.fill([ROWS, n_hidden], 0.01), dtype)
    outputs = many[:1] * tf.ones([rows, 1], dtype)
    at_gates = tf.tile(outputs, [1, 4])
    forward, back = product_of_frames(kernel), product_of_frames(kernel, back=True)
    return [
        lambda: tf.linalg.matmul(many, kernel),
        lambda: forward(outputs),
        lambda: back(at_gates),
    ]


def _seconds_of(product: Callable[[], Any]) -> float:
    started = time.perf_counter()
    # To the host, which a GPU does not do before it is done.
    product()[0, 0].numpy()
    return time.perf_counter() - started
