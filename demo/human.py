"""A published model and human speech: an Armenian .tflite file becomes Russian and Spanish.

The model is that of the package `armspeech`, the speech is the prompts of Debian's packages
`asterisk-core-sounds-ru` and `-es` (one speaker each, CC-BY-SA 3.0). Both are fetched from the
package registries by pip and apt-get, and are no part of this project. Beside it, the small demo
checkpoint goes through the same pipeline, and a network of the demo checkpoint's size learns the
same clips from scratch: for as many passes over the clips, and for as many as help.

What is finished is kept: the same command again goes on where an earlier one stopped, in the
middle of a training too.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_bootstrap.demo.__main__ import DemoError, Rates, train_from_scratch
from stt_bootstrap.demo.corpora import SOURCE_CHECKPOINT
from stt_bootstrap.pipelines.local import run
from stt_model import cli
from stt_model.base import AUTO, atomic_write
from stt_model.network import import_tensorflow_quietly

MODEL_PACKAGE = "armspeech==0.1.4"
LANGUAGES = {"Russian": "ru", "Spanish": "es"}
ARMENIAN, DEMO, SCRATCH = "armenian", "demo", "scratch"
EPOCHS = 7
ARMENIAN_SETTINGS = {"learning_rate": 0.0002, "train_batch_size": 16, "augment": "none"}
"""A network of 47 million weights is not trained for hours on a laptop: few steps, large enough."""
_RATE = 16_000
_SHORTEST, _LONGEST = 0.4, 12.0
"""Seconds: what is shorter is a syllable or a beep, and long menus are few."""


@dataclass(frozen=True)
class Prompt:
    """A recording and its text."""

    path: Path
    text: str


@dataclass(frozen=True)
class Job:
    """One way to a model of one language."""

    language: str
    source: str
    """Where the weights come from: ARMENIAN, DEMO or SCRATCH."""
    settings: dict[str, Any]
    """Pipeline parameters besides dataset and checkpoint."""

    @property
    def folder(self) -> str:
        """Where it lies in the language's folder."""
        passes = self.settings["epochs"]
        return self.source if passes == AUTO else f"{self.source}-{passes}"

    @property
    def passes(self) -> str:
        """Its passes over the clips, in words."""
        passes = self.settings["epochs"]
        return "as many as help" if passes == AUTO else str(passes)

    def __str__(self) -> str:
        return f"{self.language} from {self.source}, passes: {self.passes}"


@dataclass(frozen=True)
class Row:
    """The result of a job."""

    wer: float
    cer: float
    seconds: float
    """Of the attempt that came to the end, without those that were broken off."""


def main() -> int:
    """Run the demo; return 0 if all models were made."""
    summary, _, story = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m stt_bootstrap.demo.human", description=summary, epilog=story
    )
    parser.add_argument("--output", type=Path, default=Path("demo-output/human"))
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=list(LANGUAGES))
    parser.add_argument(
        "--epochs", type=int, default=EPOCHS, help="passes of the Armenian model over the clips"
    )
    parser.add_argument("--clips", type=int, default=0, help="most to train on; 0 for all")
    parser.add_argument(
        "--mixed_precision",
        choices=("off", "bfloat16"),
        default="off",
        help="bfloat16 is faster on processors with AVX512_BF16 or AMX, and slower on others",
    )
    args = parser.parse_args()
    return cli.guard(lambda: _demo(args), debug=False)


def _demo(args: argparse.Namespace) -> int:
    import_tensorflow_quietly()
    output = args.output.resolve()
    model = fetch_model(output / "packages")
    for language in args.languages:
        tag, corpus = LANGUAGES[language], output / language.lower() / "corpus"
        write_corpus(fetch_speech(tag, output / "packages"), tag, corpus, args.clips)
    ways: list[tuple[str, dict[str, Any]]] = [
        (SCRATCH, {"epochs": args.epochs}),
        (DEMO, {"epochs": args.epochs}),
        (SCRATCH, {"epochs": AUTO}),
        (DEMO, {"epochs": AUTO}),
        (
            ARMENIAN,
            {
                **ARMENIAN_SETTINGS,
                "epochs": args.epochs,
                "mixed_precision": args.mixed_precision,
            },
        ),
    ]
    jobs = [
        Job(language, source, settings) for source, settings in ways for language in args.languages
    ]
    rows = []
    for job in jobs:
        place = output / job.language.lower()
        _say(f"{job} …")
        row = finish(job, place / "corpus", model, place / job.folder)
        rows.append((job, row))
        _say(f"{job}: WER {row.wer:.1%}, CER {row.cer:.1%} in {row.seconds:.0f} s")
    print(table(rows))
    return 0


def finish(job: Job, corpus: Path, model: Path, folder: Path) -> Row:
    """Do a job, or return its earlier result with the same clips."""
    done = folder / "result.json"
    asked = {
        "job": asdict(job),
        "clips": hashlib.sha256((corpus / "train.csv").read_bytes()).hexdigest(),
    }
    if done.exists():
        found = json.loads(done.read_text(encoding="utf-8"))
        if found["asked"] == asked:
            return Row(**found["row"])
    started = time.monotonic()
    if job.source == SCRATCH:
        # It takes a minute or two; a half of it is not worth keeping.
        shutil.rmtree(folder, ignore_errors=True)
        epochs = job.settings["epochs"]
        rates = train_from_scratch(corpus, folder, None if epochs == AUTO else epochs)
    else:
        source = model if job.source == ARMENIAN else SOURCE_CHECKPOINT
        rates = bootstrap(corpus, source, job.settings, folder)
    row = Row(rates.wer, rates.cer, time.monotonic() - started)
    with atomic_write(done) as temporary:
        temporary.write_text(json.dumps({"asked": asked, "row": asdict(row)}), encoding="utf-8")
    return row


def bootstrap(corpus: Path, source: Path, settings: dict[str, Any], folder: Path) -> Rates:
    """Take the source to the corpus's language by the compiled pipeline; rate what comes of it.

    What training saves stays in the folder, so that a run that was broken off goes on.
    """
    said = json.dumps([settings, str(corpus), (corpus / "train.csv").read_text("utf-8")])
    state = folder / f"state-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
    outcome = run(
        {
            "dataset_uri": str(corpus),
            "checkpoint_uri": str(source),
            "run_state_uri": str(state),
            **settings,
        },
        output_dir=folder,
        say=lambda line: _say(f"  {line}"),
    )
    if not outcome.succeeded or outcome.wer is None or outcome.cer is None:
        raise DemoError(f"{source}: {'; '.join(outcome.errors)}")
    return Rates(outcome.wer, outcome.cer)


def table(rows: Sequence[tuple[Job, Row]]) -> str:
    """Return the results of all jobs as Markdown."""
    lines = [
        "| language | source | passes | WER | CER | minutes |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {job.language} | {job.source} | {job.passes} | {row.wer:.0%} | {row.cer:.0%} |"
        f" {row.seconds / 60:.0f} |"
        for job, row in sorted(rows, key=lambda each: each[0].language)
    ]
    return "\n".join(lines)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# What the registries have


def fetch_model(folder: Path) -> Path:
    """Return the Armenian model's source package, which holds one .tflite file."""
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.glob("armspeech-*.tar.gz"))
    if not found:
        # It asks for an older Python than this may be, but nothing of it is run.
        options = ["--no-deps", "--no-binary", ":all:", "--ignore-requires-python", "--quiet"]
        _run([sys.executable, "-m", "pip", "download", *options, MODEL_PACKAGE], folder)
        found = sorted(folder.glob("armspeech-*.tar.gz"))
    return found[0]


def fetch_speech(tag: str, folder: Path) -> list[Prompt]:
    """Return the prompts of one language, with their texts."""
    place = folder / tag
    if not place.exists():
        names = [f"asterisk-core-sounds-{tag}", f"asterisk-core-sounds-{tag}-g722"]
        _run(["apt-get", "download", *names], folder)
        for package in sorted(folder.glob(f"asterisk-core-sounds-{tag}*.deb")):
            _run(["dpkg", "-x", str(package), tag], folder)
    (texts,) = place.rglob(f"core-sounds-{tag}.txt.gz")
    said = dict(_read_texts(texts))
    return [
        Prompt(path, said[name])
        for root in sorted(place.glob("usr/share/asterisk/sounds/*"))
        for path in sorted(root.rglob("*.g722"))
        if (name := path.relative_to(root).with_suffix("").as_posix()) in said
    ]


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise DemoError(f"{command[0]}: not on this machine; the demo needs Debian's") from error
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split())[-300:]
        raise DemoError(f"{' '.join(command)}: {reason}") from error


def _read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Names and texts, ``name: text`` a line; a ``;`` begins a comment."""
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, colon, text = line.strip().partition(":")
            if colon and not name.startswith(";"):
                yield name.strip(), text.strip()


# A corpus of them


def write_corpus(prompts: list[Prompt], tag: str, folder: Path, clips: int) -> None:
    """Write the prompts whose texts say what is said as a dataset; a tenth each for dev and test.

    Which split a prompt is in depends on its text alone, so that none is in two.
    """
    import csv

    import soundfile

    from stt_model.text import open_normaliser

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    normalise = open_normaliser(tag)
    rows: dict[str, list[tuple[str, int, str]]] = {"train": [], "dev": [], "test": []}
    for number, prompt in enumerate(prompts):
        written = normalise(prompt.text)
        if written.problem:
            continue
        samples = _decode(prompt.path)
        if not _SHORTEST <= len(samples) / _RATE <= _LONGEST:
            continue
        digit = int(hashlib.sha256(written.text.encode()).hexdigest(), 16) % 10
        split = {0: "dev", 1: "test"}.get(digit, "train")
        if split == "train" and clips and len(rows[split]) >= clips:
            continue
        path = folder / f"{number:04}.wav"
        soundfile.write(path, samples, _RATE, subtype="PCM_16")
        rows[split].append((path.name, path.stat().st_size, written.text))
    for split, lines in rows.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("wav_filename", "wav_filesize", "transcript"), *lines])
    print(f"{tag}: " + ", ".join(f"{len(lines)} {split}" for split, lines in rows.items()))


def _decode(path: Path) -> NDArray[np.int16]:
    """Return int16 [n] of a G.722 file, 16 kHz mono."""
    import av

    with av.open(path, format="g722") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(frames)


if __name__ == "__main__":
    sys.exit(main())
