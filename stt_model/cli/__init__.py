"""The command ``stt-bootstrap``: parses flags, calls jobs, prints one line per error."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
