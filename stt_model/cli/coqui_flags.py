"""Coqui STT's flags, and what each does in the commands that have all of them in Coqui.

Coqui 1.4 reads the same flags in ``train``, ``evaluate``, ``export``, ``lm_optimize`` and
``transcribe``, whether or not the command needs them. A command here defines the flags that it
needs; the others come from this table, so that scripts keep working: they are accepted without
effect, and one line says why, or they are refused with the reason.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stt_model.base import BootstrapError

log = logging.getLogger(__name__)

SAME = "same"
"""The flag means what it means in Coqui."""
NOTHING = "nothing"
"""The flag is accepted without effect."""
REFUSED = "refused"
"""Any value but Coqui's default is refused, since the result would differ."""

GIVEN = "coqui_flags"
"""The attribute of parsed arguments that holds the given flags of this table."""


@dataclass(frozen=True)
class CoquiFlag:
    """One of Coqui's flags."""

    name: str
    kind: str
    """bool, int, float, str or list: how its values are written."""
    outcome: str
    """SAME, NOTHING or REFUSED, if the command does not define the flag itself."""
    why: str
    """Why it has no effect or is refused; for SAME, what the flag is about."""
    default: str = ""
    """Coqui's default, if no other value is accepted."""


def _flags(outcome: str, kind: str, why: str, *names: str, default: str = "") -> list[CoquiFlag]:
    return [CoquiFlag(name, kind, outcome, why, default) for name in names]


_TRAINING = "it is about training"
_TESTING = "it is about testing"
_DATA = "this command reads no such files"
_EXPORT = "it is about exporting"
_OUTPUT = "it is about what testing writes"
_SEARCH = "it is about decoding"
_TUNING = "it is about lm_optimize"
_START = "it is about the start of training"

FLAGS: tuple[CoquiFlag, ...] = (
    *_flags(SAME, "list", _DATA, "train_files", "dev_files", "test_files", "metrics_files"),
    *_flags(SAME, "str", _DATA, "auto_input_dataset"),
    *_flags(SAME, "str", _SEARCH, "vocab_file", "scorer_path"),
    *_flags(NOTHING, "str", "files are read in blocks of a fitting size", "read_buffer"),
    *_flags(SAME, "str", "features are not kept outside of training", "feature_cache"),
    *_flags(
        NOTHING,
        "int",
        "features are cached before augmentation, so they never have to be computed again",
        "cache_for_epochs",
    ),
    *_flags(SAME, "bool", _TRAINING, "shuffle_batches"),
    *_flags(SAME, "int", _TRAINING, "shuffle_start"),
    *_flags(NOTHING, "int", "all batches of an epoch are shuffled at once", "shuffle_buffer"),
    *_flags(
        SAME,
        "int",
        "the checkpoint determines it",
        "feature_win_len",
        "feature_win_step",
        "audio_sample_rate",
    ),
    *_flags(
        NOTHING,
        "bool",
        "audio is always resampled to the model's rate",
        "normalize_sample_rate",
    ),
    *_flags(SAME, "list", _TRAINING, "augment"),
    *_flags(SAME, "int", _TRAINING, "epochs"),
    *_flags(
        SAME, "float", _TRAINING, "dropout_rate", "dropout_rate2", "dropout_rate3", "dropout_rate6"
    ),
    *_flags(
        NOTHING,
        "float",
        "Coqui reads it, but its network has no dropout there",
        "dropout_rate4",
        "dropout_rate5",
    ),
    *_flags(
        REFUSED,
        "float",
        "activations are clipped at 20, as in every published checkpoint",
        "relu_clip",
        default="20",
    ),
    *_flags(SAME, "float", _TRAINING, "beta1", "beta2", "epsilon", "learning_rate"),
    *_flags(SAME, "int", _TRAINING, "train_batch_size", "dev_batch_size"),
    *_flags(SAME, "int", _TESTING, "test_batch_size"),
    *_flags(
        REFUSED,
        "int",
        "the deployed runtime feeds one recording at a time",
        "export_batch_size",
        default="1",
    ),
    *_flags(NOTHING, "bool", "there is no trial run before training", "skip_batch_test"),
    *_flags(
        NOTHING,
        "int",
        "TensorFlow uses one thread per processor",
        "inter_op_parallelism_threads",
        "intra_op_parallelism_threads",
    ),
    *_flags(NOTHING, "bool", "TensorFlow 2 decides that itself", "use_allow_growth"),
    *_flags(
        NOTHING, "bool", "checkpoints trained with cuDNN are read like all others", "load_cudnn"
    ),
    *_flags(NOTHING, "bool", "cuDNN is always used on a GPU", "train_cudnn"),
    *_flags(SAME, "bool", _TRAINING, "automatic_mixed_precision"),
    *_flags(SAME, "int", _TESTING, "limit_test"),
    *_flags(SAME, "bool", _TESTING, "reverse_test"),
    *_flags(SAME, "str", _TRAINING, "checkpoint_dir", "load_checkpoint_dir"),
    *_flags(SAME, "str", _TRAINING, "save_checkpoint_dir"),
    *_flags(SAME, "int", _TRAINING, "checkpoint_secs"),
    *_flags(NOTHING, "int", "only the best and the last checkpoint are kept", "max_to_keep"),
    *_flags(SAME, "str", _START, "load_train"),
    *_flags(SAME, "str", _TESTING, "load_evaluate"),
    *_flags(SAME, "int", _START, "drop_source_layers"),
    *_flags(SAME, "str", _EXPORT, "export_dir"),
    *_flags(
        SAME,
        "bool",
        _EXPORT,
        "remove_export",
        "export_tflite",
        "export_quantize",
        "export_savedmodel",
    ),
    *_flags(SAME, "int", _EXPORT, "n_steps"),
    *_flags(SAME, "bool", _EXPORT, "export_zip"),
    *_flags(SAME, "str", _EXPORT, "export_file_name"),
    *_flags(SAME, "int", _EXPORT, "export_beam_width"),
    *_flags(
        SAME,
        "str",
        _EXPORT,
        "export_author_id",
        "export_model_name",
        "export_model_version",
        "export_contact_info",
        "export_license",
        "export_language",
        "export_min_stt_version",
        "export_max_stt_version",
        "export_description",
    ),
    *_flags(NOTHING, "int", "--debug shows everything", "log_level"),
    *_flags(SAME, "bool", _OUTPUT, "show_progressbar"),
    *_flags(NOTHING, "bool", "the report names the devices", "log_placement"),
    *_flags(SAME, "int", _OUTPUT, "report_count"),
    *_flags(SAME, "str", _TRAINING, "summary_dir"),
    *_flags(SAME, "str", _OUTPUT, "test_output_file"),
    *_flags(SAME, "int", "the checkpoint determines it", "n_hidden"),
    *_flags(SAME, "bool", "the checkpoint determines it", "layer_norm"),
    *_flags(SAME, "int", "nothing here is random", "random_seed"),
    *_flags(SAME, "bool", _TRAINING, "early_stop", "reduce_lr_on_plateau"),
    *_flags(SAME, "int", _TRAINING, "es_epochs", "plateau_epochs"),
    *_flags(SAME, "float", _TRAINING, "es_min_delta", "plateau_reduction"),
    *_flags(
        NOTHING,
        "bool",
        "training always begins with --learning_rate, never with one stored in a checkpoint",
        "force_initialize_learning_rate",
    ),
    *_flags(SAME, "bool", "the checkpoint holds its alphabet", "bytes_output_mode"),
    *_flags(SAME, "str", "the checkpoint holds its alphabet", "alphabet_config_path"),
    *_flags(SAME, "int", _SEARCH, "beam_width", "cutoff_top_n"),
    *_flags(SAME, "float", _SEARCH, "lm_alpha", "lm_beta", "cutoff_prob"),
    *_flags(SAME, "str", "it is about transcribing one file", "one_shot_infer"),
    *_flags(SAME, "float", _TUNING, "lm_alpha_max", "lm_beta_max"),
    *_flags(SAME, "int", _TUNING, "n_trials"),
)
"""All 96, in Coqui's order."""

DEEPSPEECH_FLAGS: tuple[CoquiFlag, ...] = (
    *_flags(
        REFUSED,
        "int",
        "all rows of a manifest are used; give one with fewer rows",
        "limit_train",
        "limit_dev",
        default="0",
    ),
)
"""Flags of DeepSpeech 0.9 that Coqui 1.4 has dropped."""

OTHER_NAMES = {
    "--scorer_path": "--scorer",
    "--bytes_output_mode": "--utf8",
    "--export_min_stt_version": "--export_min_ds_version",
    "--export_max_stt_version": "--export_max_ds_version",
}
"""DeepSpeech's names for flags of Coqui's."""

COMMANDS = ("train", "evaluate", "export", "lm_optimize", "transcribe")
"""The commands that have all flags in Coqui."""


def add_coqui_flags(parser: argparse.ArgumentParser) -> None:
    """Add Coqui's flags that the command lacks, and DeepSpeech's spellings of all flags.

    Booleans may be written ``--noNAME``. The given flags of this table are kept under ``GIVEN``,
    for ``report_coqui_flags``.
    """
    own = {option for action in parser._actions for option in action.option_strings}
    parser.set_defaults(**{GIVEN: ()})
    for flag in FLAGS:
        if f"--{flag.name}" in own:
            if flag.kind == "bool":
                _add_negation(parser, flag.name)
        else:
            _add_foreign(parser, flag)
    for flag in DEEPSPEECH_FLAGS:
        _add_foreign(parser, flag)
    for name, old in OTHER_NAMES.items():
        _add_name(parser, name, old)


def own_options(parser: argparse.ArgumentParser) -> set[str]:
    """Return the options that a command defines itself, after adding its flags."""
    complete = getattr(parser, "full_help", None)
    if complete:
        complete()
    return {
        option
        for action in parser._actions
        if not isinstance(action, _Foreign)
        for option in action.option_strings
    }


def outcome_of(flag: CoquiFlag, own: set[str]) -> CoquiFlag:
    """Return a flag with its outcome in a command that defines these options itself."""
    if f"--{flag.name}" in own or flag.outcome != SAME:
        return flag
    return replace(flag, outcome=NOTHING)


def report_coqui_flags(args: argparse.Namespace) -> None:
    """Log why given flags of Coqui's have no effect.

    Raises:
        BootstrapError: a flag that would change the result is not supported.
    """
    for flag, values in getattr(args, GIVEN, ()):
        if flag.outcome != REFUSED:
            log.info("--%s has no effect: %s", flag.name, flag.why)
        elif not _is_default(flag, values):
            raise BootstrapError(
                f"--{flag.name} {' '.join(values)}: not supported: {flag.why}; leave it out, or"
                f" give {flag.default}"
            )


def _is_default(flag: CoquiFlag, values: Sequence[str]) -> bool:
    try:
        return len(values) == 1 and float(values[0]) == float(flag.default)
    except ValueError:
        return False


class _Foreign(argparse.Action):
    """Keeps the values given for a flag of Coqui's that the command does not define."""

    flag: CoquiFlag

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = values if isinstance(values, list) else [] if values is None else [values]
        entry = (self.flag, [str(value) for value in given])
        setattr(namespace, GIVEN, (*getattr(namespace, GIVEN, ()), entry))


def _add_foreign(parser: argparse.ArgumentParser, flag: CoquiFlag) -> None:
    count = {"list": "*", "bool": "?"}.get(flag.kind)
    kind: Callable[[str], Any] = {"int": int, "float": float}.get(flag.kind, str)
    names = [f"--{flag.name}"]
    if flag.kind == "bool":
        names.append(f"--no{flag.name}")
    known = outcome_of(flag, set())
    # Only flags that Coqui's guide to bootstrapping names are shown in the help.
    shown = f"no longer needed: {flag.why}" if flag.name.endswith("_cudnn") else argparse.SUPPRESS
    action = parser.add_argument(
        *names,
        action=_Foreign,
        nargs=count,
        type=kind,
        dest=argparse.SUPPRESS,
        default=argparse.SUPPRESS,
        metavar=flag.kind.upper(),
        help=shown,
    )
    assert isinstance(action, _Foreign)
    action.flag = known


def _add_negation(parser: argparse.ArgumentParser, name: str) -> None:
    action = parser._option_string_actions[f"--{name}"]
    parser.add_argument(
        f"--no{name}",
        dest=action.dest,
        action="store_false",
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )


def _add_name(parser: argparse.ArgumentParser, name: str, other: str) -> None:
    """Give a flag a second name, which its help does not show."""
    actions = parser._option_string_actions
    if other not in actions:
        # The help shows ``option_strings``, which stay as they are.
        actions[other] = actions[name]
