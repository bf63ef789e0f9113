"""Measures what the steps that only read data need, so that their pods ask for that and no more.

    python -m tests.benchmarks.data_step_sizes --clips 100 10000 200000

Each step runs in a Python of its own over a made-up corpus: peak resident memory, seconds of the
processors, seconds by the clock. The clips are files of their own, each as long as a spoken
sentence: a burst of noise, then a hole that takes no room on the disk and reads as silence.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
SECONDS = 4.0
_WORDS = ("saba", "tano", "nne", "moja", "kumi", "mia", "elfu", "habari", "asante", "jambo", "maji")
CHECKPOINT = Path(__file__).parents[2] / "demo" / "source_checkpoint"
STEPS = ("start", "digest", "validate", "fetch", "decide", "surgery", "together")


def make_corpus(root: Path, clips: int) -> Path:
    """Write a corpus of so many clips, 90 % of them to train on, and return its folder."""
    rng = np.random.default_rng(4568)
    frames = int(RATE * SECONDS)
    header = io.BytesIO()
    soundfile.write(header, np.zeros(frames, np.int16), RATE, format="WAV", subtype="PCM_16")
    size, head = len(header.getvalue()), header.getvalue()[:44]
    rows = []
    for number in range(clips):
        clip = root / "audio" / f"{number // 1000:04}" / f"{number:07}.wav"
        clip.parent.mkdir(parents=True, exist_ok=True)
        with clip.open("wb") as file:
            file.write(head)
            file.write(rng.integers(-9000, 9000, 2000, np.int16).tobytes())
            file.truncate(size)
        text = " ".join(_WORDS[i] for i in rng.integers(0, len(_WORDS), 6))
        rows.append((clip.relative_to(root), size, text))
    ends = (int(clips * 0.9), int(clips * 0.95), clips)
    for split, start, end in zip(("train", "dev", "test"), (0, *ends), ends, strict=False):
        with (root / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("wav_filename", "wav_filesize", "transcript"))
            writer.writerows(rows[start:end])
    return root


def work(step: str, corpus: Path, scratch: Path) -> None:
    """Do what the pipeline's step does, in this process."""
    from stt_model.checkpoint import open_checkpoint, operate
    from stt_model.corpus import digest_dataset, find_splits, read_manifest, validate
    from stt_model.storage import fetch
    from stt_model.text import decide

    clean, source = scratch / "clean", scratch / "checkpoint"
    if step in ("digest", "together"):
        digest_dataset(str(corpus))
    if step in ("validate", "together"):
        validate(find_splits(str(corpus))).write(clean)
    if step in ("fetch", "together"):
        fetch(str(CHECKPOINT), source, check=open_checkpoint)
    if step in ("decide", "together"):
        transcripts = [
            row.transcript
            for manifest in find_splits(clean).values()
            for row in read_manifest(manifest)
        ]
        decision = decide(open_checkpoint(source).alphabet, transcripts, mode="transfer")
        if step == "together" and decision.alphabet:
            _graft(operate, source, scratch / "grafted", decision.alphabet)
    if step == "surgery":
        _graft(operate, source, scratch / "alone", open_checkpoint(source).alphabet)


def _graft(operate, source, target, alphabet) -> None:
    operate(source, target, target_alphabet=alphabet, mode="transfer", drop_source_layers=1)


def measure(step: str, corpus: Path, scratch: Path) -> dict[str, float | str]:
    """Run a step in a Python of its own and return what it needed."""
    command = [sys.executable, "-m", __spec__.name, "--step", step, str(corpus), str(scratch)]
    began = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {
        "step": step,
        **json.loads(done.stdout.splitlines()[-1]),
        "clock_s": round(time.monotonic() - began, 1),
    }


def main() -> None:
    """Measure every step over corpora of the sizes asked for; one line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--step", nargs=3, metavar=("STEP", "CORPUS", "SCRATCH"))
    args = parser.parse_args()
    if args.step:
        step, corpus, scratch = args.step
        work(step, Path(corpus), Path(scratch))
        used = resource.getrusage(resource.RUSAGE_SELF)
        figures = {
            "peak_mib": round(used.ru_maxrss / 1024),
            "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        }
        print(json.dumps(figures))
        return
    for clips in args.clips:
        with tempfile.TemporaryDirectory(prefix="stt-bootstrap-") as folder:
            corpus = make_corpus(Path(folder) / "corpus", clips)
            for step in args.steps:
                scratch = Path(folder) / ("together" if step == "together" else "apart")
                scratch.mkdir(exist_ok=True)
                figures = measure(step, corpus, scratch)
                print(json.dumps({"clips": clips, **figures}), flush=True)


if __name__ == "__main__":
    main()
