import logging

import pytest

from stt_bootstrap.pipelines.watch import Watch

STARTED = "12:00:00.000 - INFO - Executing task \x1b[96m'training-2'\x1b[0m\n"
FAILED = (
    "12:00:09.000 - ERROR - Task \x1b[96m'training-2'\x1b[0m finished with status"
    " \x1b[91mFAILURE\x1b[0m\n"
)


@pytest.fixture
def said():
    return []


@pytest.fixture
def watch(tmp_path, said):
    return Watch(tmp_path, said.append)


def test_an_error_of_the_project_is_told_alone(watch):
    watch.write(STARTED)
    watch.write("    Traceback (most recent call last):\n")
    watch.write(
        "    stt_model.base.errors.TrainingError: the loss is not finite: a.wav; take it out\n\n\n"
    )
    watch.write(FAILED)
    assert watch.failures == ["the loss is not finite: a.wav; take it out"]


def test_any_other_end_is_told_with_the_task_and_its_log(watch, tmp_path):
    watch.write(STARTED + "    MemoryError: 3 GiB\n" + FAILED)
    log = tmp_path / "training-2.log"
    assert watch.failures == [f"training failed: MemoryError: 3 GiB; its whole output: {log}"]
    assert log.read_text() == "MemoryError: 3 GiB\n"


def test_a_task_that_dies_without_a_word(watch):
    watch.write(STARTED + FAILED)
    assert watch.failures[0].startswith("training failed: no message")


def test_lines_may_arrive_in_pieces(watch, said):
    for character in STARTED + "    epoch 1\n" + FAILED:
        watch.write(character)
    assert watch.tasks == ["training-2"]
    assert said == ["training: running", "training: failed after 0 s"]


def test_log_lines_of_a_task_are_shown_as_they_come(watch, said):
    stamp = "    [KFP Executor 2026-11-24 12:00:00,000"
    watch.write(STARTED)
    watch.write(f"{stamp} INFO]: Looking for component `training` in --component_module_path\n")
    watch.write(f"{stamp} INFO]: Got executor_input:\n    {{}}\n")
    watch.write(f"{stamp} INFO]: epoch 1: train loss 9.500, dev loss 8.000\n")
    assert said[-1] == "training: epoch 1: train loss 9.500, dev loss 8.000"
    watch.write(f"{stamp} WARNING]: warning: clipping, 3 times\n    loose words\n")
    assert said[1:] == [
        "training: epoch 1: train loss 9.500, dev loss 8.000",
        "training: warning: clipping, 3 times",
    ]


def test_lines_of_kfp_between_tasks_go_into_no_log(watch, tmp_path):
    watch.write(STARTED + "    epoch 1\n" + FAILED + "----\n")
    assert (tmp_path / "training-2.log").read_text() == "epoch 1\n"


def test_verbose_says_what_tasks_print(tmp_path, said):
    Watch(tmp_path, said.append, verbose=True).write(STARTED + "    epoch 1\n")
    assert said == ["training: running", "    epoch 1"]


def test_stdout_and_logging_are_as_before_afterwards(watch, capsys):
    handlers = list(logging.getLogger().handlers)
    with watch.listening():
        print("taken")
    print("shown")
    assert capsys.readouterr().out == "shown\n"
    assert logging.getLogger().handlers == handlers
