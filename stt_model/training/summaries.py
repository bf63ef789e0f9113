"""Write scalars for TensorBoard, which need not be installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tensorflow as tf

from stt_model.base import TrainingError

_INSIDES = re.compile(r"\{\{.*?\}\} | \[Op:.*")
"""TensorFlow's internals in an error message, around the path and the reason."""


class Summaries:
    """Event files in a folder for each set, such as ``train`` and ``dev``; created when needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writers: dict[str, Any] = {}

    def add(self, which: str, step: int, **scalars: float) -> None:
        """Write scalars of a set at a step.

        Raises:
            TrainingError: the folder cannot be written to.
        """
        values = [
            tf.compat.v1.Summary.Value(tag=name, simple_value=value)
            for name, value in scalars.items()
        ]
        summary = tf.compat.v1.Summary(value=values).SerializeToString()
        try:
            # Leaving the block flushes to disk. ``tf.summary.scalar`` would need TensorBoard.
            with self._writer(which).as_default():
                tf.summary.experimental.write_raw_pb(summary, step=step)
        except tf.errors.OpError as error:
            reason = _INSIDES.sub("", error.message.splitlines()[0])
            raise TrainingError(
                f"cannot write TensorBoard's scalars: {reason}; make room, or give --summary_dir"
                " another folder"
            ) from error

    def _writer(self, which: str) -> Any:
        if which not in self._writers:
            folder = str(self._directory / which)
            self._writers[which] = tf.summary.create_file_writer(folder)
        return self._writers[which]
