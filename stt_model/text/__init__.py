"""Transcripts and labels: alphabets, and the decision between fine-tuning and transfer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
