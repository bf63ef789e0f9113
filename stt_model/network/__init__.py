"""DeepSpeech's six layers in Keras, a fast recurrent layer, the loss, and devices."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
