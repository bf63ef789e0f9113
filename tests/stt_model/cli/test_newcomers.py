"""What somebody meets who does it for the first time, and does it wrong."""

import csv
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from stt_model import jobs
from stt_model.base.errors import BootstrapError
from tests.command_line import call, tree
from tests.corpora import write_tone_dataset


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_tone_dataset(tmp_path_factory.mktemp("corpus"), train=4, other=2)


def copy_of(corpus, folder, change=lambda text: text):
    """Write the manifests into another folder, changed; the clips stay where they are."""
    folder.mkdir()
    for name in ("train.csv", "dev.csv", "test.csv"):
        (folder / name).write_text(change((corpus / name).read_text()))
    return folder


def test_a_wrong_path_in_every_row_is_a_few_lines_and_a_count(corpus, tmp_path):
    moved = copy_of(corpus, tmp_path / "moved")
    with (moved / "train.csv").open("a") as file:
        file.writelines(f"gone/{number}.wav,1,abc\n" for number in range(200))
    outcome = call("validate", moved, "--output", tmp_path / "out")
    assert outcome.code == 0
    lines = outcome.err.splitlines()
    assert len(lines) < 15
    assert len([line for line in lines if "audio_readable" in line]) == 6
    assert f"audio_readable: and 195 more rows; see {tmp_path}/out/report.md" in outcome.err


@pytest.mark.parametrize(
    ("sign", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")], ids=["a", "b", "c"]
)
def test_a_table_with_other_separators_is_told_what_to_do(corpus, tmp_path, sign, name):
    other = copy_of(corpus, tmp_path / "other", lambda text: text.replace(",", sign))
    for command in (("validate", other, "--output", tmp_path / "out"), ("pack", other, "x")):
        outcome = call(*command)
        assert outcome.code == 1
        last = outcome.err.splitlines()[-1]
        assert f"expected columns separated by commas, found {name}; save it as CSV" in last


def test_a_wrong_checkpoint_folder_is_called_as_it_was_given(corpus, tmp_path):
    wrong = tmp_path / "recordings"
    wrong.mkdir()
    (wrong / "notes.txt").write_text("no checkpoint")
    with pytest.raises(BootstrapError) as refused:
        jobs.fetch(str(wrong), tmp_path / "checkpoint")
    assert str(refused.value).startswith(f"{wrong}: ")
    assert str(tmp_path / "checkpoint") not in str(refused.value)


def test_formulas_are_text_in_the_list_of_rejected_rows(corpus, tmp_path):
    wild = copy_of(corpus, tmp_path / "wild")
    texts = ['=HYPERLINK("http://x","y")', "+1", "-1", "@a", "\t=1"]
    with (wild / "train.csv").open("a", newline="") as file:
        csv.writer(file).writerows(("gone.wav", 1, text) for text in texts)
        csv.writer(file).writerow(("=gone.wav", 1, "a"))
    assert call("validate", wild, "--output", tmp_path / "out").code == 0
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[2] for row in rows[1:]] == [*(f"'{text}" for text in texts), "a"]
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]


@contextmanager
def no_room_for(size):
    """Let no file grow beyond so many bytes, as if the disk was full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [10, 2000, 20_000])
def test_a_full_disk_is_named_and_leaves_nothing_half_written(corpus, tmp_path, size):
    """It was reported as a missing report, which had been no more than left unwritten."""
    (tmp_path / "out").mkdir()
    with no_room_for(size):
        outcome = call("validate", corpus, "--output", tmp_path / "out")
    assert outcome.code == 1
    assert "File too large" in outcome.error and "report" not in outcome.error.split(": ")[0][-9:]
    assert not tree(tmp_path / "out")


DAMAGED = """
import sys
from stt_bootstrap.pipelines.cli import main
sys.exit(main(["validate", sys.argv[1], "--output", sys.argv[2]]))
"""


def test_of_damaged_recordings_only_our_own_lines_are_printed(tmp_path):
    """Libraries of other languages print straight to the terminal."""
    noise = 0.1 * np.random.default_rng(0).uniform(-1, 1, 16000)
    rows = [("wav_filename", "wav_filesize", "transcript")]
    for form in ("mp3", "aiff", "flac", "ogg", "wav"):
        path = tmp_path / f"a.{form}"
        soundfile.write(path, noise, 16000)
        data = bytearray(path.read_bytes())
        for number, cut in enumerate((slice(0, 700), slice(0, 40), slice(300, None))):
            (tmp_path / f"{number}.{form}").write_bytes(data[cut])
            rows.append((f"{number}.{form}", 1, "a"))
        data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
        path.write_bytes(data)
        rows.append((path.name, 1, "a"))
    for split in ("train", "dev"):
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    done = subprocess.run(
        [sys.executable, "-c", DAMAGED, tmp_path, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stderr.splitlines()
    foreign = [line for line in lines if not line.startswith(("error: ", "warning: "))]
    assert lines and not foreign, foreign


def test_an_interruption_leaves_nothing_half_written(corpus, tmp_path, monkeypatch):
    from stt_model.corpus import validation

    measured, done = validation.measure_clip, []

    def interrupted(*arguments, **options):
        done.append(arguments)
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return measured(*arguments, **options)

    monkeypatch.setattr(validation, "measure_clip", interrupted)
    # A program that a shell starts in the background ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = call("validate", corpus, "--output", tmp_path / "out")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (outcome.code, outcome.error) == (130, "interrupted")
    assert not (tmp_path / "out").exists() or not tree(tmp_path / "out")
