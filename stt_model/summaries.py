"""Scalars for TensorBoard, which need not be installed to write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf


class Summaries:
    """Event files in a folder for each set, such as ``train`` and ``dev``; made when needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writers: dict[str, Any] = {}

    def add(self, which: str, step: int, **scalars: float) -> None:
        """Add scalars of a set at a step; ``flush`` brings them to the disk."""
        if which not in self._writers:
            folder = str(self._directory / which)
            self._writers[which] = tf.summary.create_file_writer(folder)
        values = [
            tf.compat.v1.Summary.Value(tag=name, simple_value=value)
            for name, value in scalars.items()
        ]
        # ``tf.summary.scalar`` would need TensorBoard itself.
        summary = tf.compat.v1.Summary(value=values).SerializeToString()
        with self._writers[which].as_default():
            tf.summary.experimental.write_raw_pb(summary, step=step)

    def flush(self) -> None:
        """Write what was added."""
        for writer in self._writers.values():
            writer.flush()
