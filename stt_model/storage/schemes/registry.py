"""The known schemes."""

from __future__ import annotations

import os
from collections.abc import Mapping

from stt_model.base import StorageError, redact
from stt_model.storage.schemes.local import LocalScheme
from stt_model.storage.schemes.protocol import Scheme, Store, StoreScheme, split_scheme
from stt_model.storage.schemes.s3 import S3Scheme
from stt_model.storage.schemes.web import WebScheme

LOCAL = LocalScheme()

SCHEMES: tuple[Scheme, ...] = (
    LOCAL,
    WebScheme(),
    S3Scheme(),
)

_STORED = frozenset(
    name for each in SCHEMES if isinstance(each, StoreScheme) for name in each.names
)
_REMOTE = frozenset(name for each in SCHEMES if not each.is_local for name in each.names)


def scheme_of(uri: str) -> Scheme:
    """Return the scheme of a URI, or of a path.

    Raises:
        StorageError: there is none of that name.
    """
    name, _ = split_scheme(uri)
    for scheme in SCHEMES:
        if name in scheme.names:
            return scheme
    supported = ", ".join(scheme.shown for scheme in SCHEMES)
    raise StorageError(f"{redact(uri)}: unknown scheme {name}://; supported are {supported}")


def store_of(uri: str, environ: Mapping[str, str] = os.environ) -> Store:
    """Return the object store of a URI, configured by ``environ``.

    Raises:
        StorageError: the URI is not in a store, or a variable is missing or wrong.
    """
    scheme = scheme_of(uri)
    if not isinstance(scheme, StoreScheme):
        stores = ", ".join(each.shown for each in SCHEMES if isinstance(each, StoreScheme))
        raise StorageError(f"{redact(uri)}: expected the address of an object in a store: {stores}")
    return scheme.store(environ)


def is_stored(uri: str) -> bool:
    """Tell whether a URI is in an object store."""
    return split_scheme(uri)[0] in _STORED


def is_remote(uri: str) -> bool:
    """Tell whether a URI is outside this machine's file systems."""
    return split_scheme(uri)[0] in _REMOTE
