"""How long evaluating a checkpoint takes, and Coqui STT's ``evaluate`` for the same checkpoint.

Run as ``make bench-evaluation`` or ``python -m tests.benchmarks.evaluation_speed``. Both are run by
their own command lines, from the start of the process to its end, in turn, over the demo's English
checkpoint, which Coqui trained, and synthesised English that it was not trained on; or over any
checkpoint and manifest, without a scorer. One evaluation by each comes first and does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from stt_bootstrap.demo.corpora import SOURCE
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model.checkpoint.directory import Checkpoint, open_checkpoint, read_weights
from stt_model.corpus.manifests import read_manifest
from stt_model.network.startup import import_tensorflow_quietly
from tests.benchmarks.decoding_speed import CHECKPOINT, write_scorer
from tests.benchmarks.trainers import LINES_SHOWN_ON_FAILURE, Coqui, timed_environment


@dataclass(frozen=True)
class Evaluation:
    """What one process made of the corpus: its seconds, and the text of each clip."""

    seconds: float
    texts: dict[str, str]


def evaluate(command: Sequence[str], output: Path) -> Evaluation:
    """Run an evaluation that writes Coqui's ``--test_output_file``.

    Raises:
        SystemExit: it failed; the end of its log says why.
    """
    started = time.perf_counter()
    run = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=timed_environment(),
    )
    seconds = time.perf_counter() - started
    if run.returncode:
        end = "\n".join(run.stdout.splitlines()[-LINES_SHOWN_ON_FAILURE:])
        raise SystemExit(f"{end}\nerror: {command[2]} ended with exit status {run.returncode}")
    rows = json.loads(output.read_text(encoding="utf-8"))
    return Evaluation(
        seconds, {Path(row["wav_filename"]).name: row["res"].rstrip(" ") for row in rows}
    )


def common_flags(
    checkpoint: Checkpoint, manifest: Path, scorer: Path | None, batch_size: int, output: Path
) -> list[str]:
    """Return the flags that mean the same to both."""
    flags: dict[str, object] = {
        "test_files": manifest,
        "checkpoint_dir": checkpoint.directory,
        "alphabet_config_path": checkpoint.directory / "alphabet.txt",
        "test_batch_size": batch_size,
        "test_output_file": output,
        "show_progressbar": "false",
    }
    if scorer:
        flags["scorer_path"] = scorer
    return [text for name, value in flags.items() for text in (f"--{name}", str(value))]


def commands(
    reference: Path, checkpoint: Checkpoint, common: Sequence[str], beam_width: int
) -> list[list[str]]:
    """Return our command and Coqui's, which takes the width of its beam from another flag."""
    width = str(beam_width)
    ours = [sys.executable, "-m", "stt_bootstrap.pipelines.cli", "evaluate", *common]
    coqui = [str(Coqui(reference).python), "-m", "coqui_stt_training.evaluate", *common]
    sizes = ["--n_hidden", str(checkpoint.geometry.n_hidden)]
    return [[*ours, "--beam_width", width], [*coqui, "--export_beam_width", width, *sizes]]


def changed_by_bfloat16(checkpoint: Checkpoint, manifest: Path) -> tuple[int, int]:
    """Return how many texts are others where the network computes in bfloat16, and how many at all.

    Texts are those of the best label of each frame: any search would differ at least as often.
    """
    import_tensorflow_quietly()
    from stt_model.corpus.audio import read_audio
    from stt_model.decoding.decoders import open_decoder
    from stt_model.features.batches import pad_features
    from stt_model.features.extraction import extract_features
    from stt_model.network import layers as network

    models = []
    for precision in ("float32", "mixed_bfloat16"):
        models.append(network.build(checkpoint.geometry, precision=precision))
        network.load_weights(models[-1], checkpoint.geometry, read_weights(checkpoint))
    decoder = open_decoder(checkpoint.alphabet, beam_width=1)
    changed = count = 0
    for row in read_manifest(manifest):
        features = pad_features([extract_features(read_audio(row.path))])
        logits = [np.asarray(model(features, training=False)) for model in models]
        frames = np.array([features.shape[1]], np.int32)
        exact, other = (decoder.decode(each, frames)[0] for each in logits)
        changed, count = changed + (exact != other), count + 1
    return changed, count


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate with both, without and with a scorer, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.evaluation_speed",
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--reference", type=Path, default=os.environ.get("STT_REFERENCE_DIR"))
    parser.add_argument("--utterances", type=int, default=1000)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--beam_width", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--manifest", type=Path, help="in place of synthesised English")
    args = parser.parse_args(arguments)
    if args.reference is None:
        parser.error("expected --reference or STT_REFERENCE_DIR, found neither")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = args.manifest
        if not manifest:
            write_corpus(replace(SOURCE, train=0, dev=0, test=args.utterances, seed=11), folder)
            manifest = folder / "test.csv"
        checkpoint = open_checkpoint(args.checkpoint)
        scorers = [None]
        if args.checkpoint == CHECKPOINT:
            scorers.append(write_scorer(folder, checkpoint.alphabet))
        said = {row.path.name: row.transcript for row in read_manifest(manifest)}
        print(
            f"{len(said)} utterances, n_hidden {checkpoint.geometry.n_hidden}, batch"
            f" {args.batch_size}, beam {args.beam_width};"
            f" medians of {args.runs} alternating run(s)\n\n"
            "| scorer | ours s | Coqui s | times as fast | identical | right |\n"
            "| --- | ---: | ---: | ---: | ---: | ---: |"
        )
        for scorer in scorers:
            output = folder / "output.json"
            common = common_flags(checkpoint, manifest, scorer, args.batch_size, output)
            pair = commands(args.reference, checkpoint, common, args.beam_width)
            runs = [[evaluate(command, output) for command in pair] for _ in range(args.runs + 1)]
            runs = runs[1:]
            ours, coquis = ([run[place] for run in runs] for place in (0, 1))
            same = sum(coquis[0].texts[clip] == text for clip, text in ours[0].texts.items())
            right = sum(said[clip] == text for clip, text in ours[0].texts.items())
            seconds = [median(each.seconds for each in group) for group in (ours, coquis)]
            print(
                f"| {'trigrams' if scorer else 'none'} | {seconds[0]:.1f} | {seconds[1]:.1f}"
                f" | {seconds[1] / seconds[0]:.1f} | {same / len(said):.1%}"
                f" | {right / len(said):.1%} |",
                flush=True,
            )
        changed, count = changed_by_bfloat16(checkpoint, manifest)
        print(f"\nbfloat16 would change {changed} of {count} texts")


if __name__ == "__main__":
    main()
