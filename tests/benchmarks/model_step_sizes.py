"""Measures what training, evaluation and export of the demo need, so that a small cluster runs it.

    python -m tests.benchmarks.model_step_sizes

Each step runs in a Python of its own over the demo's Swahili corpus: the largest memory of it and
its children together, as a container counts it (each page once), and seconds of the processors.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stt_bootstrap import demo

SOURCE = Path(demo.__file__).with_name("source_checkpoint")
STEPS = ("training", "evaluation", "export")
LOOK = 0.2  # seconds between looks at the memory


def work(step: str, folder: Path, epochs: int) -> None:
    """Do what the pipeline's step does, in this process."""
    from stt_model import jobs
    from stt_model.corpus import find_splits

    splits = find_splits(folder / "corpus")
    trained = folder / "trained"
    if step == "training":
        jobs.train(
            [splits["train"]],
            [splits["dev"]],
            load_checkpoint_dir=SOURCE,
            save_checkpoint_dir=trained,
            epochs=epochs,
            report=folder / "report.md",
        )
    elif step == "evaluation":
        jobs.evaluate(
            [splits["test"]],
            trained,
            source_checkpoint_dir=SOURCE,
            test_output_file=folder / "samples.json",
        )
    else:
        jobs.export_model(
            trained,
            folder / "export",
            test_files=[splits["test"]],
            zip_path=folder / "export.zip",
            # After two epochs it is no model to be held to.
            max_wer_change=1.0,
        )


def measure(step: str, folder: Path, epochs: int) -> dict[str, float | str]:
    """Run a step in a Python of its own and return what it needed."""
    command = [sys.executable, "-m", __spec__.name, "--step", step, str(folder)]
    began = time.monotonic()
    log = folder / f"{step}.log"
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen([*command, "--epochs", str(epochs)], stderr=said)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(_memory, _family(process.pid))))
        time.sleep(LOOK)
    if process.returncode:
        print(log.read_text(encoding="utf-8")[-2000:], file=sys.stderr)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "step": step,
        "exit": process.returncode,
        "peak_mib": round(peak / 1024),
        "cpu_s_so_far": round(used.ru_utime + used.ru_stime, 1),
        "clock_s": round(time.monotonic() - began, 1),
    }


def _family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from _family(int(child))


def _memory(pid: int) -> int:
    """Return the share of a process in the memory that it uses, KiB."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        for line in text.splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def main() -> None:
    """Measure every step; one line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"))
    args = parser.parse_args()
    if args.step:
        work(args.step[0], Path(args.step[1]), args.epochs)
        return
    from stt_bootstrap.demo.corpora import SWAHILI_DEMO
    from stt_bootstrap.demo.synthesis import write_corpus

    with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as name:
        folder = Path(name)
        write_corpus(SWAHILI_DEMO, folder / "corpus")
        for step in STEPS:
            print(json.dumps(measure(step, folder, args.epochs)), flush=True)


if __name__ == "__main__":
    main()
