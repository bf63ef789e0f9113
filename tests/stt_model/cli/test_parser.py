"""Parsing: help, wrong usage, and how whatever goes wrong is told."""

import errno
import re

import pytest

from stt_model.base.errors import BootstrapError
from stt_model.checkpoint.surgery import LAYERS
from stt_model.cli import parser as cli
from stt_model.jobs.settings import all_parameters
from stt_model.text.decision import MODES
from tests.command_line import call

GUIDE = (
    "--checkpoint_dir",
    "--load_checkpoint_dir",
    "--save_checkpoint_dir",
    "--train_files",
    "--dev_files",
    "--test_files",
    "--drop_source_layers",
    "--alphabet_config_path",
    "--n_hidden",
    "--train_cudnn",
    "--load_cudnn",
)
"""The flags of Coqui's guide to bootstrapping."""
COQUI = (
    *GUIDE,
    "--bytes_output_mode",
    "--epochs",
    "--train_batch_size",
    "--learning_rate",
    "--dropout_rate",
    "--test_output_file",
    "--load_train",
    "--layer_norm",
)


def test_help_lists_every_command():
    outcome = call("--help")
    assert outcome.code == 0
    assert not outcome.err
    for name in (*cli.COMMANDS, "run", "compile"):
        assert re.search(rf"^    {name}\s", outcome.out, re.MULTILINE)


@pytest.mark.parametrize("name", [*cli.COMMANDS, "run", "compile"])
def test_help_of_each_command(name):
    outcome = call(name, "--help")
    assert outcome.code == 0
    assert not outcome.err
    assert f"usage: stt-bootstrap {name}" in outcome.out


@pytest.mark.parametrize("flag", COQUI)
def test_training_has_coquis_flags(flag):
    assert f"  {flag} " in call("train", "--help").out


TRAIN = ("train", "--checkpoint_dir", "c", "--train_files", "t.csv")
SURGERY = ("surgery", "--load_checkpoint_dir", "a", "--save_checkpoint_dir", "b")
SURGERY += ("--alphabet_config_path", "c")
RUN = ("run", "--output", "o", "--dataset_uri", "d", "--checkpoint_uri", "c")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bootstrap",), "unknown command 'bootstrap' (there are import, align,"),
        (("trian",), "unknown command 'trian' (did you mean train?)"),
        (("inspect",), "the following arguments are required: DIR"),
        ((*TRAIN, "--epoch", "3"), "unrecognized arguments: --epoch 3"),
        (
            (*TRAIN, "--epochs", "0"),
            "--epochs: expected a whole number, 1 or more, or auto, found '0'",
        ),
        (
            (*TRAIN, "--epochs", "ten"),
            "--epochs: expected a whole number, 1 or more, or auto, found 'ten'",
        ),
        ((*TRAIN, "--train_batch_size", "0"), "--train_batch_size: expected a whole number"),
        ((*TRAIN, "--n_hidden", "0"), "--n_hidden: expected a whole number, 1 or more"),
        (
            (*TRAIN, "--learning_rate", "nan"),
            "--learning_rate: expected a number above 0, or auto, found",
        ),
        (
            (*TRAIN, "--learning_rate", "inf"),
            "--learning_rate: expected a number above 0, or auto, found",
        ),
        ((*TRAIN, "--dropout_rate", "1"), "--dropout_rate: expected a number from 0 to below 1"),
        ((*TRAIN, "--beam_width", "-1"), "--beam_width: expected a whole number, 0 or more"),
        ((*TRAIN, "--random_seed", "-1"), "--random_seed: expected 0 to 4294967295, found '-1'"),
        ((*TRAIN, "--drop_source_layers", "6"), "--drop_source_layers: expected 0 to 5, found '6'"),
        ((*TRAIN, "--drop_source_layers", "-1"), "--drop_source_layers: expected 0 to 5"),
        ((*TRAIN, "--layer_norm", "maybe"), "--layer_norm: expected true or false, found 'maybe'"),
        ((*SURGERY, "--drop_source_layers", "0"), "--drop_source_layers: expected 1 to 5"),
        (("fetch", "u", "t", "--size_limit", "0"), "--size_limit: expected a whole number, 1 or"),
        (("alphabet", "--train_files", "t.csv", "--mode", "tune"), "--mode: expected auto, fine-"),
        ((*RUN, "--mode", "tune"), "--mode: expected auto, fine-tune or transfer, found 'tune'"),
        ((*RUN, "--drop_source_layers", "6"), "--drop_source_layers: expected 1 to 5, found '6'"),
        (
            (*RUN, "--epochs", "0"),
            "--epochs: expected a whole number, 1 or more, or auto, found '0'",
        ),
        ((*RUN, "--warm_start", "2"), "--warm_start: expected true or false, found '2'"),
        ((*RUN, "--runner", "kubernetes"), "--runner: invalid choice: 'kubernetes'"),
    ],
)
def test_wrong_usage_is_one_line_that_says_where_to_look(arguments, message):
    outcome = call(*arguments)
    assert outcome.code == 2
    assert message in outcome.error
    assert re.search(r"; see stt-bootstrap( [a-z]+)? --help$", outcome.error)


def test_without_a_command_all_of_them_are_shown():
    outcome = call()
    assert outcome.code == 2
    assert not outcome.out
    assert all(f"    {command} " in outcome.err for command in ("import", "run", "submit"))


def test_an_unknown_flag_leads_to_the_help_of_its_command():
    assert call(*TRAIN, "--epoch", "3").error.endswith("; see stt-bootstrap train --help")


def test_limits_are_those_of_the_work_itself():
    for mode in MODES:
        assert all_parameters()["mode"].read(mode) == mode
    most = len(LAYERS) - 1
    assert all_parameters()["drop_source_layers"].read(str(most)) == most


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("Yes", True), ("1", True), ("off", False), ("False", False), ("0", False)],
)
def test_switches_read_what_coqui_reads(text, value):
    parsed = cli.build_parser()[0].parse_args(["validate", "d", "--output", "o", "--strict", text])
    assert parsed.strict is value


def test_a_switch_alone_means_true():
    parsed = cli.build_parser()[0].parse_args(["validate", "d", "--output", "o", "--strict"])
    assert parsed.strict is True


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BootstrapError("two\nlines"), "error: two lines\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/out"),
            "error: /data/out: No space left on device\n",
        ),
        (OSError("the device hung up"), "error: the device hung up\n"),
        (
            ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow"),
            "error: tensorflow is not installed; install stt-bootstrap with its extras"
            " train and pipeline; in a checkout make setup does\n",
        ),
        (
            ModuleNotFoundError("No module named 'numba'", name="numba"),
            "error: numba is not installed; install stt-bootstrap with its extras"
            " train and pipeline; in a checkout make setup does\n",
        ),
    ],
)
def test_errors_that_a_user_can_mend_are_one_line(error, line, capsys):
    def fail():
        raise error

    assert cli.guard(fail, debug=False) == 1
    assert capsys.readouterr() == ("", line)
    with pytest.raises(type(error)):
        cli.guard(fail, debug=True)


def test_a_mistake_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.guard(lambda: 1 // 0, debug=False)


def test_an_interruption_ends_with_the_code_that_shells_know(capsys):
    def interrupt():
        raise KeyboardInterrupt

    assert cli.guard(interrupt, debug=False) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
