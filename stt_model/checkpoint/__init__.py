"""Read, write and modify checkpoint directories in Coqui STT's layout without TensorFlow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
