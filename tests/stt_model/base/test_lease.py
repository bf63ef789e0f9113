import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from stt_model.base import lease
from stt_model.base.lease import leased

OWNER = """
import sys, time
from pathlib import Path
from stt_model.base.lease import leased
with leased(Path(sys.argv[1]), RuntimeError):
    print("has it", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".lock"


@pytest.fixture
def owner(path):
    process = subprocess.Popen([sys.executable, "-c", OWNER, path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"has it\n"
    yield process
    process.kill()
    process.communicate()


def test_one_at_a_time(path, owner):
    with (
        pytest.raises(RuntimeError, match=f"{socket.gethostname()} {owner.pid}"),
        leased(path, RuntimeError),
    ):
        pass


def test_nothing_is_left_at_the_end(path):
    for _ in range(2):
        with leased(path, RuntimeError):
            assert path.read_text().split() == [socket.gethostname(), str(os.getpid())]
        assert not path.exists()


def test_the_lock_of_a_dead_process_is_taken_over_at_once(path, owner):
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert path.exists()
    with leased(path, RuntimeError):
        pass


def test_a_dead_owner_on_another_machine_is_waited_for(path, monkeypatch):
    monkeypatch.setattr(lease, "PATIENCE", 0.3)
    path.write_text("another-pod 1\n")
    with leased(path, RuntimeError):
        pass


def test_a_living_owner_on_another_machine_keeps_it(path, monkeypatch):
    """Its disk does not tell of locks from machine to machine: there is the beat alone."""
    monkeypatch.setattr(lease, "PATIENCE", 10)
    path.write_text("another-pod 1\n")
    done = threading.Event()

    def live():
        while not done.wait(0.2):
            os.utime(path)

    other = threading.Thread(target=live)
    other.start()
    try:
        with pytest.raises(RuntimeError, match="another-pod 1"), leased(path, RuntimeError):
            pass
    finally:
        done.set()
        other.join()
    assert path.exists()


def test_the_beat_changes_the_time_of_the_file(path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    with leased(path, RuntimeError):
        before = path.stat().st_mtime_ns
        threading.Event().wait(0.3)
        assert path.stat().st_mtime_ns > before
