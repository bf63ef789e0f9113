"""How fast features are made of wav, flac and opus: beside decoding alone, and Coqui STT's.

Run as ``make bench-features`` or ``python -m tests.benchmarks.feature_speed``. Coqui reads wav and
opus only, by its own ways through a dataset of TensorFlow 1; it is measured where it is installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile

from stt_model.base import usable_cpus
from stt_model.network.startup import import_tensorflow_quietly
from tests.benchmarks.noise_corpus import write_noise_corpus
from tests.benchmarks.trainers import LINES_SHOWN_ON_FAILURE, timed_environment

KINDS = ("wav", "flac", "opus")
COQUI = Path(__file__).with_name("coqui_features.py")


def write_as(kind: str, clips: Sequence[Path], folder: Path) -> list[Path]:
    """Write wav files in another format, with the names that they had."""
    if kind == "wav":
        return list(clips)
    target = folder / kind
    target.mkdir()
    formats = {"flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}
    written = []
    for clip in clips:
        samples, rate = soundfile.read(clip, dtype="int16")
        path = target / f"{clip.stem}.{kind}"
        soundfile.write(path, samples, rate, format=formats[kind][0], subtype=formats[kind][1])
        written.append(path)
    return written


def seconds_of(work: Callable[[Path], object], clips: Sequence[Path], runs: int) -> float:
    """Return the seconds of the fastest of some passes over clips, on all cores."""
    fastest = float("inf")
    with ThreadPoolExecutor(usable_cpus()) as pool:
        for _ in range(runs):
            started = time.perf_counter()
            for _ in pool.map(work, clips):
                pass
            fastest = min(fastest, time.perf_counter() - started)
    return fastest


def coquis_seconds(reference: Path, clips: Sequence[Path]) -> float:
    """Return what Coqui takes for the same clips; see ``coqui_features.py``."""
    python = reference / "train" / "bin" / "python"
    run = subprocess.run(
        [str(python), str(COQUI)],
        input="\n".join(map(str, clips)),
        capture_output=True,
        text=True,
        check=False,
        env=timed_environment(),
    )
    if run.returncode:
        end = "\n".join(run.stderr.splitlines()[-LINES_SHOWN_ON_FAILURE:])
        raise SystemExit(f"{end}\nerror: {COQUI.name} ended with exit status {run.returncode}")
    return float(run.stdout.split()[-1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print seconds of audio a second for each format."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.feature_speed",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--reference", type=Path, default=os.environ.get("STT_REFERENCE_DIR"))
    args = parser.parse_args(arguments)
    import_tensorflow_quietly()
    from stt_model.corpus.audio import read_audio
    from stt_model.features.extraction import extract_features

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = write_noise_corpus(folder, args.clips)
        wavs = sorted(folder.glob("*.wav"))
        extract_features(read_audio(wavs[0]))
        print(f"{args.clips} clips, {corpus.seconds:.0f} s of audio, {usable_cpus()} cores\n")
        print(
            "| format | decoded, s/s | features, s/s | of decoding | Coqui's, s/s |\n"
            "| --- | ---: | ---: | ---: | ---: |"
        )
        for kind in KINDS:
            clips = write_as(kind, wavs, folder)
            decoded = seconds_of(read_audio, clips, args.runs)
            made = seconds_of(lambda clip: extract_features(read_audio(clip)), clips, args.runs)
            coquis = "not read"
            if args.reference is None:
                coquis = "not measured"
            elif kind == "wav":
                coquis = f"{corpus.seconds / coquis_seconds(args.reference, clips):.0f}"
            print(
                f"| {kind} | {corpus.seconds / decoded:.0f} | {corpus.seconds / made:.0f}"
                f" | {decoded / made:.0%} | {coquis} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
