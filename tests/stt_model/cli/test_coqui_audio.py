"""Coqui's flags for audio: a new network does what they say; one that is there has its own."""

import re

import pytest

from stt_model.checkpoint.directory import open_checkpoint
from stt_model.corpus.audio_settings import AudioSettings
from tests.command_line import call
from tests.corpora import write_tone_dataset

AUDIO = ("--audio_sample_rate", 8000, "--feature_win_len", 40, "--feature_win_step", 25)
FEW = ("--n_hidden", 16, "--epochs", 1, "--train_batch_size", 4, "--scorer_path", "")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tone_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ckpt") / "model"
    files = ("--train_files", data / "train.csv", "--test_files", data / "test.csv")
    outcome = call("train", *files, "--checkpoint_dir", folder, *AUDIO, *FEW)
    assert outcome.code == 0, outcome.err
    return folder


def test_a_network_from_scratch_has_the_audio_settings_that_were_given(trained):
    opened = open_checkpoint(trained)
    assert opened.audio == AudioSettings(8000, 40, 25)
    assert opened.flags["audio_sample_rate"] == 8000


def test_training_on_needs_no_flag_and_takes_none_that_is_another(data, trained):
    files = ("--train_files", data / "train.csv", "--checkpoint_dir", trained)
    outcome = call("train", *files, *FEW, "--learning_rate", 0.01)
    assert outcome.code == 0, outcome.err
    assert open_checkpoint(trained, "last").audio == AudioSettings(8000, 40, 25)
    refused = call("train", *files, *FEW, "--audio_sample_rate", 16000)
    assert refused.code == 1
    assert "--audio_sample_rate says 16000, the checkpoint was trained with 8000" in refused.err


@pytest.mark.parametrize("command", ["evaluate", "export", "lm_optimize", "transcribe", "train"])
def test_every_command_compares_them_with_the_checkpoint(command, data, trained, tmp_path):
    files = ("--test_files", data / "test.csv", "--checkpoint_dir", trained)
    flags = {
        "evaluate": files,
        "train": files,
        "export": ("--checkpoint_dir", trained, "--export_dir", tmp_path / "export"),
        "lm_optimize": (*files, "--scorer_path", tmp_path / "none.scorer"),
        "transcribe": ("--checkpoint_dir", trained, data),
    }[command]
    outcome = call(command, *flags, *AUDIO[:-1], 20)
    assert outcome.code == 1
    assert "--feature_win_step says 20, the checkpoint was trained with 25" in outcome.err
    if command in ("evaluate", "transcribe"):
        assert call(command, *flags, *AUDIO).code == 0


def test_numbers_that_do_not_fit_each_other_are_refused(data, tmp_path):
    files = ("--train_files", data / "train.csv", "--checkpoint_dir", tmp_path / "new")
    outcome = call("train", *files, *FEW, "--audio_sample_rate", 22050)
    assert outcome.code == 1
    assert "found 32 ms at 22050 Hz; give a number that fits" in outcome.err
    assert call("train", *files, *FEW, "--feature_win_step", 0).code == 2


@pytest.mark.parametrize("steps", [2, 48])
def test_an_export_takes_as_many_frames_at_once_as_it_was_told(steps, data, trained, tmp_path):
    flags = ("--checkpoint_dir", trained, "--export_dir", tmp_path / "export", *AUDIO)
    test = ("--test_files", data / "test.csv", "--export_quantize", "false")
    outcome = call("export", *flags, *test, "--n_steps", steps)
    assert outcome.code == 0, outcome.err
    model = tmp_path / "export" / "output_graph.tflite"
    tested = call("evaluate_export", "--model", model, "--csv", data / "test.csv")
    assert tested.code == 0, tested.err
    assert re.search(r"^Test on .*test\.csv - WER: ", tested.out, re.MULTILINE)
    read, written = open_checkpoint(model), open_checkpoint(trained)
    assert read.audio == written.audio
    assert read.digest() == written.digest()
