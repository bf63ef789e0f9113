"""``s3://`` URIs: Amazon S3, MinIO and other stores that speak S3."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from stt_model.storage.schemes.protocol import Store
from stt_model.storage.store_cache import brought, find_objects
from stt_model.storage.write_trial import try_to_store


class S3Scheme:
    """Objects, and the folders that their names imply."""

    names: tuple[str, ...] = ("s3",)
    shown = "s3://"
    is_local = False

    def bring(
        self, uri: str, *, size_limit: int, progress: bool = False
    ) -> AbstractContextManager[Path]:
        """Fetch one object as a file, or all below a prefix as a folder."""
        return brought(self.store(os.environ), uri, size_limit=size_limit, progress=progress)

    def check(self, uri: str) -> None:
        """Raise unless there is an object of that name, or any below it."""
        find_objects(self.store(os.environ), uri)

    def check_writable(self, uri: str) -> None:
        """Raise unless an object can be stored below ``uri``: one is, and is removed again."""
        try_to_store(self.store(os.environ), uri)

    def put(self, source: Path, uri: str) -> None:
        """Upload; each object appears whole, and those that are the same are not sent again."""
        from stt_model.storage.object_store import ObjectStore

        store = ObjectStore.from_environment()
        (store.upload_directory if source.is_dir() else store.upload)(source, uri)

    def store(self, environ: Mapping[str, str]) -> Store:
        """Return the store that the variables of ``storage.store_client`` describe."""
        # Its client takes longer to load than all else that a step on local files needs.
        from stt_model.storage.object_store import ObjectStore

        return ObjectStore.from_environment(environ)
