"""Jobs on a scorer: build one, and tune its weights for the fewest errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_model.base import ScorerError, check_output, configure
from stt_model.checkpoint import open_checkpoint
from stt_model.corpus import iter_manifest
from stt_model.decoding import (
    BuildConfig,
    TuningConfig,
    check_scorer,
    copy_with_weights,
    read_scorer,
    read_words,
    write_package,
)
from stt_model.decoding import build_scorer as run_build
from stt_model.jobs import startup
from stt_model.jobs.starting_point import check_n_hidden
from stt_model.text import Alphabet

if TYPE_CHECKING:
    from stt_model.decoding import TuningResult


def build_scorer(
    package: str | Path,
    alphabet: Alphabet,
    *,
    input_txt: str | Path | None = None,
    lm: str | Path | None = None,
    vocab: str | Path | None = None,
    kenlm_bins: str | Path | None = None,
    **settings: Any,
) -> int:
    """Make a scorer from text, or from a language model and its words; return the word count.

    Args:
        package: the ``.scorer`` to write.
        alphabet: of the model that it is for.
        input_txt: sentences, one per line; plain or compressed with gzip. Needs KenLM's programs.
        lm: language model in KenLM's binary form.
        vocab: its words, separated by white space.
        kenlm_bins: folder with KenLM's programs, if they are not on the PATH.
        settings: further fields of ``BuildConfig``, such as ``top_k``.
    """
    target = Path(package)
    check_output(target)
    if bool(input_txt) == bool(lm and vocab) or bool(lm) != bool(vocab):
        raise ScorerError("expected either --input_txt, or --lm and --vocab; give one of the two")
    config = configure(
        BuildConfig,
        input_txt=input_txt or Path(),
        package=target,
        alphabet=alphabet,
        kenlm_bins=kenlm_bins,
        **settings,
    )
    if lm and vocab:
        return write_package(
            target,
            Path(lm),
            read_words(Path(vocab)),
            alphabet,
            lm_alpha=config.default_alpha,
            lm_beta=config.default_beta,
        )
    return run_build(config)


def tune_scorer(
    test_files: Sequence[str | Path],
    checkpoint: str | Path,
    scorer_path: str | Path,
    *,
    package: str | Path | None = None,
    load_evaluate: str = "auto",
    alphabet: Alphabet | None = None,
    n_hidden: int | None = None,
    vocab_file: str | Path | None = None,
    **settings: Any,
) -> TuningResult:
    """Search for the weights of a scorer with the fewest errors.

    Args:
        test_files: manifests of a dev set to minimise the errors on.
        checkpoint: folder in Coqui's layout.
        scorer_path: the scorer.
        package: where to write a copy of the scorer with the tuned weights.
        load_evaluate: best, last, or auto: best, else last.
        alphabet: the checkpoint's, if it is stored elsewhere.
        n_hidden: width that the checkpoint must have.
        vocab_file: words that the scorer may write, if its file has none or others.
        settings: further fields of ``TuningConfig``, such as ``n_trials``.
    """
    tests = [Path(path) for path in test_files]
    for path in tests:
        next(iter_manifest(path), None)
    check_output(package)
    opened = open_checkpoint(checkpoint, which=load_evaluate, alphabet=alphabet)
    check_n_hidden(n_hidden, opened)
    scorer, words = Path(scorer_path), Path(vocab_file) if vocab_file else None
    check_scorer(read_scorer(scorer, opened.alphabet, words))
    config = configure(
        TuningConfig,
        test_files=tests,
        load_checkpoint_dir=Path(checkpoint),
        load_evaluate=load_evaluate,
        alphabet=alphabet,
        scorer_path=scorer,
        vocab_file=words,
        **settings,
    )
    config.check()
    startup.start_tensorflow()
    from stt_model.decoding import tune

    result = tune(config)
    if package:
        copy_with_weights(scorer, Path(package), result.lm_alpha, result.lm_beta)
    return result
