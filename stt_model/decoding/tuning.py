"""Tune the weights of a scorer, alpha and beta, for the fewest errors on a dev set."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import optuna
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from stt_model import network
from stt_model.base import Progress
from stt_model.checkpoint import Checkpoint, open_checkpoint, read_weights
from stt_model.corpus import Samples, read_samples
from stt_model.decoding.beam_search import SearchSettings
from stt_model.decoding.decoders import ScorerDecoder
from stt_model.decoding.scorer import Scorer, read_scorer
from stt_model.decoding.search_defaults import DEFAULT_BEAM_WIDTH
from stt_model.decoding.tuning_config import TuningConfig
from stt_model.features import FeatureStore, batch_dataset, failures_of, plan_batches


@dataclass(frozen=True)
class TuningResult:
    """The best weights, their error rate, and the error rate with the scorer's own weights.

    ``measure`` is ``wer``, or ``cer`` for a scorer of bytes output mode.
    """

    lm_alpha: float
    lm_beta: float
    measure: str
    rate: float
    rate_before: float


def tune(config: TuningConfig) -> TuningResult:
    """Search for the best alpha and beta; the scorer's own are tried first.

    The network runs once; every trial decodes its logits, which are kept on disk.

    Raises:
        BootstrapError: if the checkpoint, the scorer, the manifests or the numbers cannot be used.
    """
    config.check()
    checkpoint = open_checkpoint(
        config.load_checkpoint_dir, which=config.load_evaluate, alphabet=config.alphabet
    )
    settings = SearchSettings(
        config.beam_width or DEFAULT_BEAM_WIDTH, config.cutoff_prob, config.cutoff_top_n
    )
    settings.check()
    scorer = read_scorer(config.scorer_path, checkpoint.alphabet, config.vocab_file)
    decoder = ScorerDecoder(scorer, checkpoint.alphabet.classes, settings)
    measure = "cer" if scorer.is_bytes else "wer"
    samples = read_samples(config.test_files, checkpoint.alphabet, checkpoint.audio)
    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
        inferred = _infer(config, checkpoint, samples, Path(folder))

        def rate(trial: optuna.Trial) -> float:
            decoder.weigh(
                trial.suggest_float("lm_alpha", 0, config.lm_alpha_max),
                trial.suggest_float("lm_beta", 0, config.lm_beta_max),
            )
            return _rate(decoder, inferred, measure)

        # Unchanged, even if they are outside of the searched range.
        before = _rate(decoder, inferred, measure)
        study = _search(config, scorer, rate)
    if before < study.best_value:
        return TuningResult(scorer.lm_alpha, scorer.lm_beta, measure, before, before)
    best = study.best_params
    return TuningResult(best["lm_alpha"], best["lm_beta"], measure, study.best_value, before)


@dataclass(frozen=True)
class _Inferred:
    """The logits of a batch, and its references."""

    references: list[str]
    logits: Path
    """float32 [batch, frames, classes]"""
    frames: NDArray[np.int32]


def _infer(
    config: TuningConfig, checkpoint: Checkpoint, samples: Samples, folder: Path
) -> list[_Inferred]:
    model = network.build(checkpoint.geometry)
    network.load_weights(model, checkpoint.geometry, read_weights(checkpoint))
    infer = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    store = FeatureStore(samples, limit=0)
    batches = plan_batches(samples, config.test_batch_size)
    progress = Progress("inferring", len(samples), shown=config.show_progressbar)
    inferred: list[_Inferred] = []
    with failures_of(store), progress:
        for batch, arrays in zip(batches, batch_dataset(store, batches), strict=True):
            path = folder / f"{len(inferred)}.npy"
            np.save(path, infer(arrays["features"]).numpy())
            references = [samples.utterance(row).transcript for row in batch.rows]
            inferred.append(_Inferred(references, path, arrays["frames"].numpy()))
            progress.update(len(references), float(samples.seconds[list(batch.rows)].sum()))
    return inferred


def _rate(decoder: ScorerDecoder, inferred: Sequence[_Inferred], measure: str) -> float:
    references = [text for each in inferred for text in each.references]
    hypotheses = [
        text for each in inferred for text in decoder.decode(np.load(each.logits), each.frames)
    ]
    return float(
        jiwer.wer(references, hypotheses) if measure == "wer" else jiwer.cer(references, hypotheses)
    )


def _search(
    config: TuningConfig, scorer: Scorer, rate: Callable[[optuna.Trial], float]
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.random_seed))
    study.enqueue_trial(
        {
            "lm_alpha": min(scorer.lm_alpha, config.lm_alpha_max),
            "lm_beta": min(scorer.lm_beta, config.lm_beta_max),
        }
    )
    with tqdm(total=config.n_trials, desc="trials", leave=False, disable=None) as bar:

        def show(study: optuna.Study, _: object) -> None:
            bar.set_postfix_str(f"best {study.best_value:.4f}", refresh=False)
            bar.update()

        study.optimize(rate, n_trials=config.n_trials, callbacks=[show])
    return study
