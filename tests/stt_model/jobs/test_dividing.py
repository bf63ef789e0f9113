"""One manifest divided into splits, and manifests without what an earlier run found suspicious."""

import csv
import tracemalloc

import pytest

from stt_model.base import DataError
from stt_model.corpus import SPEAKER_COLUMNS, SPLITS, read_manifest
from stt_model.jobs import divide_manifest, leave_out_suspects
from tests.command_line import call
from tests.corpora import write_tone_dataset, write_tones


@pytest.fixture
def dataset(tmp_path):
    return write_tone_dataset(tmp_path / "tones", train=6, other=3)


def write_list(path, rows, drop):
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["drop", "why", "wav_filename"])
        writer.writerows([drop, "silence", row.place] for row in rows)
    return path


@pytest.mark.parametrize("column", SPEAKER_COLUMNS)
def test_no_speaker_is_in_two_splits_whatever_their_column_is_called(column, tmp_path):
    manifest = tmp_path / "all.csv"
    write_tones(manifest, [f"{first}{second}" for first in "abcdef" for second in "abcd"])
    head, *rows = manifest.read_text().splitlines()
    # The clips of a speaker are not neighbours, so that no cut by order keeps them together.
    lines = [f"{row},voice {number % 6}" for number, row in enumerate(rows)]
    manifest.write_text("\n".join([f"{head},{column}", *lines]) + "\n")
    divided = divide_manifest(manifest, tmp_path / "splits", dev_share=0.2, test_share=0.2)
    voices = {
        split: {row.extra[column] for row in read_manifest(divided[split])} for split in SPLITS
    }
    assert all(voices.values())
    assert sum(map(len, voices.values())) == 6


def test_a_row_that_is_divided_takes_little_memory(tmp_path):
    head, clip = write_tones(tmp_path / "all.csv", ["a"]).read_text().splitlines()
    name, size, _ = clip.split(",")

    def most_memory(rows):
        lines = [f"{name},{size},{f'the sentence {row} ' * 20}" for row in range(rows)]
        (tmp_path / "all.csv").write_text("\n".join([head, *lines]) + "\n")
        tracemalloc.start()
        try:
            divided = divide_manifest(tmp_path / "all.csv", tmp_path / str(rows))
            # And again, when they are there.
            assert divide_manifest(tmp_path / "all.csv", tmp_path / str(rows)) == divided
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most_memory(100)
    assert (most_memory(3000) - most_memory(1000)) / 2000 < 300


def test_rows_that_the_list_drops_are_left_out(dataset, tmp_path):
    rows = read_manifest(dataset / "train.csv")
    marked = write_list(tmp_path / "suspects.csv", rows[:2], "yes")
    files = [dataset / "train.csv", dataset / "dev.csv"]
    train, dev = leave_out_suspects(files, marked, tmp_path / "kept")
    assert [row.place for row in read_manifest(train)] == [row.place for row in rows[2:]]
    assert len(read_manifest(dev)) == 3
    kept = write_list(tmp_path / "other.csv", rows[:2], "no")
    (train,) = leave_out_suspects(files[:1], kept, tmp_path / "all")
    assert len(read_manifest(train)) == 6


def test_a_list_that_drops_everything_is_refused(dataset, tmp_path):
    marked = write_list(tmp_path / "suspects.csv", read_manifest(dataset / "train.csv"), "yes")
    with pytest.raises(DataError, match="every row marked"):
        leave_out_suspects([dataset / "train.csv"], marked, tmp_path / "kept")


def test_train_says_what_it_leaves_out(dataset, tmp_path, monkeypatch):
    from stt_model import jobs

    class StopHere(Exception):
        pass

    def look(train_files, dev_files, **_):
        taken.extend(len(read_manifest(path)) for path in (*train_files, *dev_files))
        raise StopHere

    taken = []
    monkeypatch.setitem(vars(jobs), "prepare_training", look)
    rows = read_manifest(dataset / "train.csv")[:2] + read_manifest(dataset / "dev.csv")[:1]
    marked = write_list(tmp_path / "suspects.csv", rows, "yes")
    flags = ("--train_files", dataset / "train.csv", "--dev_files", dataset / "dev.csv")
    flags += ("--drop_suspects", marked, "--save_checkpoint_dir", tmp_path / "model")
    with pytest.raises(StopHere):
        call("train", *flags, "--load_train", "init", "--n_hidden", 8)
    assert taken == [4, 2]
