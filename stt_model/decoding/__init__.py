"""Decode logits to text, greedily or by beam search; build and tune scorers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
