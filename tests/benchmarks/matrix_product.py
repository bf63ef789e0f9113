"""The machine's peak: how fast TensorFlow multiplies large matrices on the training device.

Run as a program of its own, so that its memory and threads are gone before anything is timed.
"""

from __future__ import annotations

import subprocess
import sys
import time

SIZE = 4096
SECONDS = 3.0


def peak_in_subprocess(dtype: str = "float32") -> float:
    """Return floating-point operations a second, measured by another process."""
    run = subprocess.run(
        [sys.executable, "-m", __name__, dtype], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(run.stdout)


def measure_peak(dtype: str = "float32") -> float:
    """Return floating-point operations a second of the fastest of several products."""
    import tensorflow as tf

    left, right = (tf.cast(tf.random.uniform([SIZE, SIZE]), dtype) for _ in range(2))
    # One element of the product, so that no more than the product is timed.
    multiply = tf.function(lambda: tf.matmul(left, right)[0, 0])
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
    print(measure_peak(*sys.argv[1:]))
