"""The machine's peak: how fast TensorFlow multiplies large float32 matrices on the training device.

Run as a program of its own, so that its memory and threads are gone before anything is timed.
"""

from __future__ import annotations

import subprocess
import sys
import time

SIZE = 4096
SECONDS = 3.0


def peak_in_subprocess() -> float:
    """Return floating-point operations a second, measured by another process."""
    run = subprocess.run(
        [sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(run.stdout)


def measure_peak() -> float:
    """Return floating-point operations a second of the fastest of several products."""
    import tensorflow as tf

    left, right = tf.random.uniform([SIZE, SIZE]), tf.random.uniform([SIZE, SIZE])
    multiply = tf.function(lambda: tf.reduce_sum(tf.matmul(left, right)))
    multiply().numpy()
    fastest = float("inf")
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        started = time.perf_counter()
        multiply().numpy()
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * SIZE**3 / fastest


if __name__ == "__main__":
    from stt_model.network.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    print(measure_peak())
