"""What is no work: the starts of steps, and copying, checking and changing files beside reading.

Run as ``make bench-overheads`` or ``python -m tests.benchmarks.overheads``. On a busy machine look
at the processor's seconds, which other work changes little.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.trainers import timed_environment

# What kfp's launcher loads in a step, then what the component's body does before its job begins.
KFP = "import os; os.environ['_KFP_RUNTIME'] = 'true'; import kfp.dsl.executor_main; "
JOBS = "from stt_model import jobs; "
TENSORFLOW = "from stt_model.jobs import startup; startup.start_tensorflow(); "
STARTS = {
    "run_settings": KFP + JOBS + "jobs.begin_run",
    "source_digests": KFP + JOBS + "jobs.digest_sources",
    "dataset_import": KFP + JOBS + "jobs.import_dataset",
    "dataset_validation": KFP + JOBS + "jobs.validate",
    "source_analysis": KFP + JOBS + "jobs.analyse_sources",
    "checkpoint_fetch": KFP + JOBS + "jobs.fetch",
    "layer_surgery": KFP + JOBS + "jobs.replace_layers",
    "training": KFP + JOBS + "jobs.train; " + TENSORFLOW + "import stt_model.training.trainer",
    "evaluation": KFP
    + JOBS
    + "jobs.evaluate; "
    + TENSORFLOW
    + "import stt_model.evaluation.evaluator",
    "model_export": KFP + JOBS + "jobs.export_model; " + TENSORFLOW,
}
N_HIDDEN = 2048
CLASSES = 29


class Spent(NamedTuple):
    """Seconds by the clock and of the processors."""

    clock: float
    processor: float

    def __str__(self) -> str:
        return f"{self.clock:.2f} | {self.processor:.2f}"


def spent_on(work: Callable[[], object]) -> Spent:
    """Return what work took, of this process and of those that it waited for."""
    before, started = os.times(), time.perf_counter()
    work()
    after, clock = os.times(), time.perf_counter() - started
    return Spent(clock, sum(after[:4]) - sum(before[:4]))


def program(text: str) -> Callable[[], object]:
    """Return a run of a Python program in a process of its own."""
    command = [sys.executable, "-c", text]
    return lambda: subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=timed_environment(),
    )


def least(work: Callable[[], object], runs: int) -> Spent:
    """Return the run with the fewest seconds of the processors."""
    return min((spent_on(work) for _ in range(runs)), key=lambda spent: spent.processor)


def starts(runs: int) -> None:
    """Print what each step takes before its work begins."""
    print("| step, before its work begins | seconds | of the processors |\n| --- | ---: | ---: |")
    for name, text in STARTS.items():
        print(f"| {name} | {least(program(text), runs)} |", flush=True)


def surgery(folder: Path, runs: int) -> None:
    """Print what replacing the output layer of a large checkpoint takes beside copying it."""
    from stt_model.checkpoint import Geometry, open_checkpoint, operate, start_from_scratch
    from stt_model.text import CharacterAlphabet

    alphabet = CharacterAlphabet(" abcdefghijklmnopqrstuvwxyz'")
    start_from_scratch(folder / "source", alphabet, Geometry(N_HIDDEN, CLASSES), seed=1)
    size = sum(path.stat().st_size for path in (folder / "source").iterdir())
    target = CharacterAlphabet(" abcdefghijklmnopqrstuvwxyzäöü")

    def replace() -> None:
        shutil.rmtree(folder / "made", ignore_errors=True)
        operate(
            folder / "source",
            folder / "made",
            which="auto",
            source_alphabet=alphabet,
            target_alphabet=target,
            mode="transfer",
            drop_source_layers=1,
            seed=1,
            warm_start=True,
        )

    def copy() -> None:
        shutil.rmtree(folder / "copy", ignore_errors=True)
        subprocess.run(["cp", "-r", str(folder / "source"), str(folder / "copy")], check=True)
        # Surgery leaves nothing that a lost machine would take with it.
        subprocess.run(["sync", "-f", str(folder / "copy")], check=True)

    replace(), copy()
    assert open_checkpoint(folder / "made").alphabet.labels == target.labels
    print(f"\n| a checkpoint of {size / 1e6:.0f} MB | seconds | of the processors |")
    print("| --- | ---: | ---: |")
    print(f"| cp and sync | {least(copy, runs)} |")
    print(f"| layer surgery | {least(replace, runs)} |", flush=True)


def validation(folder: Path, clips: int, runs: int) -> None:
    """Print what validating a corpus takes beside reading its bytes."""
    from stt_model.corpus import find_splits, validate
    from stt_model.corpus.manifests import read_manifest, write_manifest
    from tests.benchmarks.noise_corpus import write_noise_corpus

    (folder / "corpus").mkdir()
    manifest = write_noise_corpus(folder / "corpus", clips).manifest
    rows = read_manifest(manifest)
    for place, split in enumerate(("train", "dev", "test")):
        write_manifest(manifest.with_name(f"{split}.csv"), rows[place::3])
    wavs = sorted((folder / "corpus").glob("*.wav"))
    size = sum(path.stat().st_size for path in wavs)

    def read() -> None:
        for path in wavs:
            path.read_bytes()

    def check() -> None:
        shutil.rmtree(folder / "clean", ignore_errors=True)
        validate(find_splits(str(folder / "corpus"))).write(folder / "clean")

    read(), check()
    print(f"\n| {clips} rows, {size / 1e6:.0f} MB of wav | seconds | of the processors |")
    print("| --- | ---: | ---: |")
    print(f"| reading the bytes | {least(read, runs)} |")
    print(f"| validation | {least(check, runs)} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.overheads",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=3, help="of which the shortest counts")
    parser.add_argument("--clips", type=int, default=1500, help="in three splits")
    args = parser.parse_args(arguments)
    starts(args.runs)
    with tempfile.TemporaryDirectory() as name:
        surgery(Path(name), args.runs)
        validation(Path(name), args.clips, args.runs)


if __name__ == "__main__":
    main()
