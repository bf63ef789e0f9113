"""Import TensorFlow without its startup messages, and without what only costs time."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from stt_model.base import stderr_held_back

_FOR_PICTURES = ("matplotlib", "mpl_toolkits")
"""What Keras imports for functions that draw, if it is there; nothing here calls them."""


def import_tensorflow_quietly() -> None:
    """Import TensorFlow; its messages are shown only if the import fails.

    Its first lines, about the build and missing GPUs, go straight to the process's stderr
    regardless of the log level. Training itself reports the devices that it uses.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with stderr_held_back(), _imported_lightly():
        import tensorflow  # noqa: F401


@contextmanager
def _imported_lightly() -> Iterator[None]:
    """Save a third of an import's time in the block; everything is as before afterwards.

    An import makes many objects and no garbage to speak of, which the collector searches again and
    again.
    """
    hidden = [name for name in _FOR_PICTURES if name not in sys.modules]
    collects = gc.isenabled()
    gc.disable()
    # None makes an import fail, and Keras does without.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
        if collects:
            gc.enable()
