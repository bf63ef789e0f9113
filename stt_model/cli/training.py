"""The command ``train``: Coqui STT's ``train``, with its flags."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

from stt_model import jobs
from stt_model.base import AUTO, GateError, TrainingError, check_output, parameters_of, whole
from stt_model.cli.evaluation import check_gate, report_flags, test
from stt_model.cli.flags import (
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
from stt_model.training import TrainingConfig

log = logging.getLogger(__name__)


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
    _model_flags(parser.add_argument_group("model"))
    _training_flags(parser.add_argument_group("training"))
    add_parameters(
        parser.add_argument_group("ending and learning rate, by the dev set"),
        TrainingConfig,
        "best_by",
        "early_stop",
        "es_epochs",
        "es_min_delta",
        "es_min_share",
        "reduce_lr_on_plateau",
        "plateau_epochs",
        "plateau_reduction",
    )
    add_path(
        parser,
        "--summary_dir",
        "DIR",
        "scalars for TensorBoard; by default the folder summaries beside the checkpoints",
    )
    report_flags(parser)


def _data_flags(group: argparse._ArgumentGroup) -> None:
    add_files(group, "--train_files", "manifests to train on", required=True)
    add_files(group, "--dev_files", "manifests that decide which epoch is the best")
    add_files(group, "--test_files", "manifests that the trained model is tested on")
    add_path(
        group,
        "--feature_cache",
        "DIR",
        "keep the features of clips in DIR, for later epochs and runs; several may share it",
    )
    add_parameters(group, TrainingConfig, "feature_cache_size")


def _checkpoint_flags(group: argparse._ArgumentGroup) -> None:
    add_path(
        group,
        "--checkpoint_dir",
        "DIR",
        "both of the next two: fine-tune the checkpoint in DIR, in place",
    )
    add_path(group, "--load_checkpoint_dir", "DIR", "checkpoint to start from")
    add_path(group, "--save_checkpoint_dir", "DIR", "where the new checkpoint goes")
    group.add_argument(
        "--load_train",
        choices=("auto", "best", "last", "init"),
        default="auto",
        help="checkpoint to start from; auto: best, else last; init: none, from scratch",
    )
    _unneeded_flag(group, "load_cudnn", "checkpoints trained with cuDNN load everywhere")
    add_parameters(group, TrainingConfig, "checkpoint_secs", "restart")


def _unneeded_flag(group: argparse._ArgumentGroup, name: str, why: str) -> None:
    group.add_argument(
        f"--{name}",
        type=boolean,
        nargs="?",
        const=True,
        metavar="BOOL",
        help=f"no longer needed: {why}",
    )


def _model_flags(group: argparse._ArgumentGroup) -> None:
    add_parameters(group, _Transfer, "drop_source_layers")
    add_alphabet(group, "alphabet of the transcripts, where it is not the checkpoint's")
    add_parameters(group, jobs.ScratchSettings, "n_hidden", "layer_norm")
    add_parameters(group, jobs.SurgerySettings, "warm_start", "random_seed")
    add_parameters(group, jobs.DecisionSettings, "keep_source_labels")


def _training_flags(group: argparse._ArgumentGroup) -> None:
    add_parameters(group, TrainingConfig, "epochs", "train_batch_size", "dev_batch_size")
    add_parameters(group, EvaluationConfig, "test_batch_size")
    add_parameters(group, TrainingConfig, "learning_rate", "dropout_rate")
    group.add_argument(
        "--augment",
        nargs="+",
        action="extend",
        default=[],
        metavar="SPEC",
        help="change the training set anew in each epoch, as in Coqui: NAME[p=P,PARAMETER=RANGE,…],"
        " such as tempo[p=0.5,factor=1~0.2]; none for no change; by default the corpus decides",
    )
    add_parameters(
        group,
        TrainingConfig,
        "clip_norm",
        "freeze_source_epochs",
        "mixed_precision",
        "max_non_finite_steps",
        "warmup_steps",
        "kept_layers_rate",
    )
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
    _unneeded_flag(group, "train_cudnn", "a GPU uses cuDNN by itself")


def train(args: argparse.Namespace) -> int:
    """Fine-tune or transfer as Coqui STT's flags say it, then test the model that came out."""
    show_log()
    _settle_directories(args)
    _check_gate_can_be_held(args)
    outputs = (args.test_output_file, args.report_file, args.html_report_file)
    jobs.check_evaluation(
        args.test_files,
        outputs=outputs,
        source_checkpoint_dir=args.source_checkpoint_dir,
        settings=vars(args),
    )
    given = ["feature_cache", "summary_dir", *parameters_of(TrainingConfig)]
    prepared = jobs.prepare_training(
        args.train_files,
        args.dev_files,
        test_files=args.test_files,
        alphabet=given_alphabet(args),
        scorer_uri=(args.scorer_path or "") if args.test_files else "",
        **values_of(args, _WHERE),
        **{**values_of(args, given), "augment": " ".join(args.augment) or AUTO},
    )
    show_tensorflow(args)
    result = prepared.run()
    if not result.is_chief:
        return 0
    report = result.to_markdown()
    tested = None
    if args.test_files:
        # The checkpoint just trained, never the one it came from: without a dev set no epoch is the
        # best, and a best one that lies in the folder is the source's.
        which = "auto" if args.dev_files else "last"
        tested = test(args, args.save_checkpoint_dir, which, None)
        report += f"\n{tested.to_markdown()}"
    jobs.write_report(args.report_file, report)
    if args.report_file:
        print(f"report: {args.report_file}")
    print(f"checkpoint: {args.save_checkpoint_dir}")
    if tested:
        print(f"verdict: {tested.verdict}")
        check_gate(tested.gate)
    return 0


_WHERE = (
    "load_checkpoint_dir",
    "save_checkpoint_dir",
    "load_train",
    "drop_source_layers",
    "warm_start",
    "keep_source_labels",
    "n_hidden",
    "layer_norm",
    "vocab_file",
)


def _settle_directories(args: argparse.Namespace) -> None:
    """Work out where to load from and save to."""
    if args.checkpoint_dir:
        args.load_checkpoint_dir = args.save_checkpoint_dir = args.checkpoint_dir
    if not args.save_checkpoint_dir:
        raise TrainingError(
            "expected --checkpoint_dir or --save_checkpoint_dir, found neither;"
            " say where the model goes"
        )
    for flag in ("train_cudnn", "load_cudnn"):
        if getattr(args, flag) is not None:
            log.info("--%s is no longer needed and changes nothing: see --help", flag)
    check_output(args.save_checkpoint_dir, is_folder=True)


def _check_gate_can_be_held(args: argparse.Namespace) -> None:
    if (args.max_wer or args.must_beat_source) and not args.test_files:
        raise GateError(
            "--max_wer and --must_beat_source are about the test set, but there is none; give"
            " --test_files"
        )
    source: Path | None = args.source_checkpoint_dir
    if source and source.resolve() == args.save_checkpoint_dir.resolve():
        raise GateError(
            f"{source}: --source_checkpoint_dir would hold the trained model by the time of the"
            " test; train into another folder, or give a copy"
        )
