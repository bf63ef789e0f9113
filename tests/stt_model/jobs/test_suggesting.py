"""Suggestions from recordings, through the hands of whoever transcribes, back into a corpus."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_model.base import DataError
from stt_model.corpus.audio import read_audio
from stt_model.corpus.manifests import read_manifest
from stt_model.importing import ImportSettings, import_corpus
from stt_model.jobs import suggesting
from stt_model.jobs.clip_ranking import rank_clips, uncertainty
from stt_model.jobs.suggesting import cut_recordings, suggest
from stt_model.jobs.transcription import transcribe

GOLDEN = Path(__file__).parents[2] / "golden"
MODEL = GOLDEN.parents[1] / "demo" / "source_checkpoint"
RATE = 16_000


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """One that is cut where nobody speaks, and clips that are short enough already."""
    folder = tmp_path_factory.mktemp("recordings")
    clips = [read_audio(GOLDEN / "audio" / name) for name in ("wav_16k.wav", "flac_16k.flac")]
    silence = np.zeros(RATE, np.float32)
    together = np.concatenate(
        [part for _ in range(5) for clip in clips for part in (clip, silence)]
    )
    soundfile.write(folder / "long talk.wav", together, RATE)
    for name, clip in zip("ab", clips, strict=True):
        soundfile.write(folder / f"{name}.wav", clip, RATE)
    return folder


@pytest.fixture(scope="module")
def suggested(recordings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suggested") / "out"
    return suggest(MODEL, [recordings], folder, beam_width=1), folder


def test_long_recordings_are_cut_where_nobody_speaks(suggested):
    found, folder = suggested
    long = [each for each in found if each.recording.name == "long talk.wav"]
    assert len(long) == 10
    assert len(found) == 12
    assert [each.rank for each in found] == list(range(1, 13))
    for each in found:
        length = soundfile.info(folder / each.clip).duration
        assert length == pytest.approx(each.end - each.start, abs=0.001)
    ordered = sorted(long, key=lambda each: each.start)
    assert all(a.end <= b.start for a, b in pairwise(ordered))


def test_the_model_writes_what_it_hears(suggested):
    found, _ = suggested
    texts = {each.recording.name: each.text for each in found}
    (heard,) = transcribe(MODEL, [GOLDEN / "audio" / "wav_16k.wav"], beam_width=1)
    assert texts["a.wav"] == heard
    assert heard


def splits_of(corpus):
    paths = [corpus / f"{split}.csv" for split in ("train", "dev", "test")]
    return [row for path in paths if path.exists() for row in read_manifest(path)]


def back(source, corpus):
    # Of few texts no small share can be taken.
    settings = ImportSettings(dev_share=0.3, test_share=0.3)
    import_corpus(str(source), str(corpus), settings)
    return splits_of(corpus)


def test_a_corrected_table_comes_back(suggested, tmp_path):
    found, folder = suggested
    path = folder / "suggestions.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["transcript"] = f"corrected text {number}"
    corrected = folder / "corrected.csv"
    with corrected.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    imported = back(corrected, tmp_path / "corpus")
    assert {row.transcript for row in imported} == {row["transcript"] for row in rows}
    assert all(row.path.is_file() for row in imported)
    assert len(imported) == len(found)


def test_an_export_of_label_studio_is_imported(suggested, tmp_path):
    _, folder = suggested
    tasks = json.loads((folder / "label-studio.json").read_text())
    for number, task in enumerate(tasks):
        assert task["predictions"][0]["result"][0]["value"]["text"]
        result = {
            **task.pop("predictions")[0]["result"][0],
            "value": {"text": [f"corrected text {number}"]},
        }
        dropped = {"was_cancelled": True, "result": []}
        task |= {"id": number, "annotations": [{"result": [result]}, dropped]}
    tasks[3]["annotations"] = []
    export = folder / "project.json"
    export.write_text(json.dumps(tasks))
    imported = back(export, tmp_path / "corpus")
    wanted = {f"corrected text {number}" for number in range(len(tasks)) if number != 3}
    assert {row.transcript for row in imported} == wanted
    assert {row.path.parent for row in imported} == {folder / "clips"}


def test_elan_files_come_back(suggested, tmp_path):
    found, folder = suggested
    imported = back(folder / "elan", tmp_path / "corpus")
    # Equal sounds are one clip to the import, and so are equal texts.
    wanted = {each.text.strip() for each in found} - {""}
    assert {row.transcript.strip() for row in imported} <= wanted
    assert len(imported) >= 3


def test_only_so_many_minutes_are_suggested(recordings, tmp_path):
    found = suggest(MODEL, [recordings], tmp_path / "out", minutes=0.1, beam_width=1)
    assert 0 < sum(each.end - each.start for each in found) <= 6
    assert len(list((tmp_path / "out" / "clips").iterdir())) == len(found)


def test_recordings_without_speech_are_refused(tmp_path):
    soundfile.write(tmp_path / "quiet.wav", np.zeros(20 * RATE, np.float32), RATE)
    with pytest.raises(DataError, match="expected speech, found none in 1 recordings"):
        suggest(MODEL, [tmp_path / "quiet.wav"], tmp_path / "out", beam_width=1)
    assert not (tmp_path / "out").exists()


def test_speech_without_a_pause_is_cut_where_it_is_quietest(tmp_path, monkeypatch):
    samples = np.full(40 * RATE, 0.5, np.float32)
    samples[9 * RATE : 9 * RATE + 2000] = 0
    soundfile.write(tmp_path / "long.wav", samples, RATE)

    def all_of_it(samples, _):
        yield suggesting.Piece(tmp_path, 0, 40_000, samples)

    monkeypatch.setattr(suggesting, "find_speech", all_of_it)
    pieces = list(cut_recordings([tmp_path / "long.wav"]))
    assert pieces[0].end == pytest.approx(9.06, abs=0.1)
    assert max(each.end - each.start for each in pieces) <= suggesting.LONGEST
    assert sum(len(each.samples) for each in pieces) == len(samples)


def test_the_unsure_come_first_and_no_clip_twice_in_another_voice():
    random = np.random.default_rng(1)
    sounds = random.standard_normal((40, 6))
    doubts = np.linspace(0, 1, 40)
    # The most uncertain one has a twin, which is of little further use.
    sounds[38] = sounds[39]
    order = rank_clips(doubts, sounds)
    assert sorted(order) == list(range(40))
    assert order.index(39) < 5
    assert order.index(38) == 39
    assert np.mean(doubts[order[:10]]) > np.mean(doubts[order[-10:]])
    assert rank_clips(np.zeros(0), np.zeros((0, 6))) == []
    assert sorted(rank_clips(np.ones(3), np.ones((3, 6)))) == [0, 1, 2]


def test_uncertainty_is_the_entropy_of_the_labels_a_character():
    sure = np.array([[50.0, 0.0], [0.0, 50.0]], np.float32)
    unsure = np.zeros((2, 2), np.float32)
    assert uncertainty(sure, "ab") == pytest.approx(0, abs=1e-9)
    assert uncertainty(unsure, "ab") == pytest.approx(np.log(2))
    assert uncertainty(unsure, "") == pytest.approx(2 * np.log(2))
