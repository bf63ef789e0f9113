"""A published model and human speech: an Armenian .tflite file becomes Russian and Spanish.

The model is that of the package `armspeech`, the speech are the prompts of Debian's packages
`asterisk-core-sounds-ru` and `-es` (one speaker each, CC-BY-SA 3.0). Both are fetched from the
package registries by pip and apt-get, and are no part of this project. Beside it, the small demo
checkpoint goes through the same pipeline, and a network learns the same clips from scratch.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stt_bootstrap.demo.__main__ import SOURCE_CHECKPOINT, DemoError, Rates, train_from_scratch
from stt_bootstrap.pipelines.local import run
from stt_model import cli
from stt_model.network import import_tensorflow_quietly

MODEL_PACKAGE = "armspeech==0.1.4"
LANGUAGES = {"Russian": "ru", "Spanish": "es"}
EPOCHS = 7
RATES = {"armenian": 0.0002, "demo": 0.001}
_RATE = 16_000
_SHORTEST, _LONGEST = 0.4, 12.0
"""Seconds: what is shorter is a syllable or a beep, and long menus are few."""


@dataclass(frozen=True)
class Prompt:
    """A recording and what is said in it."""

    path: Path
    text: str


def main() -> int:
    """Run the demo; return 0 if all models were made."""
    summary, _, story = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m stt_bootstrap.demo.human", description=summary, epilog=story
    )
    parser.add_argument("--output", type=Path, default=Path("demo-output/human"))
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=list(LANGUAGES))
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the training clips")
    parser.add_argument("--clips", type=int, default=0, help="most to train on; 0 for all")
    args = parser.parse_args()
    return cli.guard(lambda: _demo(args), debug=False)


def _demo(args: argparse.Namespace) -> int:
    import_tensorflow_quietly()
    output = args.output.resolve()
    model = fetch_model(output / "packages")
    print(f"{'':<10}{'source':<12}{'WER / CER on test clips':>26}{'seconds':>10}", flush=True)
    for language in args.languages:
        tag, folder = LANGUAGES[language], output / language.lower()
        corpus = folder / "corpus"
        write_corpus(fetch_speech(tag, output / "packages"), tag, corpus, args.clips)
        for name, source in (("armenian", model), ("demo", SOURCE_CHECKPOINT), ("scratch", None)):
            started = time.monotonic()
            place = folder / name
            shutil.rmtree(place, ignore_errors=True)
            if source is None:
                rates = train_from_scratch(corpus, place, args.epochs)
            else:
                rates = bootstrap(corpus, source, RATES[name], place, args.epochs)
            shown = f"{rates.wer:.1%} / {rates.cer:.1%}"
            seconds = time.monotonic() - started
            print(f"{language:<10}{name:<12}{shown:>26}{seconds:>10.0f}", flush=True)
    return 0


def bootstrap(corpus: Path, source: Path, rate: float, folder: Path, epochs: int) -> Rates:
    """Take the source to the corpus's language by the compiled pipeline; rate what comes of it."""
    outcome = run(
        {
            "dataset_uri": str(corpus),
            "checkpoint_uri": str(source),
            "epochs": epochs,
            "learning_rate": rate,
            "train_batch_size": 16,
        },
        output_dir=folder,
        say=lambda line: print("   ", line, file=sys.stderr, flush=True),
    )
    if outcome.wer is None or outcome.cer is None:
        raise DemoError(f"{source}: {'; '.join(outcome.errors)}")
    return Rates(outcome.wer, outcome.cer)


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
