"""The command ``train``: Coqui STT's ``train``, with its flags."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model import jobs
from stt_model.base import AUTO, GateError, TrainingError, check_output, parameters_of, whole
from stt_model.cli.coqui_flags import add_coqui_flags
from stt_model.cli.evaluation import announce, check_gate, decoding_of, report_flags, test
from stt_model.cli.export import export_checkpoint, form_flags
from stt_model.cli.flags import (
    AUDIO_FLAGS,
    add_alphabet,
    add_files,
    add_parameters,
    add_path,
    boolean,
    given_alphabet,
    show_log,
    show_tensorflow,
    values_of,
)
from stt_model.evaluation import EvaluationConfig
from stt_model.export import ExportConfig
from stt_model.training import TrainingConfig

if TYPE_CHECKING:
    from stt_model.text import Alphabet

log = logging.getLogger(__name__)

_ENDING = (
    "best_by",
    "early_stop",
    "es_epochs",
    "es_min_delta",
    "es_min_share",
    "reduce_lr_on_plateau",
    "plateau_epochs",
    "plateau_reduction",
)
_OF_CHECKPOINTS = ("checkpoint_secs", "restart")
_OF_DATA = ("feature_cache_size",)
_OF_OUTPUT = ("show_progressbar",)
"""Parameters of training in other groups of flags; the rest are in the group for training."""


@dataclass(frozen=True)
class _Transfer:
    drop_source_layers: int = whole(
        0,
        "Transfer-learning: layers to replace, counted from the output: 1 to 5; 0 fine-tunes.",
        minimum=0,
        maximum=5,
    )


def train_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``train``."""
    _data_flags(parser.add_argument_group("data"))
    _checkpoint_flags(parser.add_argument_group("checkpoints"))
    setting_flags(parser)
    add_path(
        parser,
        "--summary_dir",
        "DIR",
        "scalars for TensorBoard; by default the folder summaries beside the checkpoints",
    )
    report_flags(parser)
    form_flags(parser, required=False)
    add_parameters(parser, ExportConfig, "max_wer_change")
    add_path(
        parser, "--one_shot_infer", "FILE", "transcribe this recording with the model at the end"
    )
    add_coqui_flags(parser)


def setting_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say what is trained and how; ``settings_of`` reads them."""
    _model_flags(parser.add_argument_group("model"))
    _training_flags(parser.add_argument_group("training"))
    ending = parser.add_argument_group("stopping and learning rate, by the dev set")
    add_parameters(ending, TrainingConfig, *_ENDING)


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the flags of ``setting_flags``, and others for settings, say by name."""
    given = [name for name in parameters_of(TrainingConfig) if hasattr(args, name)]
    settings = values_of(args, [*given, *_MODEL])
    return {**settings, "augment": " ".join(args.augment) or AUTO}


def _data_flags(group: argparse._ArgumentGroup) -> None:
    add_files(
        group,
        "--train_files",
        "manifests to train on; without any, the checkpoint is only tested or exported",
    )
    add_files(group, "--dev_files", "manifests that decide which epoch is the best")
    add_files(group, "--test_files", "manifests that the trained model is tested on")
    add_files(group, "--metrics_files", "manifests whose loss is reported after each epoch")
    add_parameters(group, EvaluationConfig, "limit_test", "reverse_test")
    add_path(
        group,
        "--auto_input_dataset",
        "FILE",
        "one manifest to divide into training, dev and test set, instead of the three",
    )
    add_parameters(group, jobs.ValidationSettings, "drop_suspects")
    add_parameters(group, jobs.UnlabelledSettings, "unlabelled_uri")
    add_path(
        group,
        "--feature_cache",
        "DIR",
        "keep the features of clips in DIR, for later epochs and runs; several runs may share it",
    )
    add_parameters(group, TrainingConfig, *_OF_DATA)


def _checkpoint_flags(group: argparse._ArgumentGroup) -> None:
    add_path(
        group,
        "--checkpoint_dir",
        "DIR",
        "fine-tune the checkpoint in DIR in place; stands for both of the next flags",
    )
    add_path(group, "--load_checkpoint_dir", "DIR", "checkpoint to start from")
    add_path(group, "--save_checkpoint_dir", "DIR", "where the new checkpoint goes")
    group.add_argument(
        "--load_train",
        # DeepSpeech's value for transfer-learning, which --drop_source_layers implies.
        type=lambda text: "auto" if text == "transfer" else text,
        choices=("auto", "best", "last", "init"),
        default="auto",
        help="checkpoint to start from; auto: best, else last, or from scratch in a new"
        " folder without --load_checkpoint_dir; init: from scratch",
    )
    group.add_argument(
        "--load_evaluate",
        choices=("auto", "best", "last"),
        default="auto",
        help="without --train_files: which checkpoint is tested and exported",
    )
    add_parameters(group, TrainingConfig, *_OF_CHECKPOINTS)


def _model_flags(group: argparse._ArgumentGroup) -> None:
    add_parameters(group, _Transfer, "drop_source_layers")
    add_alphabet(group, "alphabet of the transcripts, if it is not the checkpoint's")
    add_parameters(group, jobs.ScratchSettings, "n_hidden", "layer_norm", *AUDIO_FLAGS)
    add_parameters(group, jobs.SurgerySettings, "warm_start", "random_seed")
    add_parameters(group, jobs.DecisionSettings, "keep_source_labels")


def _training_flags(group: argparse._ArgumentGroup) -> None:
    elsewhere = {*_ENDING, *_OF_CHECKPOINTS, *_OF_DATA, *_OF_OUTPUT}
    elsewhere |= parameters_of(jobs.SurgerySettings).keys()
    for name in parameters_of(TrainingConfig):
        if name == "augment":
            _add_augment(group)
        elif name not in elsewhere:
            add_parameters(group, TrainingConfig, name)
        if name == "dev_batch_size":
            add_parameters(group, EvaluationConfig, "test_batch_size")
    group.add_argument(
        "--automatic_mixed_precision",
        dest="mixed_precision",
        type=lambda text: "float16" if boolean(text) else "off",
        nargs="?",
        const="true",
        default=argparse.SUPPRESS,
        metavar="BOOL",
        help="Coqui's name for --mixed_precision float16",
    )


def _add_augment(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--augment",
        nargs="+",
        action="extend",
        default=[],
        metavar="SPEC",
        help="augmentations, drawn anew in each epoch: NAME[p=P,PARAMETER=RANGE,…] as in Coqui,"
        " such as tempo[p=0.5,factor=1~0.2]; none for no change; the default depends on the corpus",
    )


def train(args: argparse.Namespace) -> int:
    """Fine-tune or transfer as Coqui STT's flags say, then test the resulting model."""
    show_log()
    _settle_directories(args)
    if args.train_files or args.auto_input_dataset:
        return _train(args)
    if not (args.test_files or args.export_dir or args.one_shot_infer):
        raise TrainingError(
            "expected --train_files to train on, or --test_files, --export_dir or --one_shot_infer"
            " for an existing checkpoint, found none of them"
        )
    alphabet = given_alphabet(args)
    show_tensorflow(args)
    tested = None
    if args.test_files:
        tested = test(args, args.load_checkpoint_dir, args.load_evaluate, alphabet)
        jobs.write_report(args.report_file, tested.to_markdown())
    _use(args, args.load_checkpoint_dir, args.load_evaluate, alphabet)
    if tested:
        check_gate(tested.gate)
    return 0


def _use(
    args: argparse.Namespace, folder: Path, which: str, alphabet: Alphabet | None = None
) -> None:
    """Export a checkpoint and transcribe a recording with it, if asked to."""
    if args.export_dir:
        export_checkpoint(args, folder, which, alphabet)
    if args.one_shot_infer:
        texts = jobs.transcribe(
            folder, [args.one_shot_infer], scorer_path=args.scorer_path, **decoding_of(args)
        )
        print(next(iter(texts)))


def _train(args: argparse.Namespace) -> int:
    if args.auto_input_dataset:
        _divide_dataset(args)
    if args.drop_suspects:
        _leave_out_suspects(args)
    _check_gate_can_be_held(args)
    outputs = (args.test_output_file, args.report_file, args.html_report_file)
    jobs.check_evaluation(
        args.test_files,
        outputs=outputs,
        source_checkpoint_dir=args.source_checkpoint_dir,
        settings=vars(args),
    )
    # Nothing else in training decodes, and a scorer that is not used need not fit the alphabet.
    uses_scorer = bool(args.test_files or args.unlabelled_uri)
    settings = {
        "test_files": args.test_files,
        "alphabet": given_alphabet(args),
        "scorer_uri": (args.scorer_path or "") if uses_scorer else "",
        "metrics_files": args.metrics_files,
        **values_of(args, _WHERE),
        **settings_of(args),
    }
    if args.unlabelled_uri:
        show_tensorflow(args)
        result, outcome = jobs.train_with_unlabelled(
            args.train_files, args.dev_files, unlabelled_uri=args.unlabelled_uri, **settings
        )
        print(f"pseudo-labels: {outcome.summary}")
        report = f"{result.to_markdown()}\n{outcome.to_markdown()}"
    else:
        prepared = jobs.prepare_training(
            args.train_files, args.dev_files, train_on=True, **settings
        )
        if prepared.source:
            announce(prepared.source)
        show_tensorflow(args)
        result = prepared.run()
        report = result.to_markdown()
    if not result.is_chief:
        return 0
    tested = None
    which = "auto" if args.dev_files else "last"
    if args.test_files:
        # The checkpoint just trained, never its source: without a dev set no epoch is the best, so
        # a best checkpoint in the folder is the source's.
        tested = test(args, args.save_checkpoint_dir, which, None)
        report += f"\n{tested.to_markdown()}"
    jobs.write_report(args.report_file, report)
    if args.report_file:
        print(f"report: {args.report_file}")
    print(f"checkpoint: {args.save_checkpoint_dir}")
    _use(args, args.save_checkpoint_dir, which)
    if tested:
        print(f"verdict: {tested.verdict}")
        check_gate(tested.gate)
    return 0


_WHERE = (
    "load_checkpoint_dir",
    "save_checkpoint_dir",
    "load_train",
    "vocab_file",
    "feature_cache",
    "summary_dir",
)
_MODEL = (
    "drop_source_layers",
    "warm_start",
    "keep_source_labels",
    "n_hidden",
    "layer_norm",
    *AUDIO_FLAGS,
)


def _divide_dataset(args: argparse.Namespace) -> None:
    """Divide one manifest into three, in the folder that the checkpoint goes to."""
    from stt_model.corpus import SPLITS

    if args.train_files or args.dev_files or args.test_files:
        raise TrainingError(
            "--auto_input_dataset makes the training, dev and test sets; leave out"
            " --train_files, --dev_files and --test_files"
        )
    made = jobs.divide_manifest(args.auto_input_dataset, args.save_checkpoint_dir / "dataset")
    args.train_files, args.dev_files, args.test_files = ([made[name]] for name in SPLITS)


def _leave_out_suspects(args: argparse.Namespace) -> None:
    """Leave clips that an earlier run marked as suspects out of the train and dev manifests."""
    for split in ("train", "dev"):
        files = jobs.leave_out_suspects(
            getattr(args, f"{split}_files"),
            args.drop_suspects,
            args.save_checkpoint_dir / "kept" / split,
        )
        setattr(args, f"{split}_files", files)


def _settle_directories(args: argparse.Namespace) -> None:
    """Work out where to load from and save to."""
    if args.checkpoint_dir:
        args.load_checkpoint_dir = args.save_checkpoint_dir = args.checkpoint_dir
    if not args.save_checkpoint_dir:
        raise TrainingError(
            "expected --checkpoint_dir or --save_checkpoint_dir, found neither;"
            " say where the model goes"
        )
    args.load_checkpoint_dir = args.load_checkpoint_dir or args.save_checkpoint_dir
    check_output(args.save_checkpoint_dir, is_folder=True)


def _check_gate_can_be_held(args: argparse.Namespace) -> None:
    if (args.max_wer or args.must_beat_source) and not args.test_files:
        raise GateError("--max_wer and --must_beat_source need a test set; give --test_files")
    source: Path | None = args.source_checkpoint_dir
    if source and source.resolve() == args.save_checkpoint_dir.resolve():
        raise GateError(
            f"{source}: --source_checkpoint_dir is replaced by the trained model before the test;"
            " train into another folder, or give a copy"
        )
