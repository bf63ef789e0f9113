"""Runs that end before their time, and go on."""

import dataclasses
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from stt_model.base.errors import CheckpointError, StoppedError, TrainingError
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.checkpoint.layout import state_path
from stt_model.training.learner import Learner
from stt_model.training.state import find_run
from stt_model.training.trainer import train
from tests.stt_model.training_runs import content, make_config, write_source

AFTER_EVERY_STEP = 1e-6  # seconds
# Dropout, so that random states count, and plateaus, so that the best weights are gone back to.
SETTINGS = {
    "epochs": 4,
    "dropout_rate": 0.2,
    "clip_norm": 5.0,
    "reduce_lr_on_plateau": True,
    "plateau_epochs": 2,
    "es_min_delta": 1000.0,
    "plateau_reduction": 0.5,
}


class PowerCutError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module")
def whole(dataset, source, tmp_path_factory):
    """A run that nothing happened to."""
    return train(make_config(dataset, source, tmp_path_factory.mktemp("whole"), **SETTINGS))


@contextmanager
def at_step(number, action):
    """Call ``action`` before the step of that number, counted from 1."""
    step = Learner.train_step
    calls = 0

    def counted(learner, batch):
        nonlocal calls
        calls += 1
        if calls == number:
            action()
        return step(learner, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "train_step", counted)
        yield


def cut_power():
    raise PowerCutError


@contextmanager
def no_room_for(size):
    """Let no file grow beyond so many bytes, as if the disk was full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def interrupted(dataset, source, tmp_path_factory):
    """The same run, cut in the middle of an epoch, out of room, sent SIGTERM; then left alone."""
    out = tmp_path_factory.mktemp("interrupted")
    config = make_config(dataset, source, out, **SETTINGS)
    often = dataclasses.replace(config, checkpoint_secs=AFTER_EVERY_STEP)
    with at_step(5, cut_power), pytest.raises(PowerCutError):
        train(often)
    before = files(out)
    with no_room_for(5000), pytest.raises(CheckpointError, match="cannot write the checkpoint"):
        train(often)
    after_full_disk = files(out)
    # The rest saves at the end of epochs only, so the next one is lost from its second batch on.
    with at_step(4, cut_power), pytest.raises(PowerCutError):
        train(config)
    with (
        at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM)),
        pytest.raises(StoppedError) as stopped,
    ):
        train(config)
    # The source is not needed any more.
    result = train(dataclasses.replace(config, load_checkpoint_dir=out / "gone"))
    return {
        "result": result,
        "stopped": stopped.value,
        "full disk": (before, after_full_disk),
    }


@pytest.mark.parametrize("which", ["best", "last"])
def test_an_interrupted_run_ends_with_the_same_bits(whole, interrupted, which):
    resumed = interrupted["result"].checkpoint_dir
    assert content(resumed, which) == content(whole.checkpoint_dir, which)
    assert open_checkpoint(resumed, which).step == open_checkpoint(whole.checkpoint_dir, which).step


def test_an_interrupted_run_has_the_same_history(whole, interrupted):
    def timeless(result):
        return [
            dataclasses.replace(epoch, seconds=0, audio_seconds_per_second=0)
            for epoch in result.epochs
        ]

    assert timeless(interrupted["result"]) == timeless(whole)
    history = (whole.checkpoint_dir / "history.csv").read_text(encoding="utf-8").splitlines()
    assert len(history) == 1 + len(whole.epochs)


def test_a_plateau_lowers_the_rate_and_goes_back_to_the_best_of_the_run(whole):
    rates = [epoch.learning_rate for epoch in whole.epochs]
    assert rates == [0.002, 0.002, 0.002, 0.001, 0.001]
    assert whole.best.number == 4
    # After the fourth epoch, which is a plateau too, the last is the best.
    assert content(whole.checkpoint_dir, "last") == content(whole.checkpoint_dir, "best")


def test_a_full_disk_is_one_line_and_leaves_the_last_good_state(interrupted):
    before, after = interrupted["full disk"]
    assert after == before


def test_sigterm_says_again(interrupted):
    assert interrupted["stopped"].exit_code == 75
    assert re.search(
        "stopped by SIGTERM in epoch 3 after batch 3 and saved; start again",
        str(interrupted["stopped"]),
    )


def test_nothing_is_left_of_what_was_replaced(interrupted):
    folder = interrupted["result"].checkpoint_dir
    best, last = (open_checkpoint(folder, which).prefix.name for which in ("best", "last"))
    assert {path.name.split(".")[0] for path in folder.glob("*.index")} == {best, last}
    assert not [path for path in folder.iterdir() if path.name.startswith(".writing")]


def test_a_finished_run_is_left_as_it_is(whole, caplog):
    caplog.set_level("INFO")
    before = files(whole.checkpoint_dir)
    again = train(whole.config)
    assert files(whole.checkpoint_dir) == before
    assert again.epochs == whole.epochs
    assert "this run is finished, nothing to do" in caplog.text


def test_other_arguments_are_named(whole, dataset):
    changed = dataclasses.replace(
        whole.config,
        learning_rate=0.1,
        dev_files=[dataset / "test.csv"],
        origin={"drop_source_layers": "1"},
    )
    before = files(whole.checkpoint_dir)
    with pytest.raises(TrainingError) as refused:
        train(changed)
    assert "\n" not in str(refused.value)
    for words in (
        "--learning_rate was 0.002, is 0.1; --dev_files has other content;"
        " --drop_source_layers was None, is 1;",
        "--save_checkpoint_dir another folder, or begin anew there with --restart true",
    ):
        assert words in str(refused.value)
    assert files(whole.checkpoint_dir) == before


def test_a_damaged_state_is_one_line(whole, tmp_path):
    for name, data in files(whole.checkpoint_dir).items():
        (tmp_path / name).write_bytes(data)
    path = state_path(open_checkpoint(tmp_path, "last").prefix)
    path.write_text('{"format": 1}', encoding="utf-8")
    with pytest.raises(TrainingError, match=r"\.training\.json: expected the state of a run"):
        find_run(tmp_path)


PROGRAM = """
import sys
from pathlib import Path
from stt_model.cli.flags import show_log
from stt_model.training.trainer import train
from tests.stt_model.training_runs import make_config
show_log()
dataset, source, out = map(Path, sys.argv[1:4])
settings = {"epochs": 40, "dropout_rate": 0.2, "checkpoint_secs": 1e-6}
train(make_config(dataset, source, out, mixed_precision=sys.argv[4], **settings))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("precision", ["off", "bfloat16"])
def test_kill_9_at_any_moment_changes_no_bit(dataset, tmp_path, precision):
    # Wide enough for a save to take its time.
    source = write_source(tmp_path / "source", n_hidden=192)

    def start(out):
        command = [sys.executable, "-c", PROGRAM, dataset, source, out, precision]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if line.startswith("training "):
                return process
        raise AssertionError("training did not begin")

    process = start(tmp_path / "whole")
    begun = time.monotonic()
    process.communicate()
    seconds = time.monotonic() - begun
    assert process.returncode == 0
    draw = random.Random(0)
    torn = 0
    for number in range(20):
        process = start(tmp_path / "killed")
        # Twenty of these are half of the run, on a fast machine too.
        time.sleep(draw.uniform(0, seconds / 20))
        # A save is a small part of the time: every fourth kill waits for one.
        while number % 4 == 3 and not any((tmp_path / "killed").glob(".writing-*/*")):
            assert process.poll() is None
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        torn += any((tmp_path / "killed").glob(".writing-*/*"))
    process = start(tmp_path / "killed")
    process.communicate()
    assert process.returncode == 0
    assert torn, "no kill came during a save"
    for which in ("best", "last"):
        assert content(tmp_path / "killed", which) == content(tmp_path / "whole", which)
