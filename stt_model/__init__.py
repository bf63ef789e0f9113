"""Bring a pre-trained Coqui STT or DeepSpeech checkpoint to another language, without Kubeflow.

What a notebook needs is here: a function for each job, and the classes that they take and return.
Nothing is loaded before it is used, and nothing is printed unless it is asked for.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
