"""Unpack tar and zip archives of unknown origin: a member is checked before anything is written.

Only plain files and folders come out. Links are refused altogether: no released checkpoint holds
any, and without them no member can redirect another.
"""

from __future__ import annotations

import io
import lzma
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from stt_model.base import StorageError, open_regular

GIB = 2**30
UNPACKED_LIMIT = 40 * GIB
MEMBER_LIMIT = 10_000

_CHUNK = 2**20
_NAME_LIMIT = 255
_PADDING_LIMIT = 64 * 2**20
_TAR_EXTENDED_HEADER_LIMIT = 2**20
_TAR_NESTING_LIMIT = 8
"""Headers of one member: a long name, its size and time, or global ones."""
_DIRECTORY_LIMIT = 4 * 2**20
"""Bytes read to find the next member of a tar, or all members of a zip: 10,000 take about 1 MiB."""
_TAR_EXTENDED_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
# Other exceptions that tarfile and zipfile raise on invalid bytes.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
)


@dataclass(frozen=True)
class _Member:
    name: str
    is_folder: bool
    open: Callable[[], IO[bytes]]


class _Refused(Exception):
    """The reason why a member, or the whole archive, is not unpacked."""


def unpack(
    archive: Path,
    target: Path,
    *,
    name: str = "",
    unpacked_limit: int = UNPACKED_LIMIT,
    member_limit: int = MEMBER_LIMIT,
) -> None:
    """Unpack a .zip, or a .tar that is plain or packed with gzip, bzip2 or xz, into ``target``.

    ``target`` is an existing empty folder; after an error it may hold a part of the archive, so
    use a temporary one. The format is detected from the content. ``unpacked_limit`` is in bytes
    and counts what is actually written; owners, times and permissions are not kept.

    Raises StorageError, naming the archive (as ``name``, if given), the member and the reason, for
    a damaged archive and for one with absolute or climbing names, links, devices, encrypted
    members, names that repeat or differ only by case, or more than the limits allow. OSError of
    the disk passes through.
    """
    label = name or str(archive)
    member_name = None
    try:
        writer = _Writer(target, unpacked_limit, member_limit)
        for member in _members(archive):
            member_name = member.name
            writer.write(member)
        member_name = None
        if not writer.files:
            raise _Refused("it holds no files")
    except _Refused as refusal:
        where = f"member {member_name!r}: " if member_name is not None else ""
        raise StorageError(f"{label}: refused to unpack: {where}{refusal}") from None
    except _DAMAGE as error:
        raise StorageError(_damage(label, member_name, error)) from error
    except OSError as error:
        # The decompressors report bad data as an OSError without a number; the disk's has one.
        if error.errno is not None:
            raise
        raise StorageError(_damage(label, member_name, error)) from error


def _damage(label: str, member_name: str | None, error: Exception) -> str:
    where = ""
    if member_name is not None:
        reason = " ".join(str(error).split()) or type(error).__name__
        where = f", unreadable at or after member {member_name!r} ({reason})"
    return f"{label}: not a whole tar or zip archive{where}; check the address or get it again"


def _members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    return _zip_members(archive) if is_zip else _tar_members(archive)


class _Metered(io.BufferedIOBase):
    """A file that limits how much may be read until the meter is reset.

    Both libraries trust the lengths that the file states for its member list or a header.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._read = 0
        self.is_on = True

    def set_back(self) -> None:
        self._read = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.is_on:
            return self._file.read(-1 if size is None else size)
        left = _DIRECTORY_LIMIT - self._read
        content = self._file.read(left + 1 if size is None or size < 0 else min(size, left + 1))
        self._read += len(content)
        if len(content) > left:
            raise _Refused(f"more than {_DIRECTORY_LIMIT} bytes to say what one member is")
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET and offset < 0:
            # The operating system's error for this looks like a disk failure.
            raise ValueError("it leads to a place before its start")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


def _zip_members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as plain, _Metered(plain) as metered, zipfile.ZipFile(metered) as file:
        metered.is_on = False
        for info in file.infolist():
            # Not is_dir(), which fails on an empty name.
            is_folder = info.filename.endswith("/")
            yield _Member(info.filename, is_folder, partial(_open_zipped, file, info))


def _open_zipped(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.flag_bits & 0x1:
        raise _Refused("it is encrypted; pack it without a password")
    # The upper half holds Unix permissions and file type, or 0 from other systems.
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise _Refused("it is a link or a device; only files and folders are unpacked")
    return file.open(info)


class _MeteredTarFile(tarfile.TarFile):
    """A tar file that limits how much it reads for one header."""

    def __init__(
        self, name: Any = None, mode: Any = "r", fileobj: Any = None, **options: Any
    ) -> None:
        self.headers = 0
        self.metered = _Metered(fileobj)
        super().__init__(name, mode, self.metered, **options)

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member; the meter runs meanwhile."""
        self.headers = 0
        self.metered.set_back()
        self.metered.is_on = True
        try:
            return super().next()
        finally:
            self.metered.is_on = False


class _StrictTarInfo(tarfile.TarInfo):
    """A header that must be valid: tarfile takes a broken one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> _StrictTarInfo:
        # An extension header reads the next header itself, so the calls nest.
        tarfile.headers += 1
        if tarfile.headers > _TAR_NESTING_LIMIT:
            raise _Refused(f"a member with more than {_TAR_NESTING_LIMIT} headers")
        return super().fromtarfile(tarfile)

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _StrictTarInfo:
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf) or len(buf) < tarfile.BLOCKSIZE:
                raise tarfile.ReadError(str(error)) from None
            raise  # a block of zeros: the true end
        too_long = info.type in _TAR_EXTENDED_HEADERS and info.size > _TAR_EXTENDED_HEADER_LIMIT
        if info.size < 0 or too_long:
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info


def _tar_members(archive: Path) -> Iterator[_Member]:
    with (
        archive.open("rb") as plain,
        _MeteredTarFile.open(fileobj=plain, mode="r:*", tarinfo=_StrictTarInfo) as file,
    ):
        for info in file:
            yield _Member(info.name, info.isdir(), partial(_open_tarred, file, info))
        # The checksum of gzip, bzip2 and xz is at the end, after what tarfile reads.
        for _ in range(_PADDING_LIMIT // _CHUNK):
            if not file.fileobj.read(_CHUNK):
                return
    raise _Refused(f"more than {_PADDING_LIMIT} bytes after its last member")


def iter_tar(path: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield the open file and each member of an uncompressed tar, without keeping the members.

    Raises:
        StorageError: it is no uncompressed tar, is truncated, or has an invalid header.
        OSError: it cannot be read.
    """
    try:
        with (
            open_regular(path) as plain,
            _MeteredTarFile.open(fileobj=plain, mode="r:", tarinfo=_StrictTarInfo) as file,
        ):
            while (member := file.next()) is not None:
                yield file, member
                file.members.clear()  # type: ignore[attr-defined]
    except (_Refused, *_DAMAGE) as error:
        raise StorageError(
            f"{path}: expected a whole uncompressed tar file, found {error}"
        ) from error


def _open_tarred(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(info) if info.isreg() else None
    if content is None:
        raise _Refused("it is a link or a device; only files and folders are unpacked")
    return content


class _Writer:
    """Writes members below ``target``, keeping track of what has been written."""

    def __init__(self, target: Path, byte_limit: int, member_limit: int) -> None:
        self.files = 0
        self._target = target
        self._byte_limit = byte_limit
        self._bytes = 0
        self._member_limit = member_limit
        self._members = 0
        # Folded name -> name as written, and whether it is a folder.
        self._taken = {".": (PurePosixPath("."), True)}

    def write(self, member: _Member) -> None:
        self._members += 1
        if self._members > self._member_limit:
            raise _Refused(f"more than the {self._member_limit} members that are allowed")
        relative = _relative(member.name)
        for folder in list(relative.parents)[:-1]:
            self._take(folder, is_folder=True)
        path = self._target / relative
        if member.is_folder:
            self._take(relative, is_folder=True)
            path.mkdir(parents=True, exist_ok=True)
            return
        self._take(relative, is_folder=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as content:
            self._copy(content, path)
        self.files += 1

    def _take(self, relative: PurePosixPath, is_folder: bool) -> None:
        """Refuse a name that is taken, or that some file systems do not distinguish from one."""
        folded = unicodedata.normalize("NFC", str(relative)).casefold()
        if folded not in self._taken:
            self._taken[folded] = (relative, is_folder)
            return
        taken, taken_by_folder = self._taken[folded]
        if taken != relative:
            raise _Refused(f"its name differs from {str(taken)!r} only by case or accent form")
        if not (is_folder and taken_by_folder):
            raise _Refused(f"the name {str(relative)!r} occurs twice")

    def _copy(self, content: IO[bytes], path: Path) -> None:
        with path.open("xb") as file:
            while block := content.read(_CHUNK):
                self._bytes += len(block)
                if self._bytes > self._byte_limit:
                    raise _Refused(f"more than the {self._byte_limit} bytes allowed, unpacked")
                file.write(block)


def _relative(name: str) -> PurePosixPath:
    """Return the path of a member below the target."""
    path = PurePosixPath(name)
    if len(name) > _NAME_LIMIT:
        raise _Refused(f"its name is longer than {_NAME_LIMIT} characters")
    if path.is_absolute():
        raise _Refused("its path is absolute")
    if ".." in path.parts:
        raise _Refused("its path climbs out with '..'")
    if "\\" in name or any(unicodedata.category(character) == "Cc" for character in name):
        raise _Refused("its name holds a backslash or a control character")
    return path
