"""The start of TensorFlow, without the lines that it prints of its own accord."""

from __future__ import annotations

import os

from stt_model.base import stderr_held_back


def import_tensorflow_quietly() -> None:
    """Import TensorFlow; what it prints meanwhile is shown only if the import fails.

    Its first lines, about the build and about GPUs that are not there, go straight to the process's
    stderr whatever the log level. Which devices are used is said by training itself.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with stderr_held_back():
        import tensorflow  # noqa: F401
