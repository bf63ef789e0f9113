"""Alignment with a real checkpoint, through the command line."""

import shutil

import numpy as np
import pytest
import soundfile

import stt_model.alignment
from stt_bootstrap.demo.corpora import ENGLISH, MACEDONIAN, SOURCE_CHECKPOINT
from stt_model import jobs
from stt_model.corpus import read_manifest
from tests.command_line import call
from tests.recordings import SENTENCES, write_recording


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return write_recording(tmp_path_factory.mktemp("recordings"), SENTENCES, "en-us+m3")


def test_clips_hold_the_whole_text_and_are_no_longer_than_asked(recordings, tmp_path):
    flags = ("--checkpoint_dir", SOURCE_CHECKPOINT, "--normalise", "en", "--longest_clip", 8)
    done = call("align", recordings, tmp_path / "clips", *flags)
    assert done.code == 0, done.err
    rows = read_manifest(tmp_path / "clips" / "clips.csv")
    assert " ".join(row.transcript for row in rows) == " ".join(SENTENCES)
    for row in rows:
        assert soundfile.info(row.path).duration < 8


def test_clips_are_a_source_of_import(recordings, tmp_path):
    flags = ("--checkpoint_dir", SOURCE_CHECKPOINT, "--normalise", "en", "--longest_clip", 5)
    assert call("align", recordings, tmp_path / "clips", *flags).code == 0
    shares = ("--dev_share", 0.3, "--test_share", 0.3)
    done = call("import", tmp_path / "clips" / "clips.csv", tmp_path / "corpus", *shares)
    assert done.code == 0, done.err
    found = [
        row
        for split in ("train", "dev", "test")
        for row in read_manifest(tmp_path / "corpus" / f"{split}.csv")
    ]
    assert sorted(row.transcript for row in found) == sorted(
        row.transcript for row in read_manifest(tmp_path / "clips" / "clips.csv")
    )
    assert all(row.extra["recording"] == "talk.wav" for row in found)


def test_missing_inputs_are_named_in_one_line(recordings, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("something")
    flags = ("--checkpoint_dir", SOURCE_CHECKPOINT)
    assert "empty folder" in call("align", recordings, tmp_path / "full", *flags).error
    done = call("align", tmp_path / "full", tmp_path / "new", *flags)
    assert ".txt of the same name" in done.err.splitlines()[-1]
    assert not (tmp_path / "new").exists()
    flags = ("--checkpoint_dir", tmp_path / "none")
    assert "none" in call("align", recordings, tmp_path / "new", *flags).err


def test_the_second_round_is_aligned_with_a_model_of_the_language(tmp_path, monkeypatch):
    """Macedonian with an English model: by romanisation first, then in its own letters."""
    pytest.importorskip("uroman")
    from stt_model.alignment import aligner
    from stt_model.jobs import aligning, training

    draw = np.random.default_rng(3)
    sentences = [" ".join(draw.choice(MACEDONIAN, 5)) for _ in range(14)]
    source = tmp_path / "source"
    source.mkdir()
    write_recording(source, sentences, "mk+m3")
    monkeypatch.setattr(aligning, "_FEWEST", 5)
    trained, alphabets = [], []

    def note(files, dev_files, **settings):
        texts = [row.transcript for path in (*files, *dev_files) for row in read_manifest(path)]
        trained.append((sorted(texts), settings))
        # The model that was aligned with: training is tested elsewhere.
        shutil.copytree(settings["load_checkpoint_dir"], settings["save_checkpoint_dir"])

    class Noting(aligner.Aligner):
        def __init__(self, alphabet, *others):
            alphabets.append(alphabet)
            super().__init__(alphabet, *others)

    monkeypatch.setattr(training, "train", note)
    monkeypatch.setitem(vars(stt_model.alignment), "Aligner", Noting)
    result = jobs.align(
        source,
        tmp_path / "clips",
        SOURCE_CHECKPOINT,
        rounds=2,
        normalise="mk",
        training={"epochs": 3},
        min_confidence=0.1,
        longest_clip=6.0,
    )
    (texts, settings), *others = trained
    assert not others
    assert len(texts) >= 5
    assert set(" ".join(texts).split()) <= set(" ".join(sentences).split())
    assert (settings["drop_source_layers"], settings["epochs"]) == (1, 3)
    assert set("".join(texts)) <= set(settings["alphabet"].labels)
    assert len(alphabets) == 2
    assert "romanisation" in result.summary()
    assert result.notes[-1] == "aligned in 2 rounds, the last with a model trained on earlier clips"


def test_too_few_confident_clips_for_another_round_are_said(recordings, tmp_path):
    flags = ("--checkpoint_dir", SOURCE_CHECKPOINT, "--rounds", 2)
    done = call("align", recordings, tmp_path / "clips", *flags)
    assert done.code == 1
    assert "expected 20 confident clips or more" in done.err
    assert not (tmp_path / "clips").exists()


@pytest.mark.slow
def test_two_rounds_with_training(tmp_path):
    draw = np.random.default_rng(3)
    sentences = [" ".join(draw.choice(ENGLISH, 6)) for _ in range(40)]
    source = tmp_path / "source"
    source.mkdir()
    write_recording(source, sentences, "en-us+m3")
    flags = ("--checkpoint_dir", SOURCE_CHECKPOINT, "--rounds", 2, "--epochs", 2)
    flags += ("--normalise", "en", "--longest_clip", 6)
    done = call("align", source, tmp_path / "clips", *flags)
    assert done.code == 0, done.err
    rows = read_manifest(tmp_path / "clips" / "clips.csv")
    assert len(rows) > 25
    assert {row.transcript for row in rows} <= set(sentences)
