"""The command ``stt-bootstrap``: flags in, jobs done, one line for each error."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
