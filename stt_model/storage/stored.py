"""Metadata that every object store has for an object."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class StoredObject:
    """An object as the store lists it."""

    uri: str
    key: str
    size: int
    """Bytes."""
    etag: str
    """Without quotes; the MD5 of the content if it was uploaded in one piece."""
    modified: datetime

    @property
    def version(self) -> str:
        """An identifier of this content at this address, hexadecimal, usable as a file name."""
        return hashlib.sha256(f"{self.uri}\0{self.etag}".encode()).hexdigest()
