"""A long list that is kept on disk instead of in memory."""

from __future__ import annotations

import os
import pickle
import struct
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from stt_model.base.errors import DataError

T = TypeVar("T")
_Shown = TypeVar("_Shown")

_LENGTH = struct.Struct("<I")
_NUMBER = struct.Struct("<q")


class _GrowingFile:
    """An unnamed temporary file, which disappears with the process."""

    def __init__(self) -> None:
        # It lives as long as this object.
        self._file = tempfile.TemporaryFile(prefix="stt-bootstrap-")  # noqa: SIM115
        self._is_flushed = True
        self.size = 0

    def append(self, data: bytes) -> int:
        """Write at the end; return the position. DataError where there is no room."""
        place = self.size
        try:
            self._is_flushed = False
            self._file.write(data)
        except OSError as error:
            raise _no_room(error) from error
        self.size += len(data)
        return place

    def flush(self) -> None:
        """Make all that was written visible to ``read``; DataError where there is no room."""
        try:
            self._file.flush()
            self._is_flushed = True
        except OSError as error:
            raise _no_room(error) from error

    def read(self, place: int, size: int) -> bytes:
        """Return bytes from a position on."""
        if not self._is_flushed:
            self.flush()
        return os.pread(self._file.fileno(), size, place)


def _no_room(error: OSError) -> DataError:
    return DataError(
        f"{tempfile.gettempdir()}: cannot hold the list of utterances: {error.strerror}; name a"
        " folder with more room in TMPDIR"
    )


class Spool(Generic[T]):
    """Objects in an unnamed temporary file, which disappears with the process.

    The caller keeps only the position that ``append`` returns. Several threads may read what was
    flushed.
    """

    def __init__(self) -> None:
        self._file = _GrowingFile()

    def append(self, item: T) -> int:
        """Write an object; return its position.

        Raises:
            DataError: there is no room.
        """
        data = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
        return self._file.append(_LENGTH.pack(len(data)) + data)

    def flush(self) -> None:
        """Make all that was appended visible to ``read``.

        Raises:
            DataError: there is no room.
        """
        self._file.flush()

    def read(self, place: int) -> T:
        """Return the object at a position that ``append`` returned."""
        return self._read(place)[0]

    def __iter__(self) -> Iterator[tuple[int, T]]:
        """Yield the position of each object, and the object, in the order of ``append``."""
        place = 0
        while place < self._file.size:
            item, end = self._read(place)
            yield place, item
            place = end

    def _read(self, place: int) -> tuple[T, int]:
        """Return the object at a position, and that of the next one."""
        start = place + _LENGTH.size
        (length,) = _LENGTH.unpack(self._file.read(place, _LENGTH.size))
        item: T = pickle.loads(self._file.read(start, length))
        return item, start + length


class SpooledNumbers(Sequence[int]):
    """A list of whole numbers of up to 64 bits, kept in a temporary file; it grows at its end."""

    def __init__(self) -> None:
        self._file = _GrowingFile()

    def append(self, number: int) -> None:
        """Add a number at the end; DataError where there is no room."""
        self._file.append(_NUMBER.pack(number))

    def __len__(self) -> int:
        return self._file.size // _NUMBER.size

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[int]: ...

    def __getitem__(self, at: int | slice) -> int | Sequence[int]:
        if isinstance(at, slice):
            return array("q", (self[each] for each in range(len(self))[at]))
        place = range(len(self))[at] * _NUMBER.size
        (number,) = _NUMBER.unpack(self._file.read(place, _NUMBER.size))
        return int(number)


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
        self._grown = SpooledNumbers()
        super().__init__(self._own, self._grown, lambda item: item)

    def append(self, item: T) -> None:
        """Add an object at the end; DataError where there is no room."""
        self._grown.append(self._own.append(item))
