"""Which schemes there are."""

from __future__ import annotations

from stt_model.base import StorageError, redact
from stt_model.storage.schemes.local import LocalScheme
from stt_model.storage.schemes.protocol import Scheme, split_scheme
from stt_model.storage.schemes.s3 import S3Scheme
from stt_model.storage.schemes.web import WebScheme

LOCAL = LocalScheme()

SCHEMES: tuple[Scheme, ...] = (
    LOCAL,
    WebScheme(),
    S3Scheme(),
)


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
