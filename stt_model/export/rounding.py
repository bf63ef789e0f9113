"""Round weights to the 8-bit grid stochastically, so that small changes are kept on average.

Weights that were read from an 8-bit model are on its grid. Fine-tuning moves most of them by less
than half a step, and rounding to the nearest would undo that. If a weight is rounded up with a
probability equal to its fraction, each matrix keeps the sum of its changes.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from stt_model.checkpoint import Weights, read_stored_variables, weights_digest

_LARGEST = 127


def round_stochastically(model: bytes, weights: Weights) -> bytes:
    """Return a quantised ``.tflite`` file with its 8-bit matrices rounded stochastically.

    The same weights give the same file: the seed is their digest.

    Args:
        model: the content of a file that was converted from these weights.
        weights: float32, under the checkpoint's names.
    """
    data = np.frombuffer(bytearray(model), np.uint8)
    seed = weights_digest(weights)
    for name, variable in read_stored_variables(data).items():
        row = 0
        for number, part in enumerate(variable.parts):
            rows = part.values.shape[0]
            exact = weights[name][row : row + rows]
            row += rows
            if part.scale is not None:
                # The parts are views, so this writes into the file.
                part.values[...] = _rounded(exact, part.scale, f"{seed} {name} {number}")
    return data.tobytes()


def _rounded(exact: NDArray[np.float32], step: float, seed: str) -> NDArray[np.int8]:
    stream = np.frombuffer(hashlib.sha256(seed.encode()).digest(), "<u4")
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(stream.tolist())))
    result = np.empty(exact.shape, np.int8)
    largest = np.abs(exact).max(initial=0)
    # One row at a time: the matrices are large, and intermediate values have 64 bits.
    for row, target in zip(exact, result, strict=True):
        steps = np.floor(row.astype(np.float64) / step + generator.random(row.shape))
        # The largest weight defined the step, and stays at the end of the grid.
        steps = np.where(np.abs(row) == largest, np.sign(row) * _LARGEST, steps)
        target[...] = np.clip(steps, -_LARGEST, _LARGEST)
    return result
