"""How good the settings are that the rule chooses, beside others: `make bench-defaults`.

Three languages that the source checkpoint never heard are spoken, in three amounts. Swahili is
fine-tuned, Macedonian and Czech get a new output layer. From each, a model is trained with what
``training.defaults`` chooses, and with one thing changed at a time: the learning rate, the batch,
dropout, a slower rate for kept layers, freezing, augmentation, another figure to choose the best
epoch by. Beside them stand Coqui's own defaults, and training from scratch by the same rule.

What was measured is kept in FOLDER/results.jsonl: started again, the rest is measured, and
``--report`` prints the tables of what there is.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stt_bootstrap.demo.corpora import CZECH_DEMO, MACEDONIAN_DEMO, SOURCE_CHECKPOINT, SWAHILI_DEMO
from stt_bootstrap.demo.synthesis import write_corpus

LANGUAGES = {"Swahili": SWAHILI_DEMO, "Macedonian": MACEDONIAN_DEMO, "Czech": CZECH_DEMO}
MODES = {"Swahili": "fine-tune", "Macedonian": "transfer", "Czech": "transfer"}
SIZES = (50, 200, 800)
"""Clips to train on."""
DEV_CLIPS, TEST_CLIPS = 60, 120
SEEDS = (1, 2, 3)
RUNS_A_PROCESS = 8

COQUI = {
    "epochs": 75,
    "train_batch_size": 16,
    "learning_rate": 0.0001,
    "dropout_rate": 0.05,
}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "the rule": {},
    "rate x 0.3": {"learning_rate": 0.3},
    "rate x 3": {"learning_rate": 3.0},
    "best by CER": {"best_by": "cer"},
    "kept layers x 0.3": {"kept_layers_rate": 0.3},
    "batch 16": {"train_batch_size": 16},
    "dropout 0.3": {"dropout_rate": 0.3},
    "not augmented": {"augment": ""},
    "frozen at first": {"freeze_source_epochs": 5},
    "Coqui's defaults": COQUI,
    "from scratch": {},
}
FIRST = ("the rule", "rate x 0.3", "Coqui's defaults", "not augmented")
"""What is measured before everything else."""
FOR_TRANSFER = ("kept layers x 0.3", "frozen at first")


@dataclass(frozen=True, order=True)
class Run:
    """One training and what it is measured on."""

    language: str
    clips: int
    seed: int
    way: str

    @property
    def key(self) -> str:
        """Tells the run apart from all others."""
        return f"{self.language} {self.clips} {self.way} seed {self.seed}"


def main() -> None:
    """Measure what is not measured yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, prog="defaults")
    parser.add_argument("folder", type=Path, help="for the corpora and the results")
    parser.add_argument("--report", action="store_true", help="print what there is, and no more")
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    results = arguments.folder / "results.jsonl"
    if not arguments.report:
        speak(arguments.folder, arguments.languages)
        runs = plan(arguments.languages, arguments.sizes, arguments.seeds, arguments.ways)
        measure(arguments.folder, results, runs, arguments.processes)
    print(report(results))


def plan(
    languages: Iterable[str], sizes: Iterable[int], seeds: Iterable[int], ways: Iterable[str]
) -> list[Run]:
    """Return the runs, the most telling ones first."""
    runs = [
        Run(language, clips, seed, way)
        for seed in seeds
        for clips in sizes
        for language in languages
        for way in ways
        if way not in FOR_TRANSFER or MODES[language] == "transfer"
    ]
    return sorted(runs, key=lambda run: (run.seed, run.way not in FIRST))


def speak(folder: Path, languages: Iterable[str]) -> None:
    """Write the corpora that are not there yet; the smaller ones are parts of the largest."""
    for language in languages:
        target = folder / language
        if not target.exists():
            spec = LANGUAGES[language]
            write_corpus(replace(spec, train=max(SIZES), dev=DEV_CLIPS, test=TEST_CLIPS), target)
        for clips in SIZES:
            lines = (target / "train.csv").read_text(encoding="utf-8").splitlines(keepends=True)
            part = target / f"train-{clips}.csv"
            part.write_text("".join(lines[: clips + 1]), encoding="utf-8")


def measure(folder: Path, results: Path, runs: Iterable[Run], processes: int) -> None:
    """Make the runs that have no result yet."""
    done = {line["key"] for line in _read(results)}
    missing = [(folder, run) for run in runs if run.key not in done]
    # One thread each: the network is small, and sums do not depend on how work is cut.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    context = multiprocessing.get_context("spawn")
    with (
        context.Pool(processes, maxtasksperchild=RUNS_A_PROCESS) as pool,
        results.open("a", encoding="utf-8") as file,
    ):
        for number, result in enumerate(pool.imap_unordered(_measure_one, missing), 1):
            print(json.dumps(result, ensure_ascii=False), file=file, flush=True)
            print(
                f"{number}/{len(missing)} {result['key']}: CER {result['cer']:.1%},"
                f" {result['epochs']} epochs, {result['seconds']} s",
                flush=True,
            )


def _measure_one(job: tuple[Path, Run]) -> dict[str, Any]:
    folder, run = job
    scratch = folder / f"run-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    started = time.monotonic()
    try:
        figures = _train_and_evaluate(folder / run.language, scratch, run)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    names = {"key": run.key, "language": run.language, "clips": run.clips, "way": run.way}
    return {**names, "seed": run.seed, **figures, "seconds": round(time.monotonic() - started, 1)}


def _train_and_evaluate(corpus: Path, scratch: Path, run: Run) -> dict[str, Any]:
    from stt_model.checkpoint.directory import open_checkpoint
    from stt_model.evaluation.config import EvaluationConfig
    from stt_model.evaluation.evaluator import evaluate
    from stt_model.training.config import TrainingConfig
    from stt_model.training.defaults import fit
    from stt_model.training.trainer import train

    start = scratch / "start"
    _make_start(corpus, start, run)
    config = TrainingConfig(
        train_files=[corpus / f"train-{run.clips}.csv"],
        dev_files=[corpus / "dev.csv"],
        load_checkpoint_dir=start,
        save_checkpoint_dir=scratch / "model",
        random_seed=run.seed,
        show_progressbar=False,
    )
    checkpoint = open_checkpoint(start)
    config = fit(config, checkpoint, checkpoint.lineage)
    changes = dict(WAYS[run.way])
    if run.way.startswith("rate"):
        changes["learning_rate"] *= config.learning_rate
    if run.way == "Coqui's defaults":
        changes |= {
            "early_stop": False,
            "reduce_lr_on_plateau": False,
            "warmup_steps": 0,
            "freeze_source_epochs": 0,
            "augment": "",
            "kept_layers_rate": 1.0,
            "best_by": "loss",
        }
    result = train(replace(config, **changes))
    rated = evaluate(
        EvaluationConfig([corpus / "test.csv"], scratch / "model", show_progressbar=False)
    )
    return {
        "wer": rated.wer,
        "cer": rated.cer,
        "epochs": result.epochs[-1].number,
        "best_epoch": result.best.number,
    }


def _make_start(corpus: Path, start: Path, run: Run) -> None:
    from stt_model.checkpoint.directory import open_checkpoint
    from stt_model.checkpoint.geometry import Geometry
    from stt_model.checkpoint.surgery import operate, start_from_scratch
    from stt_model.corpus.manifests import read_manifest
    from stt_model.text.alphabet import build_alphabet

    manifests = [corpus / name for name in ("train.csv", "dev.csv", "test.csv")]
    alphabet = build_alphabet(row.transcript for path in manifests for row in read_manifest(path))
    if run.way == "from scratch":
        n_hidden = open_checkpoint(SOURCE_CHECKPOINT).geometry.n_hidden
        start_from_scratch(start, alphabet, Geometry(n_hidden, alphabet.classes), seed=run.seed)
    elif MODES[run.language] == "transfer":
        operate(SOURCE_CHECKPOINT, start, target_alphabet=alphabet, mode="transfer", seed=run.seed)
    else:
        shutil.copytree(SOURCE_CHECKPOINT, start)


def report(results: Path) -> str:
    """Return Markdown: median CER over seeds of each way, and the rule beside the best of them."""
    rates: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for line in _read(results):
        rates[line["language"], line["clips"], line["way"]].append(line["cer"])
    medians = {key: statistics.median(values) for key, values in rates.items()}
    corpora = sorted({key[:2] for key in medians})
    lines = [
        "| CER | " + " | ".join(f"{language}, {clips}" for language, clips in corpora) + " |",
        "| --- |" + " ---: |" * len(corpora),
    ]
    for way in WAYS:
        shown = [_shown(rates.get((*corpus, way), [])) for corpus in corpora]
        lines.append(f"| {way} | {' | '.join(shown)} |")
    compared = [_beside_best(corpus, medians) for corpus in corpora]
    lines.append(f"| the rule, relative to the best | {' | '.join(compared)} |")
    return "\n".join(lines)


def _shown(values: list[float]) -> str:
    return f"{statistics.median(values):.1%} ({len(values)})" if values else ""


def _beside_best(corpus: tuple[str, int], medians: Mapping[tuple[str, int, str], float]) -> str:
    ours = medians.get((*corpus, "the rule"))
    found = [medians[(*corpus, way)] for way in WAYS if (*corpus, way) in medians]
    return "" if ours is None else f"{ours / min(found) - 1:+.0%}"


def _read(results: Path) -> Iterator[dict[str, Any]]:
    if results.exists():
        for line in results.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


if __name__ == "__main__":
    main()
