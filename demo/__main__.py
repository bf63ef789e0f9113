"""A real English checkpoint becomes a model for two other languages, on this machine.

Swahili is written with letters that the checkpoint has, so it is fine-tuned; Macedonian is not, so
its output layer is replaced. Both go through the compiled pipeline. Nobody says how
to train: the corpus decides. Beside each, a network of the same size learns the same clips from
scratch, by the same rule.
"""

from __future__ import annotations

import argparse
import functools
import logging
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stt_bootstrap.demo.corpora import MACEDONIAN_DEMO, SOURCE_CHECKPOINT, SWAHILI_DEMO
from stt_bootstrap.demo.synthesis import CorpusSpec, write_corpus
from stt_bootstrap.pipelines.local import RunOutcome, run
from stt_model import cli
from stt_model.base import AUTO, BootstrapError, configure
from stt_model.network import import_tensorflow_quietly

LANGUAGES = {"Swahili": SWAHILI_DEMO, "Macedonian": MACEDONIAN_DEMO}


class DemoError(BootstrapError):
    """A part of the demo that failed."""


@dataclass(frozen=True)
class Rates:
    """Word and character error rate; 0 for no error."""

    wer: float
    cer: float


@dataclass(frozen=True)
class Comparison:
    """The results of three ways to a model for one language, on the same test clips."""

    language: str
    source: Rates
    scratch: Rates
    outcome: RunOutcome

    @property
    def bootstrapped(self) -> Rates:
        """The rates of the pipeline's model."""
        if self.outcome.wer is None or self.outcome.cer is None:
            raise DemoError(f"{self.language}: {'; '.join(self.outcome.errors)}")
        return Rates(self.outcome.wer, self.outcome.cer)


def main() -> int:
    """Run the demo; return 0 if both models were made."""
    summary, _, story = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m stt_bootstrap.demo", description=summary, epilog=story
    )
    parser.add_argument(
        "--output", type=Path, default=Path("demo-output"), help="folder for everything it makes"
    )
    parser.add_argument(
        "--epochs", type=int, help="passes over the training clips, instead of as many as help"
    )
    args = parser.parse_args()
    return cli.guard(lambda: _demo(args.output.resolve(), args.epochs), debug=False)


def _demo(output: Path, epochs: int | None) -> int:
    started = time.monotonic()
    print(
        "Four networks are trained, two for each language: about a quarter of an hour on two"
        " processors with nothing else to do, and longer beside other work.\n"
    )
    with _timed("loading TensorFlow"):
        import_tensorflow_quietly()
    comparisons = [
        compare(language, spec, output / language.lower(), epochs)
        for language, spec in LANGUAGES.items()
    ]
    print_table(comparisons)
    print(f"\nAll of it took {time.monotonic() - started:.0f} s.")
    return 0


def compare(language: str, spec: CorpusSpec, folder: Path, epochs: int | None) -> Comparison:
    """Speak a corpus; rate the checkpoint as it is, a network from scratch, and the pipeline's."""
    print(f"\n{language}: {spec.train} clips to train on, {spec.dev} dev, {spec.test} test")
    shutil.rmtree(folder, ignore_errors=True)
    corpus = folder / "corpus"
    with _timed("speech synthesis"):
        write_corpus(spec, corpus)
    with _timed("the English checkpoint as it is"):
        source = rate_source(corpus)
    with _timed("a new network, from scratch"), training_told():
        scratch = train_from_scratch(corpus, folder / "scratch", epochs)
    with _timed("the pipeline"):
        outcome = run(
            {
                "dataset_uri": str(corpus),
                "checkpoint_uri": str(SOURCE_CHECKPOINT),
                "epochs": epochs or AUTO,
            },
            output_dir=folder / "bootstrapped",
            # The stdout of now: during a run kfp's messages are caught there.
            say=functools.partial(print, "   ", file=sys.stdout, flush=True),
        )
    if not outcome.succeeded:
        raise DemoError(f"{language}: {'; '.join(outcome.errors)}")
    return Comparison(language, source, scratch, outcome)


def rate_source(corpus: Path) -> Rates:
    """Transcribe the test clips with the source checkpoint, whatever its alphabet."""
    import jiwer

    from stt_model.corpus import read_manifest
    from stt_model.jobs import transcribe

    said = read_manifest(corpus / "test.csv")
    understood = list(transcribe(SOURCE_CHECKPOINT, [utterance.path for utterance in said]))
    references = [utterance.transcript for utterance in said]
    return Rates(jiwer.wer(references, understood), jiwer.cer(references, understood))


def train_from_scratch(corpus: Path, folder: Path, epochs: int | None) -> Rates:
    """Train a network of the source's size without the source's weights; rate its best epoch."""
    from stt_model.checkpoint import Geometry, open_checkpoint, start_from_scratch
    from stt_model.corpus import read_manifest
    from stt_model.evaluation import EvaluationConfig, evaluate
    from stt_model.text import build_alphabet
    from stt_model.training import TrainingConfig, train

    manifests = {split: corpus / f"{split}.csv" for split in ("train", "dev", "test")}
    alphabet = build_alphabet(
        utterance.transcript for path in manifests.values() for utterance in read_manifest(path)
    )
    n_hidden = open_checkpoint(SOURCE_CHECKPOINT).geometry.n_hidden
    geometry = Geometry(n_hidden, alphabet.classes)
    start_from_scratch(folder / "initial", alphabet, geometry, seed=TrainingConfig.random_seed)
    train(
        configure(
            TrainingConfig,
            train_files=[manifests["train"]],
            dev_files=[manifests["dev"]],
            load_checkpoint_dir=folder / "initial",
            save_checkpoint_dir=folder / "model",
            epochs=epochs,
        )
    )
    result = evaluate(EvaluationConfig([manifests["test"]], folder / "model"))
    return Rates(result.wer, result.cer)


def print_table(comparisons: list[Comparison]) -> None:
    """Print the rates side by side, and where the models and reports are."""
    heading = ("", "mode", "English checkpoint", "from scratch", "bootstrapped")
    row = "{:<12}{:<12}{:>20}{:>20}{:>20}"
    print("\nWER / CER on test clips, half of them by voices that training never heard\n")
    print(row.format(*heading))
    for each in comparisons:
        rates = (
            f"{r.wer:.1%} / {r.cer:.1%}" for r in (each.source, each.scratch, each.bootstrapped)
        )
        print(row.format(each.language, each.outcome.mode, *rates))
    for each in comparisons:
        print(f"\n{each.language}\n  model    {each.outcome.model}")
        print(f"  export   {each.outcome.export}\n  page     {each.outcome.page}")
        for name, path in each.outcome.reports.items():
            print(f"  report   {path} ({name})")


class _Lines(logging.Handler):
    """Prints what is logged, a line in so many seconds: epochs here are shorter than reading is."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line if the last one is old enough, and a warning in any case."""
        now = time.monotonic()
        if now >= self._next or record.levelno >= logging.WARNING:
            self._next = now + self._seconds
            print(f"    {record.getMessage()}", flush=True)


@contextmanager
def training_told(seconds: float = 5.0) -> Iterator[None]:
    """Print how far training has come while the block lasts."""
    logger, lines = logging.getLogger("stt_model.training"), _Lines(seconds)
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(lines)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    print(f"  {what} …", flush=True)
    started = time.monotonic()
    yield
    print(f"  {what}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
