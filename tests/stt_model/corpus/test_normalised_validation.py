"""Validation with a normaliser, and with a list of suspects to leave out."""

import csv
import json

import pytest

from stt_model.base.errors import DataError, RulesError, ValidationError
from stt_model.corpus.manifests import read_manifest
from stt_model.corpus.suspect_rows import read_dropped
from stt_model.jobs.data import validate
from tests.command_line import call
from tests.corpora import write_tones

SOUNDS = {"train": ["abc abc a", "abc abc b", "abc abc c", "abc abc d", "abc abc"]}
SOUNDS |= {"dev": ["dab"], "test": ["cab"]}
TEXTS = ["It\u2019s Bad.", "a caf\u00e9", "dad 12", "[laughs]", "bad ad"]


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "corpus"
    for split in ("train", "dev", "test"):
        write_tones(root / f"{split}.csv", SOUNDS[split])
    rows = read_manifest(root / "train.csv")
    with (root / "train.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["wav_filename", "wav_filesize", "transcript"])
        for row, text in zip(rows, TEXTS, strict=True):
            writer.writerow([row.wav_filename, row.wav_filesize, text])
    return root


def transcripts(folder):
    return [row.transcript for row in read_manifest(folder / "train.csv")]


def test_transcripts_are_written_by_the_rules_and_the_rest_is_set_aside(dataset, tmp_path):
    result = validate(dataset, tmp_path / "clean", normalise="en")
    assert transcripts(tmp_path / "clean") == ["it's bad", "a cafe", "bad ad"]
    reasons = {each.row.row: each.findings[0].found for each in result.rejected}
    assert reasons[3] == "numbers that are not spelled out: '12'"
    assert reasons[4].startswith("nothing is left of '[laughs]'")
    report = (tmp_path / "clean" / "report.md").read_text()
    assert "| capitals | 1 | row 1 of train.csv |" in report
    told = json.dumps(result.normalisation.to_dict())
    assert '"set_aside": 2' in told


def test_numbers_can_be_spelled_out(dataset, tmp_path):
    validate(dataset, tmp_path / "clean", normalise="en", numbers="spell")
    assert "dad twelve" in transcripts(tmp_path / "clean")


def test_without_a_normaliser_the_report_says_what_one_would_do(dataset, tmp_path):
    result = validate(dataset, tmp_path / "clean")
    assert transcripts(tmp_path / "clean") == TEXTS
    assert "capitals (B I, 2 times)" in result.advice() and "--normalise" in result.advice()
    assert "--normalise" in (tmp_path / "clean" / "report.md").read_text()


def test_a_clean_corpus_gets_no_advice_and_is_left_alone(tmp_path):
    for split, words in SOUNDS.items():
        write_tones(tmp_path / f"{split}.csv", words)
    result = validate(tmp_path, tmp_path / "clean", normalise="en")
    assert result.advice() == ""
    assert result.normalisation.changed == result.normalisation.set_aside == 0


def test_the_command_says_what_it_did_and_the_flag_may_stand_alone(dataset, tmp_path):
    outcome = call("validate", dataset, "--output", tmp_path / "clean", "--normalise")
    assert outcome.code == 0
    assert "normalised by the rules for any language: 1 of 7 transcripts changed" in outcome.out
    assert transcripts(tmp_path / "clean") == ["it's bad", "a café", "bad ad"]
    outcome = call("validate", dataset, "--output", tmp_path / "as-it-is")
    assert "warning: The transcripts hold" in outcome.err


def test_rules_that_are_not_there_are_refused(dataset, tmp_path):
    with pytest.raises(RulesError, match="no rules for writing 'tlh'"):
        validate(dataset, tmp_path / "clean", normalise="tlh")


def write_list(path, rows):
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["rank", "drop", "why", "wav_filename"])
        writer.writerows(rows)
    return path


def test_suspects_are_left_out_of_training_but_not_of_the_test(dataset, tmp_path):
    train, test = read_manifest(dataset / "train.csv"), read_manifest(dataset / "test.csv")
    rows = [
        (1, "yes", "text and audio disagree", train[1].place),
        (2, "no", "silence", train[4].place),
        (3, "yes", "silence", test[0].place),
    ]
    suspects = write_list(tmp_path / "suspects.csv", rows)
    result = validate(dataset, tmp_path / "clean", drop_suspects=suspects, strict=True)
    assert transcripts(tmp_path / "clean") == [TEXTS[i] for i in (0, 2, 3, 4)]
    (rejected,) = result.rejected
    assert rejected.findings[0].found == "a suspect: text and audio disagree"
    assert len(read_manifest(tmp_path / "clean" / "test.csv")) == 1


def test_strict_minds_real_errors_beside_suspects(dataset, tmp_path):
    (dataset / "train-clips" / "1.wav").unlink()
    suspects = write_list(tmp_path / "suspects.csv", [])
    with pytest.raises(ValidationError, match="audio_readable"):
        validate(dataset, tmp_path / "clean", drop_suspects=suspects, strict=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n", "found no drop, why, wav_filename; give the suspects.csv"),
        ("drop,why,wav_filename\nmaybe,x,a.wav\n", "row 1: column drop: expected true or false"),
        (b"\xff\xfe", "expected a CSV file in UTF-8"),
    ],
)
def test_another_file_than_a_list_of_suspects_is_refused(tmp_path, content, said):
    path = tmp_path / "other.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        read_dropped(path)
    assert said in str(caught.value) and str(path) in str(caught.value)
