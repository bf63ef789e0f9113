import csv

import pytest

from stt_model import jobs
from stt_model.base.errors import DataError
from tests.command_line import call
from tests.stt_model.training_runs import write_dataset, write_source


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_source(tmp_path_factory.mktemp("model"))


def test_suspects_come_from_all_splits_and_known_figures_are_not_made_again(
    corpus, model, tmp_path, monkeypatch
):
    files = [corpus / f"{split}.csv" for split in ("train", "dev", "test")]
    flags = ("--files", *files, "--checkpoint_dir", model, "--suspects_file", tmp_path / "s.csv")
    page = ("--html_report_file", tmp_path / "s.html", "--report_file", tmp_path / "s.md")
    outcome = call("suspects", *flags, *page, "--show_progressbar", "false")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("13 utterances, ")
    rows = list(csv.DictReader((tmp_path / "s.csv").open(encoding="utf-8")))
    assert rows and {"drop", "why", "wav_filename"} <= rows[0].keys()
    assert "## Suspects" in (tmp_path / "s.md").read_text()
    assert "<h2>Suspects</h2>" in (tmp_path / "s.html").read_text()

    known = tmp_path / "known.json"
    evaluated = jobs.evaluate(
        files, model, test_output_file=known, suspects_file=tmp_path / "e.csv"
    )
    assert (tmp_path / "e.csv").read_text() == (tmp_path / "s.csv").read_text()
    monkeypatch.setattr("stt_model.jobs.suspicion.evaluate", None)
    result = jobs.find_suspects(files, model, tmp_path / "again.csv", known=[known])
    assert len(result.samples) == len(evaluated.samples)
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "s.csv").read_text()


def test_a_manifest_that_is_not_known_whole_is_transcribed(corpus, model, tmp_path):
    known = tmp_path / "known.json"
    jobs.evaluate([corpus / "dev.csv"], model, test_output_file=known)
    files = [corpus / "dev.csv", corpus / "test.csv"]
    result = jobs.find_suspects(files, model, tmp_path / "s.csv", known=[known])
    assert len(result.samples) == 6


@pytest.mark.parametrize("content", ["[1]", "{", "[{}]"])
def test_another_file_than_the_figures_is_refused(corpus, model, tmp_path, content):
    (tmp_path / "known.json").write_text(content)
    with pytest.raises(DataError, match="expected the JSON of --test_output_file"):
        jobs.find_suspects(
            [corpus / "dev.csv"], model, tmp_path / "s.csv", known=[tmp_path / "known.json"]
        )
