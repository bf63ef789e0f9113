"""Whether suspects are the wrong transcripts, and what training without them gives.

    python -m tests.benchmarks.wrong_transcripts FOLDER [--seeds 1 2 3]

Also ``make bench-suspects``. A corpus is spoken; one transcript in twenty of its train and dev
splits is exchanged with others of them. The demo's checkpoint is fine-tuned on it, lists its
suspects, and is fine-tuned again without those that are marked to be dropped. The test split is
right. Finished trainings are kept in FOLDER.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stt_bootstrap.demo.corpora import SOURCE_CHECKPOINT, SWAHILI_DEMO
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model import jobs
from stt_model.corpus.manifests import read_manifest, write_manifest
from stt_model.jobs.dividing import leave_out_suspects
from stt_model.jobs.trials import MODEL, run_trial

TRAIN, DEV, TEST = 600, 80, 200
SHARE_WRONG = 0.05
HEAD = 0.1
"""Of the list, in which the wrong transcripts are looked for."""
SPLITS = ("train", "dev")


@dataclass(frozen=True)
class Found:
    """How well the list of suspects names the wrong transcripts."""

    wrong: int
    in_head: int
    """Wrong transcripts in the head of the list."""
    dropped: int
    """Clips marked to be dropped."""
    dropped_wrong: int


def main() -> None:
    """Measure each seed, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="for the corpora and the results")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    args = parser.parse_args()
    print(
        f"| seed | exchanged, in the first {HEAD:.0%} | marked to be dropped, of them exchanged"
        " | WER (CER) with them | without |\n| ---: | ---: | ---: | ---: | ---: |"
    )
    for seed in args.seeds:
        print(row(args.folder / str(seed), seed), flush=True)


def row(folder: Path, seed: int, sizes: Sequence[int] = (TRAIN, DEV, TEST), **settings: Any) -> str:
    """Return the row of a seed, after making what is missing."""
    corpus, wrong = make_corpus(folder, seed, sizes)
    manifests = [corpus / f"{split}.csv" for split in SPLITS]
    common: dict[str, Any] = {
        "load_checkpoint_dir": SOURCE_CHECKPOINT,
        "random_seed": seed,
        "show_progressbar": False,
        **settings,
    }
    tests = [corpus / "test.csv"]
    first = run_trial(
        folder / "with", manifests[:1], manifests[1:], tests, keep_model=True, **common
    )
    suspects = folder / "suspects.csv"
    if not suspects.exists():
        jobs.find_suspects(
            manifests, folder / "with" / MODEL, suspects, beam_width=1, show_progressbar=False
        )
    found = compare(suspects, wrong, sum(sizes[:2]))
    kept = leave_out_suspects(manifests, suspects, folder)
    second = run_trial(folder / "without", kept[:1], kept[1:], tests, **common)
    rates = [
        f"{each.counts.wer.value:.1%} ({each.counts.cer.value:.1%})" for each in (first, second)
    ]
    return (
        f"| {seed} | {found.in_head} of {found.wrong} | {found.dropped}, {found.dropped_wrong}"
        f" | {rates[0]} | {rates[1]} |"
    )


def make_corpus(folder: Path, seed: int, sizes: Sequence[int]) -> tuple[Path, set[str]]:
    """Speak a corpus and exchange transcripts; return its folder and the names of these clips."""
    corpus = folder / "corpus"
    train, dev, test = sizes
    if not corpus.exists():
        spec = replace(SWAHILI_DEMO, train=train, dev=dev, test=test, seed=1000 + seed)
        write_corpus(spec, corpus)
    draw = np.random.default_rng(seed)
    rows = [each for split in SPLITS for each in read_manifest(corpus / f"{split}.csv")]
    marker = folder / "exchanged.txt"
    if not marker.exists():
        chosen = draw.permutation(len(rows))[: round(SHARE_WRONG * len(rows))].tolist()
        texts = [rows[place].transcript for place in chosen]
        for place, text in zip(chosen, [*texts[1:], texts[0]], strict=True):
            rows[place] = replace(rows[place], transcript=text)
        for split in SPLITS:
            own = [each for each in rows if each.path.name.startswith(split)]
            write_manifest(corpus / f"{split}.csv", own)
        marker.write_text("\n".join(rows[place].path.name for place in chosen), encoding="utf-8")
    return corpus, set(marker.read_text(encoding="utf-8").split())


def compare(suspects: Path, wrong: set[str], clips: int) -> Found:
    """Compare a list of suspects with the clips whose transcripts were exchanged."""
    with suspects.open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    names = [Path(each["wav_filename"]).name for each in listed]
    dropped = {name for name, each in zip(names, listed, strict=True) if each["drop"] == "yes"}
    head = set(names[: round(HEAD * clips)])
    return Found(len(wrong), len(wrong & head), len(dropped), len(wrong & dropped))


if __name__ == "__main__":
    main()
