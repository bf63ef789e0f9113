"""Checkpoint directories in Coqui STT's layout, read, written and operated on without
TensorFlow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
