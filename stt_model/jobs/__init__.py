"""What people ask for, one function a job: the command line and the components call the same
ones."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
