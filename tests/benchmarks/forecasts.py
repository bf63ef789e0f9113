"""How far forecasts can be trusted: `make bench-forecast`.

Three languages are spoken, and the Spanish prompts of Debian's package `asterisk-core-sounds-es`
are human speech; the demo's English checkpoint is brought to each. Of every corpus the first 100
and the first 200 clips are taken for all that there is: from trainings on parts of them follows a
forecast for twice as much, which is then trained on too.

What was measured is kept in FOLDER: started again, the rest is measured, and ``--report`` prints
the table of what there is.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from stt_bootstrap.demo.corpora import CZECH_DEMO, MACEDONIAN_DEMO, SOURCE_CHECKPOINT, SWAHILI_DEMO
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model.base import atomic_directory
from stt_model.corpus.manifests import read_manifest, write_manifest
from stt_model.evaluation.learning_curve import forecast_errors
from stt_model.jobs.forecasting import amount_of, plan, try_size
from stt_model.jobs.trials import Trial, read_trial

SPOKEN = {"Swahili": SWAHILI_DEMO, "Macedonian": MACEDONIAN_DEMO, "Czech": CZECH_DEMO}
HUMAN = "Spanish, human"
DROPPED = {"Swahili": 0, "Macedonian": 1, "Czech": 1, HUMAN: 1}
SIZES = (100, 200)
DEV_CLIPS, TEST_CLIPS = 40, 120


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="forecasts")
    parser.add_argument("folder", type=Path, help="for the corpora and the results")
    parser.add_argument("--report", action="store_true", help="print what there is, and no more")
    parser.add_argument("--corpora", nargs="+", default=list(DROPPED))
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no training after these")
    arguments = parser.parse_args()
    if not arguments.report:
        measure(arguments.folder, arguments.corpora, arguments.minutes)
    print("\n".join(report(arguments.folder, arguments.corpora)))


def measure(folder: Path, corpora: list[str], minutes: float) -> None:
    """Make the trainings that have no result yet, the smallest first."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    started = time.monotonic()
    for size, draw in needed():
        for name in corpora:
            corpus = folder / name
            if not corpus.exists():
                write(name, corpus, folder)
            place = folder / "trials" / name
            if read_trial(place / f"{size}-{draw}"):
                continue
            if time.monotonic() - started > 60 * minutes:
                return
            trial = try_size(
                place,
                read_manifest(corpus / "train.csv"),
                size,
                draw,
                [corpus / "dev.csv"],
                [corpus / "test.csv"],
                load_checkpoint_dir=SOURCE_CHECKPOINT,
                drop_source_layers=DROPPED[name],
                random_seed=1 + draw,
                show_progressbar=False,
                checkpoint_secs=60.0,
            )
            print(f"{name} {size}-{draw}: WER {trial.counts.wer}, {trial.seconds} s", flush=True)


def needed() -> list[tuple[int, int]]:
    """Return the sizes and draws of all forecasts, and what they are compared with."""
    found = {pair for size in SIZES for pair in (*plan(size), (2 * size, 0))}
    return sorted(found)


def write(name: str, corpus: Path, folder: Path) -> None:
    """Speak a corpus, or fetch it; its training clips are in random order."""
    most = 2 * max(SIZES)
    if name != HUMAN:
        write_corpus(replace(SPOKEN[name], train=most, dev=DEV_CLIPS, test=TEST_CLIPS), corpus)
        return
    from stt_bootstrap.demo import human

    packages = folder / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    with atomic_directory(corpus) as beside:
        human.write_corpus(human.fetch_speech("es", packages), "es", beside / "all", clips=0)
        for split in ("train", "dev", "test"):
            rows = read_manifest(beside / "all" / f"{split}.csv")
            order = np.random.default_rng(1).permutation(len(rows)).tolist()
            shuffled = [
                replace(rows[place], wav_filename=f"all/{rows[place].wav_filename}")
                for place in order
            ]
            write_manifest(beside / f"{split}.csv", shuffled, relative=True)


def report(folder: Path, corpora: list[str]) -> Iterator[str]:
    """Yield Markdown: what was forecast for twice as much, and what it came to."""
    yield "| corpus | clips | WER | forecast with twice | reached | inside |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    inside, errors = [], []
    for name in corpora:
        for size in SIZES:
            trials = [_trial(folder, name, *pair) for pair in (*plan(size), (2 * size, 0))]
            if None in trials:
                continue
            *parts, twice = [amount_of(each) for each in trials if each]
            forecast = forecast_errors(parts)
            predicted = forecast.twice
            inside.append(predicted.low <= twice.rate <= predicted.high)
            errors.append(abs(predicted.wer - twice.rate))
            yield (
                f"| {name} | {size} | {parts[-1].rate:.1%} | {predicted}"
                f" | {twice.rate:.1%} | {'yes' if inside[-1] else 'no'} |"
            )
    if inside:
        yield ""
        yield (
            f"{sum(inside)} of {len(inside)} inside of the interval; the forecast is"
            f" {100 * float(np.mean(errors)):.1f} points of WER away on average."
        )


def _trial(folder: Path, name: str, size: int, draw: int) -> Trial | None:
    return read_trial(folder / "trials" / name / f"{size}-{draw}")


if __name__ == "__main__":
    main()
