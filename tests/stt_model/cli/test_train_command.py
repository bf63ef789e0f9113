"""Starting ``stt-bootstrap train`` again in a directory that holds a run."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from stt_model import jobs
from stt_model.base import TrainingError
from stt_model.checkpoint import surgery
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.corpus.manifests import read_manifest
from stt_model.training.learner import Learner
from tests.command_line import call, tree

GOLDEN = Path(__file__).parents[2] / "golden"
COQUI = GOLDEN / "checkpoints" / "alphabet"
COQUI_STEP = 360
LATIN = GOLDEN / "audio" / "latin.csv"
CYRILLIC = GOLDEN / "audio" / "cyrillic.csv"


def train(*flags):
    batch = len(read_manifest(LATIN))
    return call("train", "--train_batch_size", batch, *flags)


def step(folder):
    return open_checkpoint(folder, "last").step


def test_a_transferred_run_goes_on_without_surgery(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    flags = ("--train_files", CYRILLIC, "--load_checkpoint_dir", COQUI)
    flags += ("--save_checkpoint_dir", tmp_path, "--drop_source_layers", 1)
    assert train(*flags, "--epochs", 1).code == 0
    first = step(tmp_path)
    monkeypatch.setattr(surgery, "operate", lambda *_, **__: pytest.fail("operated again"))
    assert train(*flags, "--epochs", 2).code == 0
    assert step(tmp_path) == 2 * first
    assert f"{tmp_path}: resuming the run there, in epoch 2 after" in caplog.text


def test_a_run_that_was_broken_off_goes_on_with_the_same_arguments_only(tmp_path, monkeypatch):
    take = Learner.train_step

    def terminated(learner, batch):
        os.kill(os.getpid(), signal.SIGTERM)
        return take(learner, batch)

    monkeypatch.setattr(Learner, "train_step", terminated)
    flags = ("--train_files", CYRILLIC, "--load_checkpoint_dir", COQUI)
    flags += ("--save_checkpoint_dir", tmp_path, "--drop_source_layers", 1)
    assert train(*flags, "--epochs", 2).code == 75
    before = tree(tmp_path)
    outcome = train(*flags, "--epochs", 2, "--drop_source_layers", 2, "--warm_start", "false")
    assert outcome.code == 1
    differing = "--drop_source_layers was 1, is 2; --warm_start was True, is False;"
    assert f"holds a run with other arguments: {differing} give the same" in outcome.err
    assert tree(tmp_path) == before


def test_training_from_scratch_goes_on_and_begins_anew_when_told_to(tmp_path):
    flags = ("--train_files", LATIN, "--checkpoint_dir", tmp_path, "--load_train", "init")
    flags += ("--n_hidden", 8)
    assert train(*flags, "--epochs", 1).code == 0
    assert train(*flags, "--epochs", 3).code == 0
    assert step(tmp_path) == 3
    assert train(*flags, "--epochs", 1, "--learning_rate", 0.1, "--restart").code == 0
    assert step(tmp_path) == 1


def test_fine_tuning_in_place_goes_on_from_the_run_not_from_its_best(tmp_path):
    shutil.copytree(COQUI, tmp_path, dirs_exist_ok=True)
    flags = ("--train_files", LATIN, "--dev_files", LATIN, "--checkpoint_dir", tmp_path)
    flags += ("--learning_rate", 0.3)
    assert train(*flags, "--epochs", 1).code == 0
    # Such steps make it worse.
    assert open_checkpoint(tmp_path, "best").step == COQUI_STEP
    assert train(*flags, "--epochs", 2).code == 0
    assert step(tmp_path) == COQUI_STEP + 2
    history = (tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in history] == ["epoch", "0", "1", "2"]


def test_sigterm_ends_it_with_the_code_for_again(tmp_path, monkeypatch):
    take = Learner.train_step

    def terminated(learner, batch):
        os.kill(os.getpid(), signal.SIGTERM)
        return take(learner, batch)

    monkeypatch.setattr(Learner, "train_step", terminated)
    flags = ("--train_files", LATIN, "--load_checkpoint_dir", COQUI)
    outcome = train(*flags, "--save_checkpoint_dir", tmp_path / "out")
    assert outcome.code == 75
    assert outcome.error.startswith(f"{tmp_path}/out: stopped by SIGTERM in epoch 1 after batch 1")
    assert step(tmp_path / "out") == COQUI_STEP + 1


def test_pseudo_labels_use_the_scorer_without_test_files(tmp_path, monkeypatch):
    asked = []

    def train(*_, scorer_uri, **__):
        asked.append(scorer_uri)
        raise TrainingError("that is all")

    monkeypatch.setattr(jobs, "train_with_unlabelled", train)
    scorer = tmp_path / "lm.scorer"
    scorer.touch()
    files = ["--train_files", LATIN, "--dev_files", LATIN, "--unlabelled_uri", tmp_path]
    target = ["--save_checkpoint_dir", tmp_path / "model"]
    assert "that is all" in call("train", *files, *target, "--scorer_path", scorer).error
    assert asked == [scorer]
