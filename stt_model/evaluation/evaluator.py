"""Evaluate how well a checkpoint transcribes a corpus, compared with its source checkpoint."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stt_model.base import Progress, usable_cpus
from stt_model.checkpoint import (
    Checkpoint,
    describe_run,
    digest_manifests,
    open_checkpoint,
)
from stt_model.corpus import SPEAKER_COLUMNS, Samples, iter_utterances, read_samples
from stt_model.decoding import Decoder, open_decoder
from stt_model.evaluation.alignment import align
from stt_model.evaluation.config import EvaluationConfig
from stt_model.evaluation.html_report import write_html_report
from stt_model.evaluation.learning_curve import read_forecast
from stt_model.evaluation.measured import Baseline, Gate, Provenance, Speed
from stt_model.evaluation.precision import FLOAT32, Inference
from stt_model.evaluation.result import EvaluationResult, judge
from stt_model.evaluation.samples import EvaluatedSample, compare, distance, write_samples
from stt_model.evaluation.significance import compare_rates, measure_rate
from stt_model.evaluation.suspects import find_suspects, write_suspects
from stt_model.features import FeatureStore, batch_dataset, failures_of, plan_batches
from stt_model.network import ctc_loss
from stt_model.text import Alphabet, describe_characters


def evaluate(config: EvaluationConfig) -> EvaluationResult:
    """Transcribe every utterance and compare it with its transcript.

    The source checkpoint, if given, is evaluated too, even if its alphabet lacks characters of the
    transcripts; and so is greedy decoding, if there is a beam search.

    Raises:
        BootstrapError: if the checkpoints, the scorer, the manifests or the numbers cannot be used.
    """
    config.check()
    checkpoint = open_checkpoint(
        config.load_checkpoint_dir, which=config.load_evaluate, alphabet=config.alphabet
    )
    source = open_checkpoint(config.source_checkpoint_dir) if config.source_checkpoint_dir else None
    decoders = [_open_decoder(config, checkpoint.alphabet, config.scorer_path)]
    if not config.is_greedy:
        decoders.append(open_decoder(checkpoint.alphabet, beam_width=1))
    corpus = read_samples(config.test_files, checkpoint.alphabet, checkpoint.audio)
    corpus = _limited(corpus, config)

    heard = _transcribe(config, checkpoint, corpus, decoders, with_losses=True)
    samples = [
        compare(each.utterance, text, float(loss), each.seconds)
        for each, text, loss in zip(corpus, heard.texts[0], heard.losses, strict=True)
    ]
    rated_by = "cer" if checkpoint.alphabet.is_bytes else "wer"
    greedy = _baseline("Greedy decoding", "", samples, heard, 1) if len(decoders) > 1 else None
    own_decoder = decoders[0] if source and source.alphabet == checkpoint.alphabet else None
    if source and source.audio != checkpoint.audio:
        of_source = read_samples(config.test_files, checkpoint.alphabet, source.audio)
    else:
        of_source = corpus
    rated_source = _rate_source(config, source, of_source, samples, own_decoder) if source else None
    audio_seconds = sum(each.seconds for each in corpus)
    result = EvaluationResult(
        checkpoint=checkpoint.prefix.name,
        # In Coqui's order: by error rate, and the most confident mistakes last.
        samples=sorted(samples, key=lambda each: (getattr(each, rated_by), -each.loss)),
        report_count=config.report_count,
        note=config.note,
        source=rated_source,
        greedy=greedy,
        speed=Speed(audio_seconds, heard.seconds, heard.decoding_seconds[0], _device(heard)),
        provenance=_provenance(config, checkpoint, source),
        dataset=config.dataset,
        language=config.language,
        with_scorer=bool(config.scorer_path),
        training_speakers=_speakers(config.train_files),
        forecast=read_forecast(config.load_checkpoint_dir),
    )
    result = replace(result, gate=_judge(config, result))
    if config.test_output_file:
        write_samples(result.samples, config.test_output_file)
    if config.suspects_file:
        result = replace(result, suspects=find_suspects(result.samples))
        write_suspects(result.suspects, config.suspects_file)
    if config.html_report:
        write_html_report(result, config.html_report)
    return result


def _limited(corpus: Samples, config: EvaluationConfig) -> Samples:
    """Return the shortest or longest utterances of each test file, up to the limit."""
    if not config.limit_test:
        return corpus
    order = np.argsort(corpus.seconds, kind="stable")
    taken: Counter[Path] = Counter()
    rows = []
    for row in map(int, order[::-1] if config.reverse_test else order):
        source = corpus.utterance(row).source
        if taken[source] < config.limit_test:
            taken[source] += 1
            rows.append(row)
    return corpus.select(np.array(sorted(rows)))


def _open_decoder(config: EvaluationConfig, alphabet: Alphabet, scorer: Path | None) -> Decoder:
    return open_decoder(
        alphabet,
        beam_width=config.beam_width,
        scorer_path=scorer,
        vocab_file=config.vocab_file if scorer else None,
        lm_alpha=config.lm_alpha,
        lm_beta=config.lm_beta,
        cutoff_prob=config.cutoff_prob,
        cutoff_top_n=config.cutoff_top_n,
    )


@dataclass
class _Heard:
    """A network's outputs for a corpus, in the corpus's order."""

    texts: list[list[str]]
    """One list per decoder."""
    losses: NDArray[np.float32]
    """Nats, [utterances]; 0 if they were not asked for."""
    decoding_seconds: list[float]
    """One number per decoder."""
    seconds: float = 0.0
    precision: str = FLOAT32
    """Of the network."""

    def decode(
        self,
        decoders: Sequence[Decoder],
        rows: Sequence[int],
        logits: NDArray[np.float32],
        frames: NDArray[np.int32],
    ) -> None:
        for place, decoder in enumerate(decoders):
            started = time.perf_counter()
            for row, text in zip(rows, decoder.decode(logits, frames), strict=True):
                self.texts[place][row] = text
            self.decoding_seconds[place] += time.perf_counter() - started


def _transcribe(
    config: EvaluationConfig,
    checkpoint: Checkpoint,
    corpus: Samples,
    decoders: Sequence[Decoder],
    *,
    with_losses: bool = False,
) -> _Heard:
    infer = Inference(checkpoint, config.mixed_precision, config.test_batch_size)
    store = FeatureStore(corpus, limit=0)
    # The longest first, so that a lack of memory shows at once.
    batches = plan_batches(corpus, config.test_batch_size)[::-1]
    heard = _Heard([[""] * len(corpus) for _ in decoders], np.zeros(len(corpus), np.float32), [])
    heard.decoding_seconds = [0.0] * len(decoders)
    description = "evaluating" if with_losses else "evaluating the source"
    progress = Progress(description, len(corpus), shown=config.show_progressbar)
    started = time.perf_counter()
    # The network computes the next batch while this one is decoded.
    with failures_of(store), progress, ThreadPoolExecutor(max_workers=1) as decoding:
        decoded: Future[None] | None = None
        for batch, arrays in zip(batches, batch_dataset(store, batches), strict=True):
            rows, frames = list(batch.rows), arrays["frames"].numpy()
            logits = infer(arrays["features"], frames)
            if with_losses:
                losses = _losses(
                    logits, arrays["frames"], arrays["labels"], arrays["label_lengths"]
                )
                heard.losses[rows] = losses.numpy()
            if decoded:
                decoded.result()
            decoded = decoding.submit(heard.decode, decoders, rows, logits.numpy(), frames)
            progress.update(len(rows), float(corpus.seconds[rows].sum()))
        if decoded:
            decoded.result()
    heard.seconds = time.perf_counter() - started
    heard.precision = infer.precision
    return heard


_losses = tf.function(ctc_loss, reduce_retracing=True)


def _rate_source(
    config: EvaluationConfig,
    source: Checkpoint,
    corpus: Samples,
    samples: Sequence[EvaluatedSample],
    decoder: Decoder | None,
) -> Baseline:
    """Evaluate the source checkpoint on the corpus, whatever its alphabet.

    ``decoder`` is the model's, None if the alphabets differ.
    """
    notes = []
    characters = Counter(character for each in samples for character in each.src)
    lacking = sorted(source.alphabet.missing("".join(characters)))
    if lacking:
        share = sum(characters[each] for each in lacking) / characters.total()
        notes.append(
            f"The source checkpoint cannot write {describe_characters(lacking)}: {share:.0%} of the"
            " characters of these transcripts, all of which count as errors."
        )
    if config.scorer_path and not decoder:
        notes.append("The scorer is not for the source checkpoint's alphabet: decoded without it.")
    decoder = decoder or _open_decoder(config, source.alphabet, None)
    heard = _transcribe(config, source, corpus, [decoder])
    return _baseline("Source checkpoint", " ".join(notes), samples, heard, 0)


def _baseline(
    name: str, note: str, samples: Sequence[EvaluatedSample], heard: _Heard, place: int
) -> Baseline:
    """Return the comparison of one list of decoded texts with the model's samples."""
    pairs = [(each.src, text) for each, text in zip(samples, heard.texts[place], strict=True)]
    words = [distance(align(*each, "word")) for each in pairs]
    characters = [distance(align(*each, "character")) for each in pairs]
    word_lengths = [each.word_length for each in samples]
    char_lengths = [each.char_length for each in samples]
    own_words = [each.word_distance for each in samples]
    own_characters = [each.char_distance for each in samples]
    return Baseline(
        name,
        note,
        wer=measure_rate(words, word_lengths),
        cer=measure_rate(characters, char_lengths),
        wer_difference=compare_rates(own_words, words, word_lengths),
        cer_difference=compare_rates(own_characters, characters, char_lengths),
        decoding_seconds=heard.decoding_seconds[place],
    )


def _speakers(manifests: Sequence[Path]) -> dict[str, set[str]]:
    """Return the speakers of some manifests, by column."""
    found: dict[str, set[str]] = {}
    for path in manifests:
        for row in iter_utterances(path):
            for column in SPEAKER_COLUMNS:
                if speaker := row.extra.get(column):
                    found.setdefault(column, set()).add(speaker)
    return found


def _judge(config: EvaluationConfig, result: EvaluationResult) -> Gate:
    source_wer = result.source.wer.value if result.source else None
    return judge(
        result.wer, source_wer, config.max_wer, config.must_beat_source, config.release_any
    )


def _provenance(
    config: EvaluationConfig, checkpoint: Checkpoint, source: Checkpoint | None
) -> Provenance:
    return Provenance(
        checkpoint={**checkpoint.describe(), "digest": checkpoint.digest()},
        source={**source.describe(), "digest": source.digest()} if source else None,
        manifests={str(path): digest_manifests([path]) for path in config.test_files},
        decoding=config.describe_decoding(),
        command=config.command(),
        run=describe_run(),
    )


def _device(heard: _Heard) -> str:
    gpus = tf.config.list_logical_devices("GPU")
    where = "on a GPU" if gpus else f"on a CPU, {usable_cpus()} cores"
    return where if heard.precision == FLOAT32 else f"{where}, in {heard.precision}"
