"""How fast decoding under a scorer is, and Coqui STT's native decoder on the same logits.

Run as ``python -m tests.benchmarks.decoding_speed``. What is decoded, and what is not measured, is
in ``README.md`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import jiwer
import loky
import numpy as np
from numpy.typing import NDArray

from stt_bootstrap.demo.corpora import ENGLISH, SOURCE
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.corpus.manifests import read_manifest
from stt_model.decoding.beam_search import SearchSettings
from stt_model.decoding.decoders import ScorerDecoder
from stt_model.decoding.scorer import read_scorer, write_package
from stt_model.network.startup import import_tensorflow_quietly
from stt_model.text.alphabet import Alphabet

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "demo" / "source_checkpoint"
LANGUAGE_MODEL = ROOT / "tests" / "golden" / "scorers" / "words.binary"
UTTERANCES = 200


@dataclass(frozen=True)
class Utterances:
    """What a network made of utterances.

    ``said`` are the transcripts, ``logits`` float32 [batch, frames, classes] with padding behind
    the ``frames``, int32 [batch], of each; all the audio lasts ``seconds``.
    """

    said: list[str]
    logits: NDArray[np.float32]
    frames: NDArray[np.int32]
    seconds: float


@dataclass(frozen=True)
class Run:
    """What one decoder made of all utterances, and how long that took it."""

    texts: list[str]
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Runs of both decoders in turn, with the same settings."""

    said: list[str]
    ours: list[Run]
    coquis: list[Run]

    @property
    def identical(self) -> float:
        """The share of utterances with the same text; Coqui may leave a space at the end."""
        pairs = zip(self.ours[0].texts, self.coquis[0].texts, strict=True)
        return float(np.mean([ours == coquis.rstrip(" ") for ours, coquis in pairs]))

    @property
    def error_rates(self) -> tuple[float, float]:
        """Our and Coqui's word error rate."""
        ours, coquis = (jiwer.wer(self.said, runs[0].texts) for runs in (self.ours, self.coquis))
        return float(ours), float(coquis)

    @property
    def times_as_fast(self) -> float:
        """The median over the pairs of runs of Coqui's time over ours."""
        pairs = zip(self.ours, self.coquis, strict=True)
        return median(coquis.seconds / ours.seconds for ours, coquis in pairs)


class Coqui:
    """Coqui's decoder as a process in its own Python; see ``coqui_decoder.py``."""

    def __init__(self, reference: Path, utterances: Utterances, folder: Path) -> None:
        path = folder / "logits.npz"
        np.savez(path, logits=utterances.logits.astype(np.float64), frames=utterances.frames)
        script = Path(__file__).with_name("coqui_decoder.py")
        self._process = subprocess.Popen(
            [reference / "runtime" / "bin" / "python", script, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Coqui:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def decode(self, **job: Any) -> Run:
        assert self._process.stdin and self._process.stdout
        print(json.dumps(job), file=self._process.stdin, flush=True)
        return Run(**json.loads(self._process.stdout.readline()))


def speak_and_infer(folder: Path, count: int = UTTERANCES) -> tuple[Utterances, Alphabet]:
    """Synthesise English and put it through the demo's source checkpoint."""
    import_tensorflow_quietly()
    from stt_model.corpus.audio import read_audio
    from stt_model.features.batches import pad_features
    from stt_model.features.extraction import extract_features
    from stt_model.network import layers as network

    write_corpus(replace(SOURCE, train=0, dev=0, test=count, seed=11), folder / "corpus")
    checkpoint = open_checkpoint(CHECKPOINT)
    model = network.build(checkpoint.geometry)
    network.load_weights(model, checkpoint.geometry, read_weights(checkpoint))
    rows = read_manifest(folder / "corpus" / "test.csv")
    audio = [read_audio(row.path) for row in rows]
    features = [extract_features(samples) for samples in audio]
    # One at a time: that no padding is involved shows in every decoder's texts.
    each = [np.asarray(model(pad_features([one]), training=False))[0] for one in features]
    frames = np.array([len(logits) for logits in each], np.int32)
    logits = np.zeros((count, frames.max(), checkpoint.alphabet.classes), np.float32)
    for place, one in enumerate(each):
        logits[place, : len(one)] = one
    said = [row.transcript for row in rows]
    seconds = sum(len(samples) for samples in audio) / 16_000
    return Utterances(said, logits, frames, seconds), checkpoint.alphabet


def write_scorer(folder: Path, alphabet: Alphabet) -> Path:
    """Write a package of the demo's English words."""
    write_package(folder / "words.scorer", LANGUAGE_MODEL, ENGLISH, alphabet)
    return folder / "words.scorer"


def compare(
    utterances: Utterances,
    alphabet: Alphabet,
    scorer_path: Path,
    coqui: Coqui,
    *,
    beam_width: int,
    workers: int,
    runs: int = 1,
    lm_alpha: float | None = None,
    lm_beta: float | None = None,
) -> Comparison:
    """Decode with both, in turn; the first run of each is not counted."""
    scorer = read_scorer(scorer_path, alphabet)
    decoder = ScorerDecoder(scorer, alphabet.classes, SearchSettings(beam_width), workers)
    decoder.weigh(lm_alpha, lm_beta)
    job = {
        "labels": None if alphabet.is_bytes else alphabet.labels,
        "scorer": str(scorer_path),
        "alpha": decoder.weights.lm_alpha,
        "beta": decoder.weights.lm_beta,
        "beam_width": beam_width,
        "workers": workers,
    }

    def decode() -> Run:
        started = time.perf_counter()
        texts = decoder.decode(utterances.logits, utterances.frames)
        return Run(texts, time.perf_counter() - started)

    pairs = [(decode(), coqui.decode(**job)) for _ in range(runs + 1)][1:]
    ours, coquis = zip(*pairs, strict=True)
    return Comparison(utterances.said, list(ours), list(coquis))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reference", type=Path, default=os.environ.get("STT_REFERENCE_DIR"))
    parser.add_argument("--beam_width", type=int, nargs="+", default=[100, 500, 1024])
    parser.add_argument("--workers", type=int, default=loky.cpu_count())
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args(arguments)
    if args.reference is None:
        parser.error("expected --reference or STT_REFERENCE_DIR, found neither")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        utterances, alphabet = speak_and_infer(folder)
        scorer_path = write_scorer(folder, alphabet)
        coqui = stack.enter_context(Coqui(args.reference, utterances, folder))
        print(
            f"{len(utterances.said)} utterances, {utterances.seconds:.0f} s of audio,"
            f" {args.workers} workers, medians of {args.runs} alternating runs\n"
        )
        print("| beam width | ours s | Coqui s | times as fast | identical | WER | Coqui's WER |")
        print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        for beam_width in args.beam_width:
            comparison = compare(
                utterances,
                alphabet,
                scorer_path,
                coqui,
                beam_width=beam_width,
                workers=args.workers,
                runs=args.runs,
            )
            ours, coquis = comparison.error_rates
            print(
                f"| {beam_width} | {median(run.seconds for run in comparison.ours):.2f}"
                f" | {median(run.seconds for run in comparison.coquis):.2f}"
                f" | {comparison.times_as_fast:.2f} | {comparison.identical:.1%}"
                f" | {ours:.2%} | {coquis:.2%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
