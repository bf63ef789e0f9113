"""The demo with human speech, without what the package registries have."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from stt_bootstrap.demo import human
from stt_bootstrap.demo.__main__ import Rates


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "train.csv").write_text("wav_filename,wav_filesize,transcript\n0.wav,9,да\n")
    return folder


def test_finished_trainings_are_not_repeated(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[dict[str, object]] = []

    def bootstrap(corpus: Path, source: Path, settings: dict[str, object], folder: Path) -> Rates:
        done.append(settings)
        return Rates(0.5, 0.25)

    monkeypatch.setattr(human, "bootstrap", bootstrap)
    job = human.Job("Russian", human.ARMENIAN, {"epochs": 2})
    first = human.finish(job, corpus, tmp_path / "model.tar.gz", tmp_path / "armenian")
    assert human.finish(job, corpus, tmp_path / "model.tar.gz", tmp_path / "armenian") == first
    assert done == [{"epochs": 2}]
    longer = human.Job("Russian", human.ARMENIAN, {"epochs": 3})
    human.finish(longer, corpus, tmp_path / "model.tar.gz", tmp_path / "armenian")
    (corpus / "train.csv").write_text("wav_filename,wav_filesize,transcript\n0.wav,9,нет\n")
    human.finish(longer, corpus, tmp_path / "model.tar.gz", tmp_path / "armenian")
    assert [settings["epochs"] for settings in done] == [2, 3, 3]


def test_prompts_are_read_with_their_texts(tmp_path: Path) -> None:
    path = tmp_path / "core-sounds-ru.txt.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("; a comment: of the file\n\ndigits/1: один\nvm-goodbye:  до свидания \n")
    assert list(human._read_texts(path)) == [("digits/1", "один"), ("vm-goodbye", "до свидания")]


def test_the_table_has_one_row_for_each_job() -> None:
    rows = [
        (human.Job("Russian", human.SCRATCH, {"epochs": "auto"}), human.Row(1.0, 0.81, 61.0)),
        (human.Job("Spanish", human.SCRATCH, {"epochs": 7}), human.Row(1.0, 0.9, 61.0)),
        (human.Job("Russian", human.ARMENIAN, {"epochs": 7}), human.Row(0.7612, 0.1704, 3600.0)),
    ]
    assert human.table(rows).splitlines()[2:] == [
        "| Russian | scratch | as many as help | 100% | 81% | 1 |",
        "| Russian | armenian | 7 | 76% | 17% | 60 |",
        "| Spanish | scratch | 7 | 100% | 90% | 1 |",
    ]
    assert len({job.folder for job, _ in rows}) == 3
