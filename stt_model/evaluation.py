"""How well a checkpoint transcribes a corpus: loss, error rates, samples, a report."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jiwer
import tensorflow as tf
from tqdm import tqdm

from stt_model import network
from stt_model.alphabet import Alphabet
from stt_model.batches import (
    FeatureStore,
    batch_dataset,
    failures_of,
    plan_batches,
    read_samples,
)
from stt_model.checkpoint import open_checkpoint, read_weights
from stt_model.ctc import ctc_loss
from stt_model.decoding import decode
from stt_model.errors import DataError
from stt_model.files import atomic_write
from stt_model.markdown import cell

# Spaces at the ends count, as they do for Coqui.
AS_THEY_ARE = jiwer.Compose([jiwer.ReduceToListOfListOfChars()])


@dataclass(frozen=True)
class EvaluationConfig:
    """What to evaluate, on what, and how. Names and meanings are Coqui STT's.

    ``beam_width`` counts the prefixes that the search keeps; 0 takes the best label of each frame.
    """

    test_files: Sequence[Path]
    load_checkpoint_dir: Path
    test_batch_size: int = 16
    beam_width: int = 0
    test_output_file: Path | None = None
    report_count: int = 5
    load_evaluate: str = "auto"
    show_progressbar: bool = True
    alphabet: Alphabet | None = None

    def check(self) -> None:
        """Refuse numbers that cannot work, before anything is read."""
        if not self.test_files:
            raise DataError("--test_files: expected at least one CSV file, got none")
        if self.test_batch_size < 1:
            raise DataError(f"--test_batch_size: expected 1 or more, got {self.test_batch_size}")
        if self.beam_width < 0:
            raise DataError(f"--beam_width: expected 0 (greedy) or more, got {self.beam_width}")


@dataclass(frozen=True)
class EvaluatedSample:
    """One utterance under Coqui STT's names: ``src`` is what was said, ``res`` what was understood.

    ``loss`` is the CTC loss in nats; ``cer`` and ``wer`` are the distances over the lengths.
    """

    wav_filename: str
    src: str
    res: str
    loss: float
    char_distance: int
    char_length: int
    word_distance: int
    word_length: int
    cer: float
    wer: float


@dataclass(frozen=True)
class EvaluationResult:
    """The samples, best first, and what they add up to.

    ``wer`` and ``cer`` are total distances over total lengths, not cut off at 1.
    """

    checkpoint: str
    samples: list[EvaluatedSample] = field(default_factory=list)
    report_count: int = 5

    @property
    def wer(self) -> float:
        """Word error rate, 0 for none."""
        return _rate(self.samples, "word")

    @property
    def cer(self) -> float:
        """Character error rate, 0 for none."""
        return _rate(self.samples, "char")

    @property
    def loss(self) -> float:
        """Mean CTC loss, in nats, of the utterances whose loss is finite."""
        finite = [sample.loss for sample in self.samples if math.isfinite(sample.loss)]
        return sum(finite) / len(finite) if finite else math.inf

    @property
    def impossible(self) -> int:
        """Utterances whose loss is infinite: they have more labels than frames."""
        return sum(not math.isfinite(sample.loss) for sample in self.samples)

    def metrics(self) -> dict[str, float]:
        """Return the figures to show beside the run; those that are not finite are left out."""
        figures = {
            "wer": self.wer,
            "cer": self.cer,
            "loss": self.loss,
            "utterances": float(len(self.samples)),
        }
        return {name: figure for name, figure in figures.items() if math.isfinite(figure)}

    def to_markdown(self) -> str:
        """Return the report: the rates, then the best, median and worst utterances."""
        count = min(self.report_count, len(self.samples))
        middle = max((len(self.samples) - count) // 2, 0)
        parts = {
            "Best": self.samples[:count],
            "Median": self.samples[middle : middle + count],
            "Worst": self.samples[len(self.samples) - count :],
        }
        if len(self.samples) <= len(parts) * self.report_count:
            parts = {"All utterances, the best first": self.samples}
        lines = [
            "# Evaluation",
            "",
            f"Checkpoint {self.checkpoint}, {len(self.samples)} utterances.",
            "",
            "| WER | CER | loss (nats an utterance) |",
            "| ---: | ---: | ---: |",
            f"| {self.wer:.1%} | {self.cer:.1%} | {self.loss:.3f} |",
        ]
        if self.impossible:
            lines += [
                "",
                f"{self.impossible} of the utterances have more labels than frames: their loss is"
                " infinite and not in the mean.",
            ]
        for title, samples in parts.items():
            lines += ["", f"## {title}", "", "| WER | CER | loss | said | understood | file |"]
            lines += ["| ---: | ---: | ---: | --- | --- | --- |"]
            lines += [
                f"| {sample.wer:.0%} | {sample.cer:.0%} | {sample.loss:.2f} | {cell(sample.src)}"
                f" | {cell(sample.res)} | {cell(Path(sample.wav_filename).name)} |"
                for sample in samples
            ]
        return "\n".join(lines) + "\n"


def evaluate(config: EvaluationConfig) -> EvaluationResult:
    """Transcribe every utterance and compare it with what was said.

    Raises:
        BootstrapError: if the checkpoint, the manifests or the numbers cannot be used.
    """
    config.check()
    checkpoint = open_checkpoint(
        config.load_checkpoint_dir, which=config.load_evaluate, alphabet=config.alphabet
    )
    store = FeatureStore(read_samples(config.test_files, checkpoint.alphabet), limit=0)
    model = network.build(checkpoint.geometry)
    network.load_weights(model, checkpoint.geometry, read_weights(checkpoint))
    batches = plan_batches(store.samples, config.test_batch_size)
    samples = []
    hidden = None if config.show_progressbar else True
    progress = tqdm(total=len(store.samples), desc="evaluating", leave=False, disable=hidden)
    with failures_of(store), progress as bar:
        for batch, arrays in zip(batches, batch_dataset(store, batches), strict=True):
            logits, losses = _infer(model, arrays)
            texts = decode(logits, arrays["frames"], checkpoint.alphabet, config.beam_width)
            for row, text, loss in zip(batch.rows, texts, losses.numpy(), strict=True):
                samples.append(_compare(store.samples[row].utterance, text, float(loss)))
            bar.update(len(batch.rows))
    # As Coqui lists them: by word error rate, and the most confident mistakes last.
    samples.sort(key=lambda sample: (sample.wer, -sample.loss))
    result = EvaluationResult(checkpoint.prefix.name, samples, config.report_count)
    if config.test_output_file:
        write_samples(samples, config.test_output_file)
    return result


def write_samples(samples: Sequence[EvaluatedSample], path: Path) -> None:
    """Write the samples as a JSON list of objects with Coqui STT's keys; no infinity, but null."""
    with atomic_write(path) as beside:
        text = json.dumps(list(map(_json_object, samples)), ensure_ascii=False, indent=2)
        beside.write_text(text + "\n", encoding="utf-8")


def _json_object(sample: EvaluatedSample) -> dict[str, Any]:
    loss = sample.loss if math.isfinite(sample.loss) else None
    return {**asdict(sample), "loss": loss}


@tf.function(reduce_retracing=True)
def _infer(model: Any, arrays: Any) -> tuple[Any, Any]:
    logits = model(arrays["features"], training=False)
    losses = ctc_loss(logits, arrays["frames"], arrays["labels"], arrays["label_lengths"])
    return logits, losses


def _compare(utterance: Any, understood: str, loss: float) -> EvaluatedSample:
    said = utterance.transcript
    words = jiwer.process_words(said, understood)
    characters = jiwer.process_characters(said, understood, AS_THEY_ARE, AS_THEY_ARE)
    word_distance = words.substitutions + words.insertions + words.deletions
    char_distance = characters.substitutions + characters.insertions + characters.deletions
    word_length = words.hits + words.substitutions + words.deletions
    char_length = characters.hits + characters.substitutions + characters.deletions
    return EvaluatedSample(
        wav_filename=str(utterance.path),
        src=said,
        res=understood,
        loss=loss,
        char_distance=char_distance,
        char_length=char_length,
        word_distance=word_distance,
        word_length=word_length,
        cer=char_distance / char_length,
        wer=word_distance / word_length,
    )


def _rate(samples: Sequence[EvaluatedSample], unit: str) -> float:
    distance = sum(getattr(sample, f"{unit}_distance") for sample in samples)
    length = sum(getattr(sample, f"{unit}_length") for sample in samples)
    return distance / length if length else 0.0
