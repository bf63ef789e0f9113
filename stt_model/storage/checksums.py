"""Checksums that object stores provide, to compare files with."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import google_crc32c

_CHUNK = 2**20


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


_ALGORITHMS: dict[str, Callable[[], _Hash]] = {
    "x-amz-checksum-sha256": hashlib.sha256,
    "x-amz-checksum-sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "x-amz-checksum-crc32c": google_crc32c.Checksum,
}


@dataclass(frozen=True)
class StoredChecksum:
    """A checksum that a store has of a whole object."""

    name: str
    expected: str
    """Hexadecimal."""
    algorithm: Callable[[], _Hash]

    def of(self, path: Path) -> str:
        """Return this checksum of a file, hexadecimal."""
        return hash_file(path, self.algorithm())


def stored_checksum(etag: str, headers: Mapping[str, str]) -> StoredChecksum | None:
    """Return the checksum that the headers of an object hold, the strongest there is, or None.

    An ETag that looks like an MD5 is one, unless the store encrypts with keys of its users.
    """
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") == "FULL_OBJECT":
        for header, algorithm in _ALGORITHMS.items():
            value = headers.get(header, "")
            # For a multipart upload it may be a checksum over the parts' checksums, ending in -N.
            if value and "-" not in value:
                return StoredChecksum(header, base64.b64decode(value).hex(), algorithm)
    encryption = headers.get("x-amz-server-side-encryption", "AES256")
    customer_key = "x-amz-server-side-encryption-customer-algorithm" in headers
    if is_md5(etag) and encryption == "AES256" and not customer_key:
        return StoredChecksum("MD5", etag, _md5)
    return None


def is_md5(etag: str) -> bool:
    """Tell whether an ETag has the form of an MD5: of an object uploaded in one piece it is one."""
    return re.fullmatch(r"[0-9a-f]{32}", etag) is not None


def md5_file(path: Path) -> str:
    """Return the MD5 of a file, hexadecimal."""
    return hash_file(path, _md5())


def _md5() -> _Hash:
    return hashlib.md5(usedforsecurity=False)


def hash_file(path: Path, hashed: _Hash) -> str:
    """Return the hash of a file's bytes, hexadecimal, computed with a fresh hash object."""
    with Path(path).open("rb") as file:
        while block := file.read(_CHUNK):
            hashed.update(block)
    return hashed.digest().hex()
