"""Answers of web servers that are not as they should be: one line each."""

import socketserver
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from stt_model.base.errors import StorageError
from stt_model.storage import download
from stt_model.storage.cache_folder import cache_directory
from stt_model.storage.download import downloaded


@contextmanager
def raw_server(answer: bytes):
    """Answer every request with these bytes."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/model.zip"
        server.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_ATTEMPTS", 2)
    monkeypatch.setattr(download, "_WAIT", lambda state: 0)


def refusal(answer: bytes) -> str:
    with (
        raw_server(answer) as uri,
        pytest.raises(StorageError) as refused,
        downloaded(uri, size_limit=100),
    ):
        pass
    assert str(refused.value).isprintable()
    return str(refused.value)


def redirect(location: bytes) -> bytes:
    return b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "location",
    [
        b"http://[::1",
        b"http://127.0.0.1:99999/",
        b"http://127.0.0.1:-1/",
        b"http://127.0.0.1:x/",
        b"//\xff\xfe\xc3(/",
        b"http://\xe4.example:99999/",
        b"http://" + b"a" * 300 + b"/",
        b"ftp://127.0.0.1/",
        b"http://",
    ],
)
def test_a_location_that_is_none_is_one_line(location):
    refusal(redirect(location))


@pytest.mark.parametrize("found", [b"bytes 0-zz/8", b"bytes", b"", b"bytes 0-7", b"pages 0-7/8"])
def test_a_part_that_does_not_say_which_is_named_so(found):
    head = b"HTTP/1.1 206 Partial\r\nContent-Range: " + found + b"\r\nContent-Length: 8\r\n\r\n"
    assert "for which part" in refusal(head + b"12345678")


@pytest.mark.parametrize("status", [b"404", b"503"])
def test_a_reason_does_not_control_the_terminal(status):
    line = b"HTTP/1.1 " + status + b" \x1b[31mred\x9b1m\r\nContent-Length: 0\r\n\r\n"
    assert "?[31mred" in refusal(line)


@pytest.mark.parametrize("digits", [20, 5000])
def test_a_length_beyond_all_files_is_not_believed(digits):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * digits + b"\r\n\r\n"
    refusal(head + b"1" * 200)


@pytest.mark.parametrize("answer", [b"", b"\0" * 100, b"HTTP/1.1 abc\r\n\r\n", b"<html></html>"])
def test_an_answer_that_is_no_http_is_one_line(answer):
    refusal(answer)


def test_a_redirect_from_outside_to_this_machine_is_refused(monkeypatch):
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx") as inside:
        port = inside.partition("127.0.0.1:")[2]
        away = redirect(f"http://localhost:{port}".encode())
        with raw_server(away) as uri, downloaded(uri, size_limit=9) as path:
            # From one address of this machine to another of it.
            assert path.read_bytes() == b"x"
        is_inside = download.is_inside
        # This machine plays one on the internet, under its number.
        monkeypatch.setattr(
            download, "is_inside", lambda host: host != "127.0.0.1" and is_inside(host)
        )
        assert "an address of this machine or of its network alone" in refusal(away)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("169.254.169.254", True),
        ("fe80::1", True),
        ("0.0.0.0", True),
        ("localhost", True),
        ("8.8.8.8", False),
        ("2001:4860:4860::8888", False),
        ("no such host", False),
        (None, False),
    ],
)
def test_addresses_of_this_machine_and_its_network_alone(host, expected):
    assert download.is_inside(host) is expected


def test_the_cache_lies_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.delenv(download.CACHE_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "stt-bootstrap"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_directory() == Path(tmp_path / "home" / ".cache" / "stt-bootstrap")
