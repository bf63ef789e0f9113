"""How good the settings are that the rule chooses, beside others: `make bench-defaults`.

Six languages that the source checkpoint never heard are spoken, in three amounts. Swahili,
Indonesian and Basque are fine-tuned; Macedonian, Czech and Turkish get a new output layer.
``--human FOLDER`` adds corpora in Coqui's CSV form (train.csv, dev.csv and test.csv), of people
or of whoever speaks there; their letters decide about the mode. From each, a model is trained
with what ``training.defaults`` chooses, and with one thing changed at a time: the learning rate,
the batch, dropout, a slower rate for kept layers, freezing, augmentation, another figure to choose
the best epoch by. Beside them stand Coqui's own defaults, and training from scratch by the same
rule.

What was measured is kept in FOLDER/results.jsonl: started again, the rest is measured, and
``--report`` prints the tables of what there is.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import random
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stt_bootstrap.demo.corpora import (
    BASQUE_DEMO,
    CZECH_DEMO,
    INDONESIAN_DEMO,
    MACEDONIAN_DEMO,
    SOURCE_CHECKPOINT,
    SWAHILI_DEMO,
    TURKISH_DEMO,
)
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model.checkpoint import open_checkpoint
from stt_model.corpus import read_manifest
from stt_model.corpus.manifests import write_manifest

LANGUAGES = {
    "Swahili": SWAHILI_DEMO,
    "Macedonian": MACEDONIAN_DEMO,
    "Czech": CZECH_DEMO,
    "Indonesian": INDONESIAN_DEMO,
    "Turkish": TURKISH_DEMO,
    "Basque": BASQUE_DEMO,
}
FINE_TUNE, TRANSFER = "fine-tune", "transfer"
SIZES = (50, 200, 800)
"""Clips to train on."""
DEV_CLIPS, TEST_CLIPS = 60, 120
"""At most: some corpora have fewer."""
SEEDS = (1, 2, 3)
RUNS_A_PROCESS = 8
CLOSE = 0.1
"""How much higher a CER may be than the best and still count as close to it, relative."""

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
RULE, SCRATCH = "the rule", "from scratch"
FIRST = (RULE, "rate x 0.3", "rate x 3", "Coqui's defaults", SCRATCH)
"""What is measured before everything else."""
FOR_TRANSFER = ("kept layers x 0.3", "frozen at first")


@dataclass(frozen=True)
class Corpus:
    """A corpus that lies ready: dev.csv, test.csv, and a train-N.csv of each size."""

    name: str
    mode: str
    clips: int
    """In its training split."""


@dataclass(frozen=True)
class Run:
    """One training and what it is measured on."""

    corpus: str
    mode: str
    clips: int
    seed: int
    way: str

    @property
    def key(self) -> str:
        """Tells the run apart from all others."""
        return f"{self.corpus} {self.clips} {self.way} seed {self.seed}"


def main() -> None:
    """Measure what is not measured yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, prog="defaults")
    parser.add_argument("folder", type=Path, help="for the corpora and the results")
    parser.add_argument("--report", action="store_true", help="print what there is, and no more")
    parser.add_argument("--languages", nargs="*", choices=LANGUAGES, default=list(LANGUAGES))
    parser.add_argument(
        "--human",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="further corpora in Coqui's CSV form, each under the name of its folder",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    results = arguments.folder / "results.jsonl"
    if not arguments.report:
        corpora = [speak(arguments.folder, name, arguments.sizes) for name in arguments.languages]
        corpora += [bring(arguments.folder, root, arguments.sizes) for root in arguments.human]
        runs = plan(corpora, arguments.sizes, arguments.seeds, arguments.ways)
        measure(arguments.folder, results, runs, arguments.processes)
    print(report(results))


def plan(
    corpora: Sequence[Corpus], sizes: Iterable[int], seeds: Iterable[int], ways: Iterable[str]
) -> list[Run]:
    """Return the runs, the most telling ones first: the first seed and ways of all corpora."""
    runs = [
        Run(corpus.name, corpus.mode, clips, seed, way)
        for seed in seeds
        for clips in sorted(sizes)
        for corpus in corpora
        for way in ways
        if clips <= corpus.clips and (way not in FOR_TRANSFER or corpus.mode == TRANSFER)
    ]
    return sorted(runs, key=lambda run: (run.way not in FIRST, run.seed))


def speak(folder: Path, language: str, sizes: Sequence[int]) -> Corpus:
    """Speak a corpus if it is not there yet; the smaller ones are parts of the largest."""
    target = folder / language
    if not target.exists():
        clips = max(*SIZES, *sizes)
        spec = replace(LANGUAGES[language], train=clips, dev=DEV_CLIPS, test=TEST_CLIPS)
        write_corpus(spec, target)
    return _cut(target, target, sizes)


def bring(folder: Path, root: Path, sizes: Sequence[int]) -> Corpus:
    """Take over a corpus that is there: its clips stay where they are."""
    target = folder / root.resolve().name
    target.mkdir(exist_ok=True)
    return _cut(root, target, sizes)


def _cut(root: Path, target: Path, sizes: Sequence[int]) -> Corpus:
    """Write the parts of a corpus, drawn once: recordings often lie in the order of their texts."""
    rows = {split: read_manifest(root / f"{split}.csv") for split in ("train", "dev", "test")}
    for each in rows.values():
        random.Random(0).shuffle(each)
    most = {"dev": DEV_CLIPS, "test": TEST_CLIPS}
    for split, clips in most.items():
        write_manifest(target / f"{split}-part.csv", rows[split][:clips])
    for clips in sizes:
        write_manifest(target / f"train-{clips}.csv", rows["train"][:clips])
    known = open_checkpoint(SOURCE_CHECKPOINT).alphabet
    new = {
        label for each in rows.values() for row in each for label in known.missing(row.transcript)
    }
    return Corpus(target.name, TRANSFER if new else FINE_TUNE, len(rows["train"]))


def measure(folder: Path, results: Path, runs: Iterable[Run], processes: int) -> None:
    """Make the runs that have no result yet."""
    done = {line["key"] for line in _read(results)}
    missing = [(folder, run) for run in runs if run.key not in done]
    # One thread each: the network is small, and sums do not depend on how work is cut.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    context = multiprocessing.get_context("spawn")
    with results.open("a", encoding="utf-8") as file:
        # New processes now and then: what TensorFlow has compiled stays in memory.
        for begin in range(0, len(missing), processes * RUNS_A_PROCESS):
            part = missing[begin : begin + processes * RUNS_A_PROCESS]
            with ProcessPoolExecutor(processes, mp_context=context) as pool:
                waiting = [pool.submit(_measure_one, each) for each in part]
                for number, done in enumerate(as_completed(waiting), begin + 1):
                    result = done.result()
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
        figures = _train_and_evaluate(folder / run.corpus, scratch, run)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return {
        "key": run.key,
        **asdict(run),
        **figures,
        "seconds": round(time.monotonic() - started, 1),
    }


def _train_and_evaluate(corpus: Path, scratch: Path, run: Run) -> dict[str, Any]:
    from stt_model.checkpoint.directory import open_checkpoint
    from stt_model.evaluation.config import EvaluationConfig
    from stt_model.evaluation.evaluator import evaluate
    from stt_model.jobs.trials import GREEDY
    from stt_model.training.config import TrainingConfig
    from stt_model.training.defaults import fit
    from stt_model.training.trainer import train

    start = scratch / "start"
    _make_start(corpus, start, run)
    config = TrainingConfig(
        train_files=[corpus / f"train-{run.clips}.csv"],
        dev_files=[corpus / "dev-part.csv"],
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
    tested = [corpus / "test-part.csv"]
    # The best label of each frame: without a language model, a beam changes next to nothing.
    rated = evaluate(
        EvaluationConfig(tested, scratch / "model", beam_width=GREEDY, show_progressbar=False)
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

    names = (f"train-{run.clips}.csv", "dev-part.csv", "test-part.csv")
    manifests = [corpus / name for name in names]
    alphabet = build_alphabet(row.transcript for path in manifests for row in read_manifest(path))
    if run.way == SCRATCH:
        n_hidden = open_checkpoint(SOURCE_CHECKPOINT).geometry.n_hidden
        start_from_scratch(start, alphabet, Geometry(n_hidden, alphabet.classes), seed=run.seed)
    elif run.mode == TRANSFER:
        operate(SOURCE_CHECKPOINT, start, target_alphabet=alphabet, mode=TRANSFER, seed=run.seed)
    else:
        shutil.copytree(SOURCE_CHECKPOINT, start)


def report(results: Path) -> str:
    """Return Markdown: median CER over seeds of each way, and the rule beside the best of them."""
    found: dict[tuple[str, str, int], dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for line in _read(results):
        found[line["mode"], line["corpus"], line["clips"]][line["way"]].append(line["cer"])
    ways = [way for way in WAYS if any(way in rates for rates in found.values())]
    lines = [
        "| CER (seeds) | " + " | ".join([*ways, "the rule, relative to the best"]) + " |",
        "| --- |" + " ---: |" * (len(ways) + 1),
    ]
    medians = {}
    for place, rates in sorted(found.items()):
        mode, corpus, clips = place
        medians[place] = {way: statistics.median(values) for way, values in rates.items()}
        shown = [_shown(rates.get(way, [])) for way in ways]
        compared = RULE in rates and len(rates) > 1
        relative = f"{beside_best(medians[place]):+.0%}" if compared else ""
        lines.append(f"| {corpus}, {mode}, {clips} | " + " | ".join([*shown, relative]) + " |")
    measured = [each for each in medians.values() if RULE in each]
    if measured:
        lines += ["", *_against_the_rule(measured, ways), "", *_summary(measured)]
    return "\n".join(lines)


def _shown(values: list[float]) -> str:
    return f"{statistics.median(values):.1%} ({len(values)})" if values else ""


def beside_best(medians: Mapping[str, float]) -> float:
    """Return how much higher the rule's CER is than that of the best way, relative."""
    best = min(medians.values())
    return medians[RULE] / best - 1 if best else math.inf if medians[RULE] else 0.0


def _against_the_rule(measured: Sequence[Mapping[str, float]], ways: Iterable[str]) -> list[str]:
    """Show whether another way is better in one direction, or only here and there."""
    lines = [
        "| | CER relative to the rule's, geometric mean | clearly lower | clearly higher | of |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for way in ways:
        ratios = [each[way] / each[RULE] for each in measured if way in each and each[RULE]]
        ratios = [ratio for ratio in ratios if ratio]
        if way != RULE and ratios:
            lower = sum(ratio < 1 / (1 + CLOSE) for ratio in ratios)
            higher = sum(ratio > 1 + CLOSE for ratio in ratios)
            mean = statistics.geometric_mean(ratios)
            lines.append(f"| {way} | {mean - 1:+.0%} | {lower} | {higher} | {len(ratios)} |")
    return lines


def _summary(measured: Sequence[Mapping[str, float]]) -> list[str]:
    measured = [each for each in measured if len(each) > 1]
    close = sum(beside_best(each) <= CLOSE for each in measured)
    beside = [each for each in measured if SCRATCH in each]
    worse = sum(each[RULE] > each[SCRATCH] for each in beside)
    return [
        f"The rule is within {CLOSE:.0%} of the best in {close} of {len(measured)} cases.",
        f"It is worse than training from scratch in {worse} of {len(beside)}.",
    ]


def _read(results: Path) -> Iterator[dict[str, Any]]:
    if results.exists():
        for line in results.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


if __name__ == "__main__":
    main()
