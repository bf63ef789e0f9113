"""Start TensorFlow quietly, and only when a job needs it."""

from __future__ import annotations

import logging
import sys

from stt_model.network import import_tensorflow_quietly


def start_tensorflow() -> None:
    """Import TensorFlow without its messages, unless a caller has imported it already."""
    if "tensorflow" in sys.modules:
        return
    import_tensorflow_quietly()
    # Messages about its internals, such as retracing or how a loop is split over devices.
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
