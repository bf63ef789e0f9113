"""A long list that lies on disk instead of in memory."""

from __future__ import annotations

import os
import pickle
import struct
import tempfile
from typing import Generic, TypeVar

from stt_model.base.errors import DataError

T = TypeVar("T")

_LENGTH = struct.Struct("<I")


class Spool(Generic[T]):
    """Objects in a file without a name, which is gone with the process however that ends.

    What ``append`` returns is all that has to be remembered of an object. Reading is safe from
    several threads at once.
    """

    def __init__(self) -> None:
        # It lives as long as this object.
        self._file = tempfile.TemporaryFile(prefix="stt-bootstrap-")  # noqa: SIM115

    def append(self, item: T) -> int:
        """Write an object; return the place to read it from.

        Raises:
            DataError: there is no room.
        """
        data = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
        place = self._file.tell()
        try:
            self._file.write(_LENGTH.pack(len(data)) + data)
        except OSError as error:
            raise self._no_room(error) from error
        return place

    def flush(self) -> None:
        """Let ``read`` find all that was appended.

        Raises:
            DataError: there is no room.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise self._no_room(error) from error

    def read(self, place: int) -> T:
        """Return the object that ``append`` wrote there."""
        descriptor = self._file.fileno()
        (length,) = _LENGTH.unpack(os.pread(descriptor, _LENGTH.size, place))
        item: T = pickle.loads(os.pread(descriptor, length, place + _LENGTH.size))
        return item

    def _no_room(self, error: OSError) -> DataError:
        return DataError(
            f"{tempfile.gettempdir()}: cannot hold the list of utterances: {error.strerror}; name"
            " a folder with more room in TMPDIR"
        )
