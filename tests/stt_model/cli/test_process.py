"""The command as a process: what its user's shell sees when streams, memory or names are odd."""

import builtins
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from stt_bootstrap.pipelines import entry
from tests.command_line import call
from tests.corpora import write_tone_dataset

COMMAND = [sys.executable, "-m", "stt_bootstrap.pipelines.entry"]


def start(*arguments, **options):
    """Run the command; return its code and what it printed."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    done = subprocess.run([*COMMAND, *arguments], timeout=100, check=False, **options)
    return done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_tone_dataset(tmp_path_factory.mktemp("corpus"), train=2, other=1)


def test_without_a_command_there_is_a_list_of_them(capsys):
    assert entry.main.__module__ == "stt_bootstrap.pipelines.entry"
    outcome = call()
    assert outcome.code == 2 and not outcome.out
    for name in ("import", "validate", "train", "run", "submit"):
        assert f"\n    {name} " in outcome.err


@pytest.mark.parametrize("stream", [1, 2])
def test_the_work_is_done_without_a_stream_to_print_to(corpus, tmp_path, stream):
    def close():
        os.close(stream)

    given = {"stdout": None} if stream == 1 else {"stderr": None}
    code, out, err = start("validate", corpus, "--output", tmp_path, preexec_fn=close, **given)
    assert code == 0 and "Traceback" not in out + err
    assert (tmp_path / "train.csv").is_file()


def test_an_error_without_a_stream_to_print_it_to_is_a_code(tmp_path):
    flags = ("validate", tmp_path / "gone", "--output", tmp_path / "out")
    assert start(*flags, stderr=None, preexec_fn=lambda: os.close(2)) == (1, "", "")


def test_a_reader_that_has_seen_enough_is_no_error(corpus):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nowhere:
        code, _, err = start("alphabet", "--train_files", corpus / "train.csv", stdout=nowhere)
    assert (code, err) == (141, "")


def test_a_path_that_is_not_utf_8_is_one_line(corpus, tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(folder)).symlink_to(corpus)
    expected = "expected a path in UTF-8, found other bytes"
    for flags in (
        (b"validate", folder, b"--output", os.fsencode(tmp_path / "out")),
        (b"validate", os.fsencode(corpus), b"--output", folder + b"/out"),
        (b"pack", folder, os.fsencode(tmp_path / "packed")),
        (b"train", b"--train_files", folder + b"/train.csv", b"--checkpoint_dir", b"x"),
        (b"alphabet", b"--train_files", folder + b"/train.csv"),
        (b"import", folder, os.fsencode(tmp_path / "imported")),
    ):
        code, _, err = start(*flags, cwd=tmp_path)
        assert code == 1 and err.startswith("error: ") and err.count("\n") == 1, (flags, err)
        assert expected in err, (flags, err)
    assert not (tmp_path / "x").exists()


def test_an_interruption_while_it_is_loaded_is_one_line(monkeypatch, capsys):
    imported = builtins.__import__

    def interrupted(name, *arguments, **options):
        if name == "stt_bootstrap.pipelines.cli":
            raise KeyboardInterrupt
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert entry.main() == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_too_little_memory_is_one_line(corpus, tmp_path):
    """Of address space, in steps from what Python alone needs."""
    seen = set()
    for mebibytes in (40, 60, 80):
        limit = mebibytes * 2**20
        code, _, err = start(
            *("validate", corpus, "--output", tmp_path),
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )
        assert "Traceback" not in err and "PLEASE READ" not in err, err
        seen.add(code)
        if err.startswith("error: "):
            assert err.count("\n") == 1
    assert 1 in seen


def test_help_of_the_pipeline_is_shown():
    """Where a help text holds a sign that the parser would fill in, this fails."""
    outcome = call("run", "--help")
    assert outcome.code == 0 and "--dataset_uri" in outcome.out
