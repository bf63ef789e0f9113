"""The training set changed anew in every epoch, as ``--augment`` asks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
