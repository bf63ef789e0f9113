"""URIs: what lies at a path, at http(s)://, in an object store or in an archive, brought here
and put there."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
