"""``http://`` and ``https://`` URIs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from stt_model.base import StorageError, redact


class WebScheme:
    """Files on web servers, which can only be fetched."""

    names: tuple[str, ...] = ("http", "https")
    shown = "http://, https://"
    is_local = False

    def bring(
        self, uri: str, *, size_limit: int, progress: bool = False
    ) -> AbstractContextManager[Path]:
        """Download the file; the next call resumes an interrupted download."""
        # Loads the client, which takes a while.
        from stt_model.storage.download import downloaded

        return downloaded(uri, size_limit=size_limit, progress=progress)

    def check(self, uri: str) -> None:
        """Do nothing: some servers answer only the download itself."""

    def check_writable(self, uri: str) -> None:
        """Refuse."""
        raise StorageError(f"{redact(uri)}: expected a path, file:// or a store to write to")

    def put(self, source: Path, uri: str) -> None:
        """Refuse."""
        self.check_writable(uri)
