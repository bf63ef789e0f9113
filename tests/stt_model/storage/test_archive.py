"""Unpacking: what comes out is what went in, and nothing ever gets past the target folder."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stt_model.base.errors import StorageError
from stt_model.storage.archive import unpack

FILES = {"model/best_dev-7.index": b"index", "model/alphabet.txt": "ä\nж\n".encode(), "é": b""}


def tar_bytes(*members: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_bytes(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members:
            archive.writestr(member, content)
    return buffer.getvalue()


def tar_link(kind: bytes, name: str, linkname: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def zip_link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "target"
    folder.mkdir(parents=True)
    return folder


def refusal(tmp_path: Path, target: Path, data: bytes, **limits: int) -> str:
    """Unpack ``data``, which must fail with one line and touch nothing but the target."""
    archive = tmp_path / "archive"
    archive.write_bytes(data)
    before = {path for path in tmp_path.rglob("*") if target not in path.parents}
    with pytest.raises(StorageError) as caught:
        unpack(archive, target, **limits)
    assert {path for path in tmp_path.rglob("*") if target not in path.parents} == before
    message = str(caught.value)
    assert message.startswith(f"{archive}: ") and "\n" not in message
    return message


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_tar_with_every_compression(tmp_path: Path, target: Path, pack) -> None:
    archive = tmp_path / "a.bin"
    archive.write_bytes(pack(tar_bytes(*FILES.items())))
    unpack(archive, target)
    assert contents(target) == FILES


def test_zip(tmp_path: Path, target: Path) -> None:
    archive = tmp_path / "a.bin"
    archive.write_bytes(zip_bytes(*FILES.items()))
    unpack(archive, target)
    assert contents(target) == FILES


def test_dotted_and_repeated_folders(tmp_path: Path, target: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zip_bytes(("./", b""), ("./m/x", b"1"), ("m/", b""), ("./m/", b"")))
    unpack(archive, target)
    assert contents(target) == {"m/x": b"1"}


def test_permissions_of_the_archive_are_not_taken_over(tmp_path: Path, target: Path) -> None:
    info = tarfile.TarInfo("x")
    info.mode = 0o4777
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar_bytes((info, b"1")))
    unpack(archive, target)
    assert (target / "x").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize("make", [tar_bytes, zip_bytes])
@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["good", "/etc/bad"], "'/etc/bad': its path is absolute"),
        (["good", "../bad"], "'../bad': its path climbs out"),
        (["good", "a/../../bad"], "climbs out"),
        (["good", "a\\..\\bad"], "backslash"),
        (["good", "bad\n"], "control character"),
        (["good", "a/" * 127 + "xy"], "longer than 255"),
        (["twice", "./twice"], "'twice' occurs twice"),
        (["a/x", "a"], "'a' occurs twice"),
        (["a", "a/x"], "'a' occurs twice"),
        (["."], "'.' occurs twice"),
        (["Model", "model"], "differs from 'Model' only by case"),
        (["Model/x", "model/y"], "differs from 'Model' only by case"),
        (["\u00e4", "a\u0308"], "accent form"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_are_refused(tmp_path: Path, target: Path, make, names, reason) -> None:
    message = refusal(tmp_path, target, make(*((name, b"x") for name in names)))
    assert reason in message


@pytest.mark.parametrize(
    "member",
    [
        tar_link(tarfile.SYMTYPE, "link", "/etc"),
        tar_link(tarfile.SYMTYPE, "link", "good"),
        tar_link(tarfile.LNKTYPE, "link", "../../outside"),
        tar_link(tarfile.CHRTYPE, "device", ""),
        tar_link(tarfile.FIFOTYPE, "pipe", ""),
    ],
    ids=lambda info: f"{info.type!r}-{info.linkname}",
)
def test_tar_links_and_devices_are_refused(tmp_path: Path, target: Path, member) -> None:
    data = tar_bytes(("good", b"x"), (member, b""))
    message = refusal(tmp_path, target, data)
    assert f"member {member.name!r}: it is a link or a device" in message


def test_zip_links_are_refused(tmp_path: Path, target: Path) -> None:
    message = refusal(tmp_path, target, zip_bytes((zip_link("link"), b"/etc/passwd")))
    assert "member 'link': it is a link or a device" in message


def test_encrypted_zip_is_refused(tmp_path: Path, target: Path) -> None:
    data = bytearray(zip_bytes(("x", b"secret")))
    data[6] |= 1  # the flag in the member's header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory's
    assert "'x': it is encrypted" in refusal(tmp_path, target, bytes(data))


def test_zip_member_without_a_name_is_refused(tmp_path: Path, target: Path) -> None:
    data = zip_bytes(("?", b"x")).replace(b"?", b"\0")
    assert "member ''" in refusal(tmp_path, target, data)


@pytest.mark.parametrize("make", [tar_bytes, zip_bytes])
def test_limits(tmp_path: Path, target: Path, make) -> None:
    data = make(("a", bytes(600)), ("b", bytes(600)))
    message = refusal(tmp_path, target, data, unpacked_limit=1000)
    assert "member 'b': more than the 1000 bytes" in message
    assert sum(len(content) for content in contents(target).values()) <= 1000


def test_member_limit(tmp_path: Path, target: Path) -> None:
    data = zip_bytes(*((str(number), b"x") for number in range(11)))
    assert "'10': more than the 10 members" in refusal(tmp_path, target, data, member_limit=10)


def test_a_bomb_behind_the_last_member_is_refused(tmp_path: Path, target: Path) -> None:
    data = gzip.compress(tar_bytes(("x", b"x")) + bytes(65 * 2**20))
    assert "bytes after its last member" in refusal(tmp_path, target, data)


def test_a_tar_header_that_would_fill_the_memory_is_refused(tmp_path: Path, target: Path) -> None:
    info = tarfile.TarInfo("long")
    info.type = tarfile.GNUTYPE_LONGNAME
    data = tar_bytes(("x", b"x"))[:1024] + tar_bytes((info, bytes(2**20 + 1)))
    assert "a header of 1048577 bytes" in refusal(tmp_path, target, data)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x1f\x8b", b"<html>please log in</html>" * 99])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, target: Path, data: bytes) -> None:
    assert "not a whole tar or zip archive" in refusal(tmp_path, target, data)


@pytest.mark.parametrize("make", [tar_bytes, zip_bytes])
def test_an_archive_without_files(tmp_path: Path, target: Path, make) -> None:
    assert "it holds no files" in refusal(tmp_path, target, make())


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_cut_tar_is_damaged_wherever_it_is_cut(tmp_path: Path, target: Path, pack) -> None:
    whole = pack(tar_bytes(("a", b"a" * 700), ("b", b"b" * 700)))
    # Behind the end mark of a plain tar there is only padding.
    end = len(whole) if pack is not bytes else 2 * (512 + 1024)
    for length in range(0, end, 97):
        folder = target / str(length)
        folder.mkdir()
        assert "not a whole tar" in refusal(tmp_path, folder, whole[:length])


def test_a_changed_byte_is_noticed_by_the_checksum(tmp_path: Path, target: Path) -> None:
    data = bytearray(gzip.compress(tar_bytes(("a", bytes(range(256)))), compresslevel=0))
    data[data.index(bytes(range(256))) + 5] ^= 1
    assert "CRC" in refusal(tmp_path, target, bytes(data))


def test_disk_errors_pass_through(tmp_path: Path, target: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar_bytes(("ж" * 200, b"1")))
    with pytest.raises(OSError, match="File name too long"):
        unpack(archive, target)


part = st.sampled_from(["..", ".", "", "a", "A", "b", "é", "\\", "C:", "\udc80", "~", "x" * 90])
name = st.lists(part, min_size=1, max_size=5).map("/".join) | st.text(max_size=8)
kind = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])


def unpack_within(data: bytes) -> None:
    """Unpack into a folder three levels down, and look for anything written beside it."""
    with tempfile.TemporaryDirectory() as top:
        target = Path(top, "1", "2", "target")
        target.mkdir(parents=True)
        archive = Path(top, "archive")
        archive.write_bytes(data)
        try:
            unpack(archive, target, unpacked_limit=10_000)
        except (StorageError, OSError) as error:
            assert "\n" not in str(error)
        outside = {p for p in Path(top).rglob("*") if target not in p.parents}
        assert outside == {archive, target, *list(target.parents)[:2]}
        assert not any(path.is_symlink() for path in target.rglob("*"))


@given(st.lists(st.tuples(name, kind, name), min_size=1, max_size=6))
@example([("link", tarfile.SYMTYPE, ".."), ("link/x", tarfile.REGTYPE, "")])
def test_no_tar_member_escapes(members: list[tuple[str, bytes, str]]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", errors="surrogatepass") as archive:
        for member, type_, linkname in members:
            archive.addfile(tar_link(type_, member, linkname), io.BytesIO())
    unpack_within(buffer.getvalue())


@given(st.lists(name.filter(lambda text: text and text.isprintable()), min_size=1, max_size=6))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_zip_member_escapes(names: list[str]) -> None:
    unpack_within(zip_bytes(*((member, b"x") for member in names)))


@given(
    st.sampled_from([tar_bytes, zip_bytes]),
    st.sampled_from([bytes, gzip.compress]),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_arbitrary_damage_never_escapes_nor_surprises(make, pack, changes) -> None:
    data = bytearray(pack(make(*FILES.items())))
    for position, value in changes:
        data[position % len(data)] = value
    unpack_within(bytes(data))


def chained(kind: bytes, number: int) -> bytes:
    """A tar whose one member has ``number`` headers that say its name."""
    head = tarfile.TarInfo("././@LongLink")
    head.type = kind
    content = b"name" if kind == tarfile.GNUTYPE_LONGNAME else b"13 path=name\n"
    parts = [tar_bytes((head, content))[:1024] for _ in range(number)]
    return b"".join(parts) + tar_bytes(("name", b"1"))


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_few_headers_of_a_member_are_read_and_a_chain_of_them_is_refused(tmp_path, kind):
    archive = tmp_path / "a.tar"
    archive.write_bytes(chained(kind, 3))
    (tmp_path / "out").mkdir()
    unpack(archive, tmp_path / "out")
    archive.write_bytes(chained(kind, 400))
    with pytest.raises(StorageError, match="a member with more than 8 headers"):
        unpack(archive, tmp_path / "out")


def test_a_sparse_map_without_an_end_is_refused(tmp_path):
    """Of GNU format 1.0, whose map stands before the content: a number a line, in pairs."""
    pairs = 3_000_000
    content = f"{pairs}\n".encode() + b"0\n0\n" * pairs
    info = tarfile.TarInfo("sparse")
    info.size = len(content)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "sparse",
        "GNU.sparse.realsize": "0",
    }
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(info, io.BytesIO(content))
    (tmp_path / "out").mkdir()
    with pytest.raises(StorageError, match="bytes to say what one member is"):
        unpack(archive, tmp_path / "out")


def test_a_zip_of_countless_members_is_refused_before_they_are_listed(tmp_path):
    archive = tmp_path / "a.zip"
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[0] * 6, 0, 0, 0, 1, *[0] * 4, 0, 0) + b"a"
    members = 200_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, members * len(entry), 0, 0)
    archive.write_bytes(entry * members + end)
    (tmp_path / "out").mkdir()
    started = time.monotonic()
    with pytest.raises(StorageError, match="bytes to say what one member is"):
        unpack(archive, tmp_path / "out")
    assert time.monotonic() - started < 5
