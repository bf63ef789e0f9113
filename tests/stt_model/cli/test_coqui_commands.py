"""The command lines of Coqui's scripts, with only the program's name changed, on tones."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_model.checkpoint.directory import open_checkpoint
from stt_model.corpus.manifests import read_manifest
from stt_model.training.run_saver import RunSaver
from tests.command_line import call
from tests.corpora import write_tone_dataset
from tests.stt_model.corpus.test_collections import database

COMMON = ("--show_progressbar", "false", "--early_stop", "false", "--n_hidden", 16)
BATCHES = ("--train_batch_size", 4, "--dev_batch_size", 4, "--test_batch_size", 4)
TEST_LINE = r"^Test on {} - WER: [01]\.\d{{6}}, CER: [01]\.\d{{6}}, loss: \d+\.\d{{6}}$"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folder of a corpus, with its training set also as a sample database."""
    root = write_tone_dataset(tmp_path_factory.mktemp("data"))
    rows = read_manifest(root / "train.csv")
    samples = [(row.path.read_bytes(), row.transcript.encode()) for row in rows]
    (root / "train.sdb").write_bytes(database(samples, "audio/wav"))
    (root / "alphabet.txt").write_text(" \na\nb\nc\nd\n", encoding="utf-8")
    return root


def train(data, folder, *flags, files="train.csv"):
    return call(
        "train",
        *("--alphabet_config_path", data / "alphabet.txt", "--train_files", data / files),
        *("--dev_files", data / "dev.csv", "--checkpoint_dir", folder),
        *("--max_to_keep", 1, "--learning_rate", 0.001, "--dropout_rate", 0.05),
        *("--audio_sample_rate", 16000, "--scorer", "", *COMMON, *BATCHES, *flags),
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A folder with a finished run, and what it printed."""
    folder = tmp_path_factory.mktemp("ckpt")
    tests = ("--test_files", data / "test.csv", data / "dev.csv", "--export_tflite", "false")
    outcome = train(data, folder, "--epochs", 1, *tests, "--export_dir", folder / "export")
    assert outcome.code == 0, outcome.err
    return folder, outcome


def test_a_new_folder_is_trained_from_scratch_and_each_file_tested_by_itself(data, trained):
    _, outcome = trained
    for name in ("test.csv", "dev.csv"):
        assert re.search(TEST_LINE.format(re.escape(str(data / name))), outcome.out, re.MULTILINE)


def test_the_same_again_trains_on_from_the_best(data, trained, caplog):
    folder, _ = trained
    caplog.set_level("INFO")
    before = open_checkpoint(folder, "last").step
    best = open_checkpoint(folder, "best")
    outcome = train(data, folder, "--epochs", 1, files="train.sdb")
    assert outcome.code == 0, outcome.err
    assert f"Loading best validating checkpoint from {best.prefix}" in outcome.out
    assert "is finished, in epoch 1: starting another from the best" in caplog.text
    last = open_checkpoint(folder, "last")
    assert last.step > before
    assert last.lineage["source"]["name"] == best.prefix.name
    assert last.lineage["source"]["lineage"]["step"] == "training"
    other = train(data, folder, "--epochs", 1, "--load_train", "last", "--learning_rate", 0.01)
    assert other.code == 0, other.err
    assert f"Loading most recent checkpoint from {last.prefix}" in other.out
    assert open_checkpoint(folder, "last").step > last.step


def test_init_initialises_again(data, tmp_path):
    for _ in range(2):
        outcome = train(data, tmp_path, "--epochs", 1, "--load_train", "init")
        assert outcome.code == 0, outcome.err
        assert "Loading best" not in outcome.out.split("Test on")[0]
        assert open_checkpoint(tmp_path, "last").step == 2


def test_without_train_files_it_only_exports(data, trained, tmp_path):
    folder, _ = trained
    flags = ("--checkpoint_dir", folder, "--export_dir", tmp_path / "export", "--export_tflite")
    alphabet = ("--alphabet_config_path", data / "alphabet.txt")
    before = open_checkpoint(folder, "last").step
    language = ("--export_language", "Fake English (fk-FK)", "--export_zip", "true")
    outcome = call("train", *alphabet, *COMMON, *flags, "true", *language)
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "export" / "output_graph.tflite").is_file()
    assert (tmp_path / "export.zip").is_file()
    assert open_checkpoint(folder, "last").step == before
    model = tmp_path / "export" / "output_graph.tflite"
    dump = ("--dump", tmp_path / "dump", "--proc", 1)
    tested = call("evaluate_export", "--model", model, "--csv", data / "test.csv", *dump)
    assert tested.code == 0, tested.err
    assert re.search(r"^Test on .*test\.csv - WER: ", tested.out, re.MULTILINE)
    assert len((tmp_path / "dump.out").read_text().splitlines()) == 4


def test_evaluate_takes_what_is_about_training_and_limits_each_file(data, trained, tmp_path):
    folder, _ = trained
    flags = ("--load_checkpoint_dir", folder, "--test_files", data / "test.csv")
    limit = ("--limit_test", 2, "--reverse_test", "true", "--test_output_file", tmp_path / "t.json")
    outcome = call("evaluate", *flags, *COMMON, "--epochs", 3, *limit, "--scorer_path", "")
    assert outcome.code == 0, outcome.err
    texts = [len(each["src"]) for each in json.loads((tmp_path / "t.json").read_text())]
    longest = sorted(len(row.transcript) for row in read_manifest(data / "test.csv"))[-2:]
    assert sorted(texts) == longest


def test_manifests_of_librivox_name_clips_in_folders_below_or_by_their_whole_path(
    data, trained, tmp_path
):
    """As ``bin/import_librivox.py`` writes them: one a subset, the clips in a folder for each."""
    folder, _ = trained
    rows = read_manifest(data / "test.csv")
    manifests = []
    for name, is_absolute in (("dev-clean", False), ("test-other", True)):
        place = tmp_path / "LibriSpeech" / f"{name}-wav"
        place.mkdir(parents=True)
        lines = ["wav_filename,wav_filesize,transcript"]
        for row in rows[:2]:
            clip = Path(shutil.copy(row.path, place / f"84-{row.path.name}"))
            named = clip if is_absolute else clip.relative_to(tmp_path)
            lines.append(f"{named},{clip.stat().st_size},{row.transcript}")
        manifests.append(tmp_path / f"librivox-{name}.csv")
        manifests[-1].write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = ("--checkpoint_dir", folder, "--test_files", *manifests, *COMMON)
    outcome = call("evaluate", *flags, "--scorer_path", "")
    assert outcome.code == 0, outcome.err
    for manifest in manifests:
        assert re.search(TEST_LINE.format(re.escape(str(manifest))), outcome.out, re.MULTILINE)


def test_a_save_while_metrics_are_measured_is_complete(data, tmp_path, monkeypatch):
    saved = []

    def save_now(saver):
        saver._state.check()
        saved.append(saver._state.epoch)

    monkeypatch.setattr(RunSaver, "save_if_due", save_now)
    outcome = train(data, tmp_path, "--epochs", 2, "--metrics_files", data / "test.csv")
    assert outcome.code == 0, outcome.err
    assert set(saved) == {1, 2}


def test_one_recording_at_once(data, trained):
    folder, _ = trained
    clip = read_manifest(data / "test.csv")[0].path
    outcome = call(
        "transcribe", "--n_hidden", 16, "--checkpoint_dir", folder, "--one_shot_infer", clip
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("\n") == 1


def test_one_manifest_is_divided(data, tmp_path):
    flags = ("--auto_input_dataset", data / "train.csv", "--checkpoint_dir", tmp_path / "ckpt")
    outcome = call("train", *flags, *COMMON, *BATCHES, "--epochs", 1)
    assert outcome.code == 0, outcome.err
    assert "Test on" in outcome.out
    parts = [read_manifest(tmp_path / "ckpt" / "dataset" / f"{s}.csv") for s in ("train", "dev")]
    assert not {row.transcript for row in parts[0]} & {row.transcript for row in parts[1]}


def test_long_recordings_are_cut_where_nobody_speaks(trained, tmp_path):
    pytest.importorskip("webrtcvad")
    folder, _ = trained
    draw = np.random.default_rng(0)
    times = np.arange(16_000) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * n * times) / n for n in range(1, 30))
    voice = 0.2 * buzz * (1 + 0.5 * np.sin(2 * np.pi * 4 * times))
    silence = 1e-4 * draw.normal(size=16_000)
    (tmp_path / "below").mkdir()
    for path in (tmp_path / "a.wav", tmp_path / "below" / "b.wav"):
        samples = np.concatenate([silence, voice, silence, voice, silence])
        soundfile.write(path, samples, 16_000, subtype="PCM_16")
    flags = ("--src", tmp_path, "--checkpoint_dir", folder, "--recursive")
    outcome = call("transcribe", *flags)
    assert outcome.code == 0, outcome.err
    pieces = json.loads((tmp_path / "below" / "b.tlog").read_text())
    assert [set(piece) for piece in pieces] == [{"start", "end", "transcript"}] * 2
    assert 700 <= pieces[0]["start"] <= 1000
    assert 1900 <= pieces[0]["end"] <= 2500
    assert 2700 <= pieces[1]["start"] <= 3000
    again = call("transcribe", *flags)
    assert again.code == 1
    assert "use --force to overwrite it" in again.err
    assert call("transcribe", *flags, "--force").code == 0
