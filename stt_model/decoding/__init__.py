"""Logits to text: best labels, beam search under a scorer, and the building and tuning of
scorers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
