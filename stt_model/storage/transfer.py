"""Fetch a folder or an archive from a URI, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from stt_model.base import StorageError, atomic_directory, redact, scratch_directory
from stt_model.storage.archive import GIB, UNPACKED_LIMIT, unpack
from stt_model.storage.checksums import hash_file
from stt_model.storage.schemes.local import check_target
from stt_model.storage.schemes.protocol import Store
from stt_model.storage.schemes.registry import LOCAL, is_remote, scheme_of

SIZE_LIMIT = 20 * GIB

# Added by macOS to the zip files that it makes; holds no content.
_MACOS_FOLDER = "__MACOSX"


@dataclass(frozen=True)
class Fetched:
    """The result of ``fetch``: the folder, and digest and size of its source.

    For an archive, ``sha256`` and ``bytes`` are those of the archive file; for a folder, they are
    ``digest_directory`` and the sum of its files.
    """

    path: Path
    sha256: str
    bytes: int


def fetch(
    uri: str,
    target: Path,
    *,
    sha256: str = "",
    size_limit: int = SIZE_LIMIT,
    unpacked_limit: int = UNPACKED_LIMIT,
    progress: bool = False,
    check: Callable[[Path], object] = bool,
    is_wanted: Callable[[Path], bool] = lambda _: False,
) -> Fetched:
    """Make ``target`` a folder with the content of ``uri``.

    ``uri`` is a path, ``file://``, ``s3://`` or ``http(s)://`` URI of a .zip, or of a .tar that is
    plain or compressed with gzip, bzip2 or xz; except for http(s), it may also be a folder.
    Archives are recognised by their content, not their name. If one holds only a single folder,
    that folder's content becomes ``target``. The next call resumes an interrupted download (see
    ``stt_model.storage.download`` and ``stt_model.storage.store_cache``).

    ``target`` must not exist, or be an empty folder. ``sha256`` (hexadecimal) is compared if
    given. ``size_limit`` applies to the archive or the folder, ``unpacked_limit`` to the unpacked
    content; both are in bytes. ``progress`` draws a bar where there is a terminal. ``check``
    may refuse the finished ``target`` by raising. ``is_wanted`` is asked about a single file
    before it is taken for an archive: if true, it becomes the only file in ``target``.

    Raises StorageError, one line, or what ``check`` raises; ``target`` is not left behind.
    """
    limits = _Limits(size_limit, unpacked_limit, is_wanted)
    fetched = _bring(uri, Path(target), sha256, limits, progress)
    try:
        check(fetched.path)
    except BaseException:
        shutil.rmtree(fetched.path)
        raise
    return fetched


@dataclass(frozen=True)
class _Limits:
    """Limits of a fetch: bytes, unpacked bytes, and which file is not unpacked."""

    size: int
    unpacked: int
    is_wanted: Callable[[Path], bool]


def _bring(uri: str, target: Path, sha256: str, limits: _Limits, progress: bool) -> Fetched:
    expected = _parse_digest(sha256)
    label = redact(uri)
    try:
        check_target(target)
        with scheme_of(uri).bring(uri, size_limit=limits.size, progress=progress) as source:
            if source.is_dir():
                return _fetch_directory(source, label, target, expected, limits.size)
            if not source.is_file():
                raise StorageError(f"{label}: no such file or folder; check the path")
            _check_size(label, source.stat().st_size, limits.size)
            return _fetch_archive(source, label, target, expected, limits)
    except OSError as error:
        place = error.filename2 or error.filename or target
        raise StorageError(f"{label}: {place}: {error.strerror or error}") from error


@contextmanager
def local_file(uri: str) -> Iterator[Path]:
    """Yield a local path to the single file at any URI for the duration of the block.

    Raises StorageError, one line; a path or ``file://`` URI is not checked.
    """
    scheme = scheme_of(uri)
    with scheme.bring(uri, size_limit=SIZE_LIMIT) as path:
        if not scheme.is_local and path.is_dir():
            raise StorageError(f"{redact(uri)}: expected an object, found a folder of them")
        yield path


def check_readable(uri: str) -> None:
    """Raise StorageError if ``uri`` does not exist; web addresses are not checked."""
    scheme_of(uri).check(uri)


def check_writable(uri: str) -> None:
    """Raise StorageError if a folder at ``uri`` could not be written to."""
    scheme_of(uri).check_writable(uri)


def put(source: Path, uri: str) -> None:
    """Copy a file or a folder to ``uri``: a path, ``file://`` or ``s3://`` URI.

    Each object or file appears whole or not at all; those with the same content are not sent
    again, others are left alone. A new folder appears as a whole.
    """
    scheme_of(uri).put(source, uri)


def upload_text(store: Store, text: str, uri: str) -> None:
    """Store a text as an object; errors as of the store."""
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
        path = Path(folder) / "content"
        path.write_text(text, encoding="utf-8")
        store.upload(path, uri)


def local_path(uri: str) -> Path:
    """Return the path for a path or a ``file://`` URI (percent-decoded); it need not exist.

    Raises StorageError for every other URI.
    """
    if not scheme_of(uri).is_local:
        raise StorageError(
            f"{redact(uri)}: expected a path or file://; download it and give the path"
        )
    return LOCAL.path(uri)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    return hash_file(path, hashlib.sha256())


def digest_directory(path: Path) -> str:
    """Return a SHA-256, hexadecimal, over the names and contents of all files below a folder.

    Each file gives a record, ``SHA-256 of its bytes, two spaces, its name relative to the folder
    with "/", NUL``; the records are sorted by the bytes of the names. Empty folders are ignored,
    links are followed. The equivalent in the shell::

        find -L . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum -z | sha256sum

    Raises StorageError for anything but files and folders; OSError of the disk passes through.
    """
    digest = hashlib.sha256()
    for name in _files(Path(path)):
        record = f"{sha256_file(Path(path, name))}  {name.as_posix()}\0"
        digest.update(os.fsencode(record))
    return digest.hexdigest()


def _parse_digest(text: str) -> str:
    digest = text.strip().lower()
    if not re.fullmatch(r"([0-9a-f]{64})?", digest):
        raise StorageError(f"sha256: expected 64 hexadecimal digits, found {text!r}")
    return digest


def _check_size(label: str, size: int, limit: int) -> None:
    if size > limit:
        raise StorageError(
            f"{label}: {size} bytes, the limit is {limit}; raise it if that is right"
        )


def _check_digest(label: str, found: str, expected: str) -> None:
    if expected and found != expected:
        raise StorageError(
            f"{label}: expected sha256 {expected}, found {found}; "
            "check which file was meant, or get it again"
        )


def _fetch_archive(
    archive: Path, label: str, target: Path, expected: str, limits: _Limits
) -> Fetched:
    found = sha256_file(archive)
    _check_digest(label, found, expected)
    if limits.is_wanted(archive):
        with atomic_directory(target) as place:
            shutil.copyfile(archive, place / _file_name(label))
        return Fetched(target, found, archive.stat().st_size)
    with (
        atomic_directory(target) as place,
        scratch_directory(target) as unpacked,
    ):
        unpack(archive, unpacked, name=label, unpacked_limit=limits.unpacked)
        _content_root(unpacked).replace(place)
    return Fetched(target, found, archive.stat().st_size)


def _file_name(uri: str) -> str:
    """Return the file name in a URI, without query or fragment."""
    path = re.sub(r"[?#].*", "", uri) if is_remote(uri) else uri
    return Path(unquote(path)).name or "model"


def _content_root(folder: Path) -> Path:
    """Return the first folder, from ``folder`` down, that holds more than a single folder."""
    entries = [entry for entry in folder.iterdir() if entry.name != _MACOS_FOLDER]
    alone = len(entries) == 1 and entries[0].is_dir()
    return _content_root(entries[0]) if alone else folder


def _fetch_directory(
    source: Path, label: str, target: Path, expected: str, size_limit: int
) -> Fetched:
    names = _files(source)
    if not names:
        raise StorageError(f"{label}: a folder without files; check the path")
    size = sum((source / name).stat().st_size for name in names)
    _check_size(label, size, size_limit)
    with atomic_directory(target) as place:
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, place / name)
        found = digest_directory(place)
        _check_digest(label, found, expected)
    return Fetched(target, found, size)


def _files(directory: Path) -> list[Path]:
    """Return the files below ``directory``, relative to it, in the byte order of their names."""
    names = []
    for folder, _, files in os.walk(directory, onerror=_raise, followlinks=True):
        for path in (Path(folder, file) for file in files):
            if not path.is_file():
                raise StorageError(
                    f"{path}: neither a file nor a folder, or a link that is broken or leads in a "
                    "circle; remove it"
                )
            names.append(path.relative_to(directory))
    return sorted(names, key=os.fsencode)


def _raise(error: OSError) -> None:
    raise error
