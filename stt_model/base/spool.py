"""A long list that is kept on disk instead of in memory."""

from __future__ import annotations

import os
import pickle
import struct
import tempfile
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, overload

from stt_model.base.errors import DataError

T = TypeVar("T")
_Shown = TypeVar("_Shown")

_LENGTH = struct.Struct("<I")


class Spool(Generic[T]):
    """Objects in an unnamed temporary file, which disappears with the process.

    The caller keeps only the position that ``append`` returns. Several threads may read what was
    flushed.
    """

    def __init__(self) -> None:
        # It lives as long as this object.
        self._file = tempfile.TemporaryFile(prefix="stt-bootstrap-")  # noqa: SIM115
        self._is_flushed = True

    def append(self, item: T) -> int:
        """Write an object; return its position.

        Raises:
            DataError: there is no room.
        """
        data = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
        place = self._file.tell()
        try:
            self._is_flushed = False
            self._file.write(_LENGTH.pack(len(data)) + data)
        except OSError as error:
            raise self._no_room(error) from error
        return place

    def flush(self) -> None:
        """Make all that was appended visible to ``read``.

        Raises:
            DataError: there is no room.
        """
        try:
            self._file.flush()
            self._is_flushed = True
        except OSError as error:
            raise self._no_room(error) from error

    def read(self, place: int) -> T:
        """Return the object at a position that ``append`` returned."""
        if not self._is_flushed:
            self.flush()
        descriptor = self._file.fileno()
        (length,) = _LENGTH.unpack(os.pread(descriptor, _LENGTH.size, place))
        item: T = pickle.loads(os.pread(descriptor, length, place + _LENGTH.size))
        return item

    def _no_room(self, error: OSError) -> DataError:
        return DataError(
            f"{tempfile.gettempdir()}: cannot hold the list of utterances: {error.strerror}; name"
            " a folder with more room in TMPDIR"
        )


class SpooledSequence(Sequence[_Shown]):
    """What lies at some places of a spool, in order, each ``shown`` as it is asked for."""

    def __init__(
        self, spool: Spool[Any], places: Sequence[int], shown: Callable[[Any], _Shown]
    ) -> None:
        self._spool, self._places, self._shown = spool, places, shown

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> _Shown: ...

    @overload
    def __getitem__(self, at: slice) -> SpooledSequence[_Shown]: ...

    def __getitem__(self, at: int | slice) -> _Shown | SpooledSequence[_Shown]:
        if isinstance(at, slice):
            return SpooledSequence(self._spool, self._places[at], self._shown)
        return self._shown(self._spool.read(int(self._places[at])))


class SpooledList(SpooledSequence[T]):
    """A list that grows at its end, in a spool of its own."""

    def __init__(self) -> None:
        self._own: Spool[T] = Spool()
        self._grown = array("q")
        super().__init__(self._own, self._grown, lambda item: item)

    def append(self, item: T) -> None:
        """Add an object at the end; DataError where there is no room."""
        self._grown.append(self._own.append(item))
