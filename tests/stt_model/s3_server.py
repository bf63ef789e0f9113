"""A real S3 server on the loopback device: rclone over a folder, whose subfolders are buckets."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

ACCESS_KEY = "access-key-of-the-tests"
SECRET_KEY = "secret-key-of-the-tests"

# Ends the server when the pipe to it is closed, as it is when this process ends in whatever way.
_GUARD = '"$@" & read -r _; kill -9 $!'


class S3Server:
    """Serves ``folder`` while the ``with`` block lasts, and no longer than this process lives."""

    remembers_folders_for = "1ms"
    """Longer hides what is written into ``folder`` meanwhile; at 0 rclone sometimes hangs."""

    def __init__(
        self,
        folder: Path,
        access_key: str = ACCESS_KEY,
        secret_key: str = SECRET_KEY,
        *,
        address: str = "127.0.0.1",
    ) -> None:
        self.folder = folder
        self.address = address
        self._keys = (access_key, secret_key)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client here."""
        return {
            "AWS_ACCESS_KEY_ID": self._keys[0],
            "AWS_SECRET_ACCESS_KEY": self._keys[1],
            "AWS_ENDPOINT_URL_S3": self.endpoint,
        }

    def start(self) -> None:
        """Start, on the port that it had before, and return when it answers."""
        command = [_rclone(), "serve", "s3", self.folder, "--addr", f"{self.address}:{self.port}"]
        command += ["--config", os.devnull, "--dir-cache-time", self.remembers_folders_for]
        self._process = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", *command],
            # Not as an argument, where every process could read it.
            env={**os.environ, "RCLONE_AUTH_KEY": f'"{",".join(self._keys)}"'},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while not _answers(self.address, self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"rclone did not start: {command}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Break every connection, as a crash does."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._process = None
        while _answers(self.address, self.port):
            time.sleep(0.01)

    def __enter__(self) -> S3Server:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


def _rclone() -> str:
    beside_python = Path(sys.executable).with_name("rclone")
    return str(beside_python) if beside_python.exists() else shutil.which("rclone") or "rclone"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
