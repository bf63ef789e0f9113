"""Alignment with a real checkpoint, through the command line and the component."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from stt_bootstrap.demo.__main__ import SOURCE_CHECKPOINT
from stt_bootstrap.demo.synthesis import synthesise
from stt_model.corpus import read_manifest
from tests.command_line import call, tree

SENTENCES = (
    "the water in the river is very cold today",
    "my brother has a little house near the town",
    "we want to eat bread and fish this evening",
    "they found the old book under the table",
)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    pieces = [np.zeros(8000, np.float32)]
    for sentence in SENTENCES:
        speech, rate = synthesise(sentence, "en-us+m3", 140)
        pieces += [soxr.resample(speech, rate, 16000), np.zeros(9600, np.float32)]
    soundfile.write(folder / "talk.wav", np.concatenate(pieces), 16000, subtype="PCM_16")
    text = "\n".join(f"{each.capitalize()}." for each in SENTENCES)
    (folder / "talk.txt").write_text(text, encoding="utf-8")
    return folder


def test_command_and_component_do_the_same(recordings, tmp_path):
    flags = ("--checkpoint_dir", SOURCE_CHECKPOINT, "--normalise", "en", "--longest_clip", 8)
    done = call("align", recordings, tmp_path / "clips", *flags)
    assert done.code == 0, done.err
    rows = read_manifest(tmp_path / "clips" / "clips.csv")
    assert " ".join(row.transcript for row in rows) == " ".join(SENTENCES)
    for row in rows:
        assert soundfile.info(row.path).duration < 8

    module = importlib.import_module("stt_bootstrap.components.forced_alignment.component")

    class Artifact:
        def __init__(self, path):
            self.path, self.figures = str(path), {}

        def log_metric(self, name, value):
            self.figures[name] = value

    report, metrics = Artifact(tmp_path / "report.md"), Artifact(tmp_path / "metrics")
    (manifest,) = module.forced_alignment.python_func(
        source_uri=str(recordings),
        checkpoint_uri=str(SOURCE_CHECKPOINT),
        clips_uri=str(tmp_path / "theirs"),
        report=report,
        metrics=metrics,
        normalise="en",
        longest_clip=8.0,
    )
    assert Path(manifest) == tmp_path / "theirs" / "clips.csv"
    same, other = (tree(tmp_path / name) for name in ("clips", "theirs"))
    # An ELAN file holds the time at which it was made, and where.
    assert {name: each for name, each in same.items() if not name.endswith(".eaf")} == {
        name: each for name, each in other.items() if not name.endswith(".eaf")
    }
    assert metrics.figures["clips"] == len(rows)
    assert Path(report.path).read_text() == (tmp_path / "theirs" / "report.md").read_text()
    assert json.dumps(metrics.figures)


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


def test_what_is_not_there_is_said_in_one_line(recordings, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("something")
    flags = ("--checkpoint_dir", SOURCE_CHECKPOINT)
    assert "empty folder" in call("align", recordings, tmp_path / "full", *flags).error
    done = call("align", tmp_path / "full", tmp_path / "new", *flags)
    assert ".txt of the same name" in done.err.splitlines()[-1]
    assert not (tmp_path / "new").exists()
    flags = ("--checkpoint_dir", tmp_path / "none")
    assert "none" in call("align", recordings, tmp_path / "new", *flags).err
