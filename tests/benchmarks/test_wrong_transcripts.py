import csv

import pytest

from stt_model.corpus.manifests import read_manifest
from stt_model.evaluation.suspects import COLUMNS
from tests.benchmarks.wrong_transcripts import compare, make_corpus, row


def test_as_many_transcripts_as_said_are_exchanged_once(tmp_path):
    corpus, wrong = make_corpus(tmp_path, 1, (30, 10, 2))
    texts = {split: read_manifest(corpus / f"{split}.csv") for split in ("train", "dev", "test")}
    assert [len(rows) for rows in texts.values()] == [30, 10, 2]
    assert len(wrong) == 2
    before = (corpus / "train.csv").read_bytes()
    assert make_corpus(tmp_path, 1, (30, 10, 2)) == (corpus, wrong)
    assert (corpus / "train.csv").read_bytes() == before


def test_the_head_of_the_list_and_its_marks_are_counted(tmp_path):
    path = tmp_path / "suspects.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for name, drop in (("a", "yes"), ("b", "no"), ("c", "yes"), ("d", "no")):
            writer.writerow({"wav_filename": f"/x/{name}.wav", "drop": drop})
    found = compare(path, {"a.wav", "b.wav", "d.wav"}, clips=20)
    assert (found.wrong, found.in_head, found.dropped, found.dropped_wrong) == (3, 2, 2, 1)


@pytest.mark.slow
def test_a_row_is_made_once(tmp_path):
    first = row(tmp_path, 1, (40, 20, 4), epochs=1)
    assert first.startswith("| 1 | ") and first.count("%") == 4
    assert row(tmp_path, 1, (40, 20, 4), epochs=1) == first
