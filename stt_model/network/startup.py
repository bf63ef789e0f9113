"""Import TensorFlow without its startup messages."""

from __future__ import annotations

import os

from stt_model.base import stderr_held_back


def import_tensorflow_quietly() -> None:
    """Import TensorFlow; its messages are shown only if the import fails.

    Its first lines, about the build and missing GPUs, go straight to the process's stderr
    regardless of the log level. Training itself reports the devices that it uses.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with stderr_held_back():
        import tensorflow  # noqa: F401
