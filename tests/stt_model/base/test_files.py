"""Files that appear whole, and what is left of those that were being written."""

import os
import subprocess
import sys

import pytest

from stt_model.base import files
from stt_model.base.errors import BootstrapError
from stt_model.base.files import atomic_directory, atomic_write, check_output

KILLED = """
import os, sys
from pathlib import Path
from stt_model.base import files
with getattr(files, sys.argv[1])(Path(sys.argv[2])) as beside:
    (beside / "half" if beside.is_dir() else beside).write_text("half")
    os._exit(1)
"""


@pytest.mark.parametrize("function", ["atomic_write", "atomic_directory"])
def test_leftovers_of_a_killed_process_are_removed_by_the_next_call(
    tmp_path, function, monkeypatch
):
    target = tmp_path / "out"
    subprocess.run([sys.executable, "-c", KILLED, function, target], check=False)
    (tmp_path / ".out.settings").write_text("somebody's own")
    assert len(list(tmp_path.iterdir())) == 2
    # Of a process that has only just begun it would not be known whether it lives.
    with getattr(files, function)(target):
        assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr(files, "_FRESH", -1)
    with getattr(files, function)(tmp_path / "out"):
        assert len(list(tmp_path.iterdir())) == 3
    assert sorted(each.name for each in tmp_path.iterdir()) == [".out.settings", "out"]


def test_files_of_a_living_process_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_FRESH", -1)
    with atomic_directory(tmp_path / "a") as first, atomic_write(tmp_path / "b") as second:
        (first / "x").write_text("1")
        second.write_text("2")
        with pytest.raises(OSError, match="not empty"), atomic_directory(tmp_path / "a"):
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "other").touch()
        assert (first / "x").exists()
        (tmp_path / "a" / "other").unlink()
    assert (tmp_path / "a" / "x").read_text() == "1"


def test_a_path_that_is_not_utf_8_is_refused_before_the_work(tmp_path):
    place = tmp_path / os.fsdecode(b"\xff")
    with pytest.raises(BootstrapError, match="expected a path in UTF-8") as refused:
        check_output(place / "out", is_folder=True)
    str(refused.value).encode()
