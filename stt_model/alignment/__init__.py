"""Long recordings and their text, which only roughly matches, to clips with transcripts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
