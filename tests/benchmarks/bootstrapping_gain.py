"""What bootstrapping gains: character error rates beside training from scratch, at equal steps.

Two languages that the source checkpoint never heard are spoken, in three amounts. From each, the
same number of steps trains a network from scratch and the checkpoint with its last 1 to 5 layers
replaced: with and without the output rows of shared characters kept (which is possible only where
just the output layer is replaced), and with and without the kept layers frozen for the first third
of the epochs. Every model is measured on the same test clips.

What was measured is kept in FOLDER/results.jsonl: started again, the rest is measured, and
``--report`` prints the tables of what there is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import os
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stt_bootstrap.demo.corpora import MACEDONIAN_DEMO, SOURCE_CHECKPOINT, SWAHILI_DEMO
from stt_bootstrap.demo.synthesis import CorpusSpec, write_corpus

LANGUAGES = {"Swahili": SWAHILI_DEMO, "Macedonian": MACEDONIAN_DEMO}
SIZES = (80, 240, 640)
"""Clips to train on."""
DEV_CLIPS, TEST_CLIPS = 40, 80
STEPS, BATCH_SIZE = 240, 8
LEARNING_RATE, DROPOUT_RATE = 0.001, 0.1
SEEDS = (1, 2, 3)
RUNS_A_PROCESS = 12
"""TensorFlow keeps graphs of models that are gone, so processes are renewed."""


@dataclass(frozen=True)
class Way:
    """How the network that training starts from is made; 0 dropped layers is from scratch."""

    drop_source_layers: int
    warm_start: bool = False
    freeze: bool = False

    def __str__(self) -> str:
        if not self.drop_source_layers:
            return "from scratch"
        parts = [f"{self.drop_source_layers} dropped"]
        parts += ["warm start"] * self.warm_start + ["frozen at first"] * self.freeze
        return ", ".join(parts)


WAYS = (
    Way(0),
    *(Way(1, warm, freeze) for warm in (False, True) for freeze in (False, True)),
    *(Way(drop, freeze=freeze) for drop in range(2, 6) for freeze in (False, True)),
)


@dataclass(frozen=True)
class Run:
    """One training and what it is measured on."""

    language: str
    clips: int
    seed: int
    way: Way

    @property
    def epochs(self) -> int:
        """Passes that come to ``STEPS`` steps."""
        return STEPS * BATCH_SIZE // self.clips

    @property
    def key(self) -> str:
        """Tells the run apart from all others."""
        return json.dumps(asdict(self), sort_keys=True)


def main() -> None:
    """Measure what is not measured yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, prog="bootstrapping_gain")
    parser.add_argument("folder", type=Path, help="for the corpora and the results")
    parser.add_argument("--report", action="store_true", help="print what there is, and no more")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    results = arguments.folder / "results.jsonl"
    if not arguments.report:
        speak(arguments.folder)
        measure(arguments.folder, results, arguments.seeds, arguments.processes)
    print(report(results))


def speak(folder: Path) -> None:
    """Write the corpora that are not there yet; the smaller ones are parts of the largest."""
    for language, spec in LANGUAGES.items():
        target = folder / language
        if not target.exists():
            write_corpus(_sized(spec), target)
        for clips in SIZES:
            lines = (target / "train.csv").read_text(encoding="utf-8").splitlines(keepends=True)
            part = target / f"train-{clips}.csv"
            part.write_text("".join(lines[: clips + 1]), encoding="utf-8")


def _sized(spec: CorpusSpec) -> CorpusSpec:
    return replace(spec, train=max(SIZES), dev=DEV_CLIPS, test=TEST_CLIPS)


def measure(folder: Path, results: Path, seeds: Iterable[int], processes: int) -> None:
    """Make the runs that have no result yet, all of a seed before the next one."""
    done = {line["key"] for line in _read(results)}
    runs = [
        Run(language, clips, seed, way)
        for seed in seeds
        for clips in SIZES
        for language in LANGUAGES
        for way in WAYS
    ]
    missing = [(folder, run) for run in runs if run.key not in done]
    # One thread each: the network is small, and sums do not depend on how work is cut.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(processes, maxtasksperchild=RUNS_A_PROCESS) as pool,
        results.open("a", encoding="utf-8") as file,
    ):
        for number, result in enumerate(pool.imap_unordered(_measure_one, missing), 1):
            print(json.dumps(result), file=file, flush=True)
            print(f"{number}/{len(missing)} {result['key']} CER {result['cer']:.1%}", flush=True)


def _measure_one(job: tuple[Path, Run]) -> dict[str, object]:
    folder, run = job
    scratch = folder / f"run-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    started = time.monotonic()
    try:
        wer, cer = _train_and_evaluate(folder / run.language, scratch, run)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    seconds = time.monotonic() - started
    return {"key": run.key, **asdict(run), "wer": wer, "cer": cer, "seconds": round(seconds, 1)}


def _train_and_evaluate(corpus: Path, scratch: Path, run: Run) -> tuple[float, float]:
    from stt_model.checkpoint.directory import open_checkpoint
    from stt_model.checkpoint.geometry import Geometry
    from stt_model.checkpoint.surgery import operate, start_from_scratch
    from stt_model.corpus.manifests import read_manifest
    from stt_model.evaluation.config import EvaluationConfig
    from stt_model.evaluation.evaluator import evaluate
    from stt_model.text.alphabet import build_alphabet
    from stt_model.training.config import TrainingConfig
    from stt_model.training.trainer import train

    manifests = [corpus / name for name in (f"train-{max(SIZES)}.csv", "dev.csv", "test.csv")]
    alphabet = build_alphabet(row.transcript for path in manifests for row in read_manifest(path))
    start = scratch / "start"
    if run.way.drop_source_layers:
        operate(
            SOURCE_CHECKPOINT,
            start,
            target_alphabet=alphabet,
            mode="transfer",
            drop_source_layers=run.way.drop_source_layers,
            warm_start=run.way.warm_start,
            seed=run.seed,
        )
    else:
        n_hidden = open_checkpoint(SOURCE_CHECKPOINT).geometry.n_hidden
        start_from_scratch(start, alphabet, Geometry(n_hidden, alphabet.classes), seed=run.seed)
    train(
        TrainingConfig(
            train_files=[corpus / f"train-{run.clips}.csv"],
            dev_files=[corpus / "dev.csv"],
            load_checkpoint_dir=start,
            save_checkpoint_dir=scratch / "model",
            epochs=run.epochs,
            train_batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            dropout_rate=DROPOUT_RATE,
            augment="none",
            random_seed=run.seed,
            freeze_source_epochs=run.epochs // 3 if run.way.freeze else 0,
            show_progressbar=False,
        )
    )
    result = evaluate(EvaluationConfig([corpus / "test.csv"], scratch / "model"))
    return result.wer, result.cer


def report(results: Path) -> str:
    """Return Markdown: medians over seeds beside what each way gains, then ranges by language."""
    rates: dict[tuple[str, int, Way], list[float]] = defaultdict(list)
    for line in _read(results):
        rates[line["language"], line["clips"], Way(**line["way"])].append(line["cer"])
    ranges = (
        _table(
            [language, *(f"{clips} clips" for clips in SIZES)],
            [[_range(rates[language, clips, way]) for clips in SIZES] for way in WAYS],
        )
        for language in LANGUAGES
    )
    return "\n\n".join([_summary(rates), *ranges])


def _summary(rates: Mapping[tuple[str, int, Way], list[float]]) -> str:
    corpora = list(itertools.product(LANGUAGES, SIZES))
    medians = {key: statistics.median(values) for key, values in rates.items() if values}
    rows = []
    for way in WAYS:
        found = [medians.get((*corpus, way), math.nan) for corpus in corpora]
        scratch = [medians.get((*corpus, WAYS[0]), math.nan) for corpus in corpora]
        gain = statistics.fmean(s - f for s, f in zip(scratch, found, strict=True))
        rows.append([*(f"{cer:.1%}" for cer in found), f"{100 * gain:.1f}"])
    names = [f"{language}, {clips} clips" for language, clips in corpora]
    return _table(["CER", *names, "mean gain, points"], rows)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with a row for each of ``WAYS``."""
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)]]
    lines += [[str(way), *row] for way, row in zip(WAYS, rows, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _range(rates: list[float]) -> str:
    if not rates:
        return ""
    middle = f"{statistics.median(rates):.1%}"
    return middle if len(rates) == 1 else f"{middle} ({min(rates):.1%} to {max(rates):.1%})"


def _read(results: Path) -> Iterator[dict]:
    if results.exists():
        for line in results.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


if __name__ == "__main__":
    main()
