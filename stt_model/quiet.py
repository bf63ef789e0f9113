"""TensorFlow without the lines that it prints before its own log settings take effect."""

from __future__ import annotations

import os
import sys
import tempfile


def import_tensorflow_quietly() -> None:
    """Import TensorFlow; what it prints meanwhile is shown only if the import fails.

    Its first lines, about the build and about GPUs that are not there, go straight to the process's
    stderr whatever the log level. Which devices are used is said by training itself.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            printed.seek(0)
            os.write(original, printed.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
