"""Which recordings to transcribe, and what those without transcripts give: `make bench-suggest`.

A team has a few transcribed clips and a pool of recordings, six in ten of which are one voice that
says a few sentences over and over, as real collections often are; the others are many voices with
all kinds of sentences. The demo's English checkpoint is brought to the language four times:

- with the transcribed clips alone;
- with these and a quarter of the pool's minutes, drawn at random;
- with these and as many minutes that ``suggest`` takes;
- with these and the pool without transcripts, as pseudo-labels.

What was measured is kept in FOLDER: started again, the rest is measured, and ``--report`` prints
the table of what there is.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from stt_bootstrap.demo.corpora import MACEDONIAN_DEMO, SOURCE_CHECKPOINT, SWAHILI_DEMO
from stt_bootstrap.demo.synthesis import Clip, CorpusSpec, plan_corpus, speak
from stt_model import jobs
from stt_model.base import atomic_write
from stt_model.corpus.audio import audio_info
from stt_model.corpus.manifests import Utterance, read_manifest, write_manifest
from stt_model.jobs.trials import MODEL, Counts, read_trial, run_trial, test_model

SPOKEN = {"Macedonian": MACEDONIAN_DEMO, "Swahili": SWAHILI_DEMO}
DROPPED = {"Macedonian": 1, "Swahili": 0}
SEEDS = (1, 2, 3)
TRANSCRIBED, POOL, DEV, TEST = 80, 320, 60, 200
SHARE_CHOSEN = 0.25
"""Of the pool's minutes."""
SHARE_REPEATED = 0.6
"""Of the pool's clips."""
SENTENCES_REPEATED = 20
WAYS = {
    "alone": "the transcribed clips alone",
    "random": "and a quarter of the pool, at random",
    "suggested": "and a quarter of the pool, as `suggest` takes it",
    "pseudo": "and the pool without transcripts",
}


@dataclass(frozen=True)
class Sizes:
    """Numbers of clips."""

    transcribed: int = TRANSCRIBED
    pool: int = POOL
    dev: int = DEV
    test: int = TEST


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="selection")
    parser.add_argument("folder", type=Path, help="for the corpora and the results")
    parser.add_argument("--report", action="store_true", help="print what there is, and no more")
    parser.add_argument("--languages", nargs="+", choices=SPOKEN, default=list(SPOKEN))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    arguments = parser.parse_args()
    if not arguments.report:
        for seed in arguments.seeds:
            for language in arguments.languages:
                measure(arguments.folder / f"{language}-{seed}", language, seed, Sizes())
    print("\n".join(report(arguments.folder, arguments.languages, arguments.seeds)))


def measure(folder: Path, language: str, seed: int, sizes: Sizes, **settings: Any) -> None:
    """Make the trainings of one language and seed that have no result yet."""
    corpus = folder / "corpus"
    if not corpus.exists():
        speak(plan(SPOKEN[language], seed, sizes), corpus)
    rows = read_manifest(corpus / "train.csv")
    transcribed, pool = rows[: sizes.transcribed], rows[sizes.transcribed :]
    common: dict[str, Any] = {
        "load_checkpoint_dir": SOURCE_CHECKPOINT,
        "drop_source_layers": DROPPED[language],
        "random_seed": seed,
        "show_progressbar": False,
        **settings,
    }
    learn(folder, "alone", transcribed, common)
    model = folder / "alone" / MODEL
    minutes = SHARE_CHOSEN * sum(map(seconds, pool)) / 60
    learn(folder, "random", [*transcribed, *draw(pool, minutes, seed)], common)
    learn(folder, "suggested", [*transcribed, *suggested(folder, model, pool, minutes)], common)
    if not (folder / "pseudo.json").is_file():
        label(folder, transcribed, pool, common)


def plan(spec: CorpusSpec, seed: int, sizes: Sizes) -> Mapping[str, Sequence[Clip]]:
    """Return the clips to speak; the training split has the transcribed clips, then the pool."""
    train = sizes.transcribed + sizes.pool
    planned = plan_corpus(
        replace(spec, train=train, dev=sizes.dev, test=sizes.test, seed=100 * spec.seed + seed)
    )
    random = np.random.default_rng(seed)
    clips = planned["train"]
    prompts = [clip.text for clip in clips[:SENTENCES_REPEATED]]
    repeated = random.permutation(np.arange(sizes.transcribed, train))
    for place in repeated[: round(SHARE_REPEATED * sizes.pool)]:
        text = prompts[int(random.integers(len(prompts)))]
        clips[place] = replace(clips[place], text=text, voice=clips[0].voice)
    return planned


def seconds(row: Utterance) -> float:
    """Return the length of a clip."""
    return audio_info(row.place).duration


def draw(pool: Sequence[Utterance], minutes: float, seed: int) -> list[Utterance]:
    """Return clips of a pool in random order, up to some minutes together."""
    chosen: list[Utterance] = []
    left = 60 * minutes
    for place in np.random.default_rng(seed).permutation(len(pool)):
        if (length := seconds(pool[place])) <= left:
            chosen.append(pool[place])
            left -= length
    return chosen


def suggested(
    folder: Path, model: Path, pool: Sequence[Utterance], minutes: float
) -> list[Utterance]:
    """Return the clips of a pool that ``suggest`` takes, up to some minutes together."""
    output = folder / "suggestions"
    if not output.exists():
        jobs.suggest(model, [row.path for row in pool], output, minutes=minutes)
    rows = read_manifest(output / "suggestions.csv")
    names = {Path(row.extra["recording"]).name for row in rows}
    return [row for row in pool if row.path.name in names]


def learn(folder: Path, way: str, rows: Sequence[Utterance], common: Mapping[str, Any]) -> None:
    """Train on some clips, and test."""
    manifest = folder / f"{way}.csv"
    write_manifest(manifest, rows)
    corpus = folder / "corpus"
    trial = run_trial(
        folder / way,
        [manifest],
        [corpus / "dev.csv"],
        [corpus / "test.csv"],
        keep_model=way == "alone",
        **common,
    )
    print(f"{folder.name} {way}: {len(rows)} clips, CER {trial.counts.cer}", flush=True)


def label(
    folder: Path,
    transcribed: Sequence[Utterance],
    pool: Sequence[Utterance],
    common: Mapping[str, Any],
) -> None:
    """Train again with the pool's recordings and without their transcripts, and test."""
    place, corpus = folder / "pseudo", folder / "corpus"
    recordings = folder / "recordings"
    recordings.mkdir(exist_ok=True)
    for row in pool:
        shutil.copyfile(row.path, recordings / row.path.name)
    if not place.exists():
        # The first of the two trainings is there already.
        shutil.copytree(folder / "alone" / MODEL, place / MODEL)
    _, outcome = jobs.train_with_unlabelled(
        [folder / "alone.csv"],
        [corpus / "dev.csv"],
        [corpus / "test.csv"],
        save_checkpoint_dir=place / MODEL,
        unlabelled_uri=str(recordings),
        **common,
    )
    counts = test_model(place / MODEL, [corpus / "test.csv"])
    result = {
        "kept": outcome.second_is_kept,
        "clips": outcome.clips,
        "summary": outcome.summary,
        **vars(counts),
    }
    with atomic_write(folder / "pseudo.json") as beside:
        beside.write_text(json.dumps(result) + "\n", encoding="utf-8")
    shutil.rmtree(recordings)
    print(f"{folder.name} pseudo: {outcome.summary} Test CER {counts.cer}", flush=True)


def report(folder: Path, languages: Sequence[str], seeds: Sequence[int]) -> Iterator[str]:
    """Yield Markdown: the CER of each way, per language, and what was kept."""
    yield "| | " + " | ".join(f"{language}, CER" for language in languages) + " |"
    yield "| --- |" + " --- |" * len(languages)
    for way, title in WAYS.items():
        cells = []
        for language in languages:
            rates = [
                counts.cer.value
                for seed in seeds
                if (counts := _counts(folder / f"{language}-{seed}", way))
            ]
            several = ", ".join(f"{rate:.1%}" for rate in rates)
            cells.append(f"{median(rates):.1%} ({several})" if rates else "")
        yield f"| {title} | {' | '.join(cells)} |"
    yield ""
    for language in languages:
        for seed in seeds:
            path = folder / f"{language}-{seed}" / "pseudo.json"
            if path.is_file():
                found = json.loads(path.read_text(encoding="utf-8"))
                yield f"{language}, seed {seed}, pseudo-labels: {found['clips']} clips taken."
                yield f"{found['summary']}\n"


def _counts(folder: Path, way: str) -> Counts | None:
    if way != "pseudo":
        trial = read_trial(folder / way)
        return trial.counts if trial else None
    path = folder / "pseudo.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return Counts(**{name: found[name] for name in Counts.__dataclass_fields__})


if __name__ == "__main__":
    main()
