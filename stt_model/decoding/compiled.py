"""Compile functions of numbers and arrays with Numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Return ``function``, to be compiled at its first call, and free of the interpreter's lock.

    The result is kept beside the module, or in the user's cache folder, or in ``NUMBA_CACHE_DIR``.
    Where none of them can be written, each process compiles anew.
    """
    try:
        wrapped: _Function = numba.njit(function, cache=True, nogil=True)
    except RuntimeError:  # Numba found no folder for its cache.
        wrapped = numba.njit(function, nogil=True)
    return wrapped
