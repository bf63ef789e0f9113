"""Augment the training set differently in every epoch, as given by ``--augment``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
