"""Training: the steps, what is saved when, and how a run goes on after it was broken off."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
