import os

import pytest

from stt_model.base.errors import DataError
from stt_model.base.untrusted import JSON_LIMIT, open_regular, parse_json, read_json


def test_a_file_is_read(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    with open_regular(path) as file:
        assert file.read() == b"1"


def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(OSError, match=r"pipe or a device|directory"):
            open_regular(place)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_no_traceback(tmp_path, name):
    with pytest.raises(OSError, match=r"Invalid file name|No such file"):
        open_regular(f"{tmp_path}/{name}")


def test_json_without_an_end_is_a_value_error(tmp_path):
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)
    path = tmp_path / "a.json"
    path.write_bytes(b" " * (JSON_LIMIT + 1))
    with pytest.raises(ValueError, match="larger than"):
        read_json(path)


def test_the_message_of_an_error_is_one_line_that_controls_no_terminal():
    """It may quote a file, an address, or what a server says."""
    error = DataError("a\tb\x1b[31m\nc  d ä\u202e")
    assert str(error) == "a b?[31m c  d ä?"
    assert str(DataError("a  b")) == "a  b"
