"""Coqui's 96 flags on the commands that Coqui gives them to."""

import pytest

from stt_model.base.errors import BootstrapError
from stt_model.cli.coqui_flags import (
    COMMANDS,
    FLAGS,
    GIVEN,
    NOTHING,
    OTHER_NAMES,
    REFUSED,
    SAME,
    outcome_of,
    own_options,
)
from stt_model.cli.coqui_flags import report_coqui_flags as mind
from stt_model.cli.parser import build_parser

REQUIRED = {
    "train": ("--checkpoint_dir", "c"),
    "evaluate": ("--checkpoint_dir", "c", "--test_files", "t.csv"),
    "export": ("--checkpoint_dir", "c", "--export_dir", "e"),
    "lm_optimize": ("--checkpoint_dir", "c", "--test_files", "t.csv", "--scorer_path", "s"),
    "transcribe": ("--checkpoint_dir", "c"),
}
VALUES = {"bool": "true", "int": "1", "float": "0.5", "str": "x", "list": "x"}
SPECIAL = {
    "load_train": "last",
    "load_evaluate": "best",
    "drop_source_layers": "2",
    "bytes_output_mode": "false",
    "augment": "volume",
    "audio_sample_rate": "8000",
    "feature_win_len": "40",
    "feature_win_step": "25",
    "n_steps": "8",
}


def parse(command, *flags):
    return build_parser()[0].parse_args([command, *REQUIRED[command], *flags])


def own_flags(command):
    return own_options(build_parser()[1].choices[command])


def test_there_are_all_96_of_them():
    names = [flag.name for flag in FLAGS]
    assert len(names) == len(set(names)) == 96
    assert {flag.outcome for flag in FLAGS} == {SAME, NOTHING, REFUSED}
    assert all(flag.why for flag in FLAGS)
    assert all(bool(flag.default) == (flag.outcome == REFUSED) for flag in FLAGS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_takes_each_of_them_or_says_why_not(command):
    own = own_flags(command)
    for flag in FLAGS:
        value = flag.default or SPECIAL.get(flag.name, VALUES[flag.kind])
        if f"--{flag.name}" in REQUIRED[command] or f"--{flag.name}" == "--load_checkpoint_dir":
            continue
        args = parse(command, f"--{flag.name}", value)
        given = [entry.name for entry, _ in getattr(args, GIVEN)]
        is_own = f"--{flag.name}" in own
        assert given == ([] if is_own else [flag.name])
        assert outcome_of(flag, own).outcome in (SAME, NOTHING, REFUSED)
        if outcome_of(flag, own).outcome == REFUSED:
            with pytest.raises(
                BootstrapError, match=rf"--{flag.name} 7(\.0)?: not supported: {flag.why}"
            ):
                mind(parse(command, f"--{flag.name}", "7"))
        mind(args)


def test_those_that_mean_something_are_those_of_the_command():
    own = own_flags("train")
    foreign = [flag.name for flag in FLAGS if f"--{flag.name}" not in own and flag.outcome == SAME]
    # These are about another command.
    assert foreign == ["lm_alpha_max", "lm_beta_max", "n_trials"]


def test_of_flags_without_effect_one_line_says_why(caplog):
    caplog.set_level("INFO")
    mind(parse("evaluate", "--use_allow_growth", "--train_files", "a.csv", "b.csv"))
    assert caplog.messages == [
        "--use_allow_growth has no effect: TensorFlow 2 decides that itself",
        "--train_files has no effect: this command reads no such files",
    ]


def test_files_may_stand_as_in_deepspeech():
    args = parse("train", "--train_files", "a.csv,b.sdb", "c.csv", "--train_files", "d.tar")
    assert [str(path) for path in args.train_files] == ["a.csv", "b.sdb", "c.csv", "d.tar"]


def test_booleans_may_be_denied_and_empty_paths_are_none():
    args = parse("train", "--noshow_progressbar", "--scorer", "", "--noearly_stop")
    assert (args.show_progressbar, args.scorer_path, args.early_stop) == (False, None, False)
    assert parse("train", "--load_train", "transfer").load_train == "auto"


@pytest.mark.parametrize("command", COMMANDS)
def test_names_of_deepspeech_mean_the_same(command):
    values = {"scorer": "x.scorer", "utf8": "true", "export_min_ds_version": "0.9.3"}
    for old, value in values.items():
        new = next(new for new, other in OTHER_NAMES.items() if other == f"--{old}")
        one, other = (vars(parse(command, name, value)) for name in (f"--{old}", new))
        assert {**one, "parser": None} == {**other, "parser": None}
    mind(parse(command, "--limit_train", "0"))
    with pytest.raises(BootstrapError, match="--limit_dev 5: not supported: all rows"):
        mind(parse(command, "--limit_dev", "5"))
