"""Recordings as teams have them, to a corpus: formats, transcripts, splits, what is set aside."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
