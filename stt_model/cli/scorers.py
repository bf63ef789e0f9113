"""The commands on a scorer: build_scorer, lm_optimize."""

from __future__ import annotations

import argparse

from stt_model import jobs
from stt_model.base import ScorerError
from stt_model.cli.coqui_flags import add_coqui_flags
from stt_model.cli.evaluation import vocab_flag
from stt_model.cli.flags import (
    add_alphabet,
    add_checkpoint,
    add_files,
    add_parameters,
    add_path,
    add_switch,
    check_audio_flags,
    given_alphabet,
    show_log,
    show_tensorflow,
    values_of,
)
from stt_model.decoding import BuildConfig, TuningConfig

_FROM_TEXT = (
    "top_k",
    "arpa_order",
    "max_arpa_memory",
    "arpa_prune",
    "binary_a_bits",
    "binary_q_bits",
    "binary_type",
    "discount_fallback",
)
_WEIGHTS = ("default_alpha", "default_beta")
_SEARCH = ("lm_alpha_max", "lm_beta_max", "n_trials", "random_seed")
_DECODING = ("beam_width", "cutoff_prob", "cutoff_top_n", "test_batch_size")


def build_scorer_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``build_scorer``."""
    add_path(parser, "--package", "FILE", "the .scorer to write", required=True)
    add_path(parser, "--checkpoint", "DIR", "checkpoint whose alphabet the scorer is for")
    add_alphabet(parser, "that alphabet, if there is no checkpoint")
    text = parser.add_argument_group("from text, with KenLM's programs")
    add_path(text, "--input_txt", "FILE", "sentences, one per line; plain or .gz")
    add_path(
        text,
        "--kenlm_bins",
        "DIR",
        "folder with lmplz, filter and build_binary, if they are not on the PATH",
    )
    add_parameters(text, BuildConfig, *_FROM_TEXT)
    ready = parser.add_argument_group("from a language model")
    add_path(ready, "--lm", "FILE", "language model in KenLM's binary form")
    add_path(ready, "--vocab", "FILE", "its words, separated by white space")
    add_parameters(parser.add_argument_group("default weights"), BuildConfig, *_WEIGHTS)


def build_scorer(args: argparse.Namespace) -> int:
    """Make a scorer package."""
    from stt_model.checkpoint import open_checkpoint

    given = given_alphabet(args)
    if given is None and args.checkpoint is None:
        raise ScorerError(
            "expected --checkpoint, --alphabet_config_path or --bytes_output_mode, found none;"
            " say which model the scorer is for"
        )
    count = jobs.build_scorer(
        args.package,
        given or open_checkpoint(args.checkpoint).alphabet,
        **values_of(args, ("input_txt", "lm", "vocab", "kenlm_bins", *_FROM_TEXT, *_WEIGHTS)),
    )
    print(f"{count} words: {args.package}")
    return 0


def generate_scorer_package_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of Coqui's ``generate_scorer_package``."""
    add_path(parser, "--checkpoint", "DIR", "checkpoint, or folder with alphabet.txt alone")
    add_path(parser, "--lm", "FILE", "language model in KenLM's binary form", required=True)
    add_path(parser, "--vocab", "FILE", "its words, separated by white space", required=True)
    add_path(parser, "--package", "FILE", "the .scorer to write", required=True)
    add_parameters(parser, BuildConfig, *_WEIGHTS)
    add_switch(
        parser, "--force_bytes_output_mode", False, "the scorer is for a model that writes bytes"
    )


def generate_scorer_package(args: argparse.Namespace) -> int:
    """Make a scorer package from a language model and its words, as Coqui's program does."""
    from stt_model.text import BytesAlphabet, read_alphabet

    if not args.force_bytes_output_mode and args.checkpoint is None:
        raise ScorerError(
            "expected --checkpoint or --force_bytes_output_mode, found neither; say which model"
            " the scorer is for"
        )
    alphabet = (
        BytesAlphabet()
        if args.force_bytes_output_mode
        else read_alphabet(args.checkpoint / "alphabet.txt")
    )
    count = jobs.build_scorer(args.package, alphabet, **values_of(args, ("lm", "vocab", *_WEIGHTS)))
    print(f"{count} words: {args.package}")
    return 0


def lm_optimize_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``lm_optimize``."""
    add_files(
        parser, "--test_files", "manifests of a dev set to minimise the errors on", required=True
    )
    add_checkpoint(parser, "checkpoint to decode with")
    add_path(parser, "--scorer_path", "FILE", "language model to tune", required=True)
    add_parameters(parser.add_argument_group("search"), TuningConfig, *_SEARCH)
    decoding = parser.add_argument_group("decoding")
    vocab_flag(decoding)
    add_parameters(decoding, TuningConfig, *_DECODING)
    output = parser.add_argument_group("output")
    add_path(
        output,
        "--package",
        "FILE",
        "write the scorer here with the tuned weights as its defaults",
    )
    add_parameters(output, TuningConfig, "show_progressbar")
    add_coqui_flags(parser)


def lm_optimize(args: argparse.Namespace) -> int:
    """Search for a scorer's best weights."""
    show_log()
    check_audio_flags(args, args.checkpoint_dir, args.load_evaluate, given_alphabet(args))
    show_tensorflow(args)
    result = jobs.tune_scorer(
        args.test_files,
        args.checkpoint_dir,
        args.scorer_path,
        alphabet=given_alphabet(args),
        **values_of(args, ("package", "load_evaluate", "n_hidden", "vocab_file")),
        **values_of(args, (*_SEARCH, *_DECODING, "show_progressbar")),
    )
    print(
        f"--lm_alpha {result.lm_alpha} --lm_beta {result.lm_beta}: {result.measure.upper()}"
        f" {result.rate:.4f}, with the scorer's own weights {result.rate_before:.4f}"
    )
    if args.package:
        print(f"scorer: {args.package}")
    return 0
