"""Makes the golden checkpoints, audio and numbers of this folder with Coqui STT 1.4.0.

Run in the project's environment, with ``STT_REFERENCE_DIR`` set:

    python tests/golden/make_parity.py BUILD_DIR

README.md says what comes out. Nothing is replaced unless everything was made.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import reference
import soundfile
import soxr
from numpy.typing import NDArray

from stt_bootstrap.demo import corpora
from stt_bootstrap.demo.synthesis import CorpusSpec, synthesise, write_corpus

GOLDEN = Path(__file__).resolve().parent
NATIVE_RATE = 16_000
N_HIDDEN = 32
EPOCHS = 30
LARGEST_LOSS_DIFFERENCE = 1e-4  # relative, between Coqui's evaluation and its graph fed by us


CORPUS = CorpusSpec(
    words=corpora.ENGLISH,
    languages=("en-us",),
    variants=("m1", "m3", "f1", "f4"),
    held_out_variants=(),
    train=96,
    dev=16,
    test=0,
    seed=4,
)


@dataclass(frozen=True)
class Recipe:
    """A checkpoint to make: the script of the transcripts to measure it on, and its flags."""

    script: str
    bytes_output_mode: bool = False
    layer_norm: bool = False

    def flags(self) -> dict[str, str]:
        """The flags that Coqui must be given whenever it loads the checkpoint."""
        return {
            "bytes_output_mode": str(self.bytes_output_mode).lower(),
            "layer_norm": str(self.layer_norm).lower(),
        }


CHECKPOINTS = {
    "alphabet": Recipe("latin"),
    # Trained on ASCII all the same: Coqui's evaluation crashes on output that is not UTF-8, which
    # a model so small gives as soon as it has learnt bytes of longer characters.
    "bytes": Recipe("cyrillic", bytes_output_mode=True),
    "layer_norm": Recipe("latin", layer_norm=True),
}


@dataclass(frozen=True)
class Take:
    """A clip to speak: its file, its voice, and a transcript in either script."""

    file: str
    rate: int
    voice: str
    latin: str
    cyrillic: str
    stereo: bool = False


TAKES = (
    Take("wav_16k.wav", 16_000, "en-us+m3", "the winter was cold", "зимата беше студена"),
    Take("flac_16k.flac", 16_000, "en+f4", "seven birds fly south", "седум птици летаат"),
    Take(
        "longer_16k.wav",
        16_000,
        "en-us+steph",
        "it's a quiet village between two mountains",
        "тивко село меѓу две планини",
    ),
    Take("wav_8k.wav", 8_000, "en-us+m1", "bring me fresh bread", "донеси ми леб"),
    Take("stereo_44k.wav", 44_100, "en-us+f1", "music at noon", "музика", stereo=True),
)


def main() -> None:
    """Speak the clips, train the checkpoints, have Coqui compute, then put all in place."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("build", type=Path, metavar="BUILD_DIR", help="a new folder")
    build = parser.parse_args().build
    build.mkdir(parents=True)

    write_corpus(CORPUS, build / "corpus")
    reference.write_alphabet(build / "alphabet.txt")
    speak_takes(build / "audio")
    resampled = {
        Path(take.file).stem: read_resampled(build / "audio" / take.file)
        for take in TAKES
        if take.rate != NATIVE_RATE
    }
    np.savez(build / "samples.npz", **resampled)
    numbers = {f"{clip}/samples": samples for clip, samples in resampled.items()}
    report: dict[str, Any] = {}
    for name, recipe in CHECKPOINTS.items():
        train(build, name, recipe)
        computed = compute(build, name, recipe)
        report[name] = evaluate(build, name, recipe)
        compare(report[name], computed)
        for key, value in computed.items():
            numbers[key if key.endswith("/features") else f"{name}/{key}"] = value
    install(build, numbers, report)


def speak_takes(folder: Path) -> None:
    """Write the clips, and the manifests of them for each script."""
    folder.mkdir(exist_ok=True)
    for take in TAKES:
        speech, rate = synthesise(take.latin, take.voice)
        samples = soxr.resample(speech, rate, take.rate)
        if take.stereo:  # channels that differ, so that their mean is neither of them
            samples = np.stack([samples, 0.4 * np.roll(samples, take.rate // 200)], axis=1)
        soundfile.write(folder / take.file, samples, take.rate, subtype="PCM_16")
    native = [take for take in TAKES if take.rate == NATIVE_RATE]
    other = [take for take in TAKES if take.rate != NATIVE_RATE]
    for script in ("latin", "cyrillic"):
        write_manifest(folder / f"{script}.csv", TAKES, script)
        write_manifest(folder / f"{script}_16k.csv", native, script)
        write_manifest(folder / f"{script}_other_rates.csv", other, script)


def write_manifest(path: Path, takes: Iterable[Take], script: str) -> None:
    """Write Coqui's CSV for ``takes`` with their transcripts in ``script``."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["wav_filename", "wav_filesize", "transcript"])
        for take in takes:
            size = (path.parent / take.file).stat().st_size
            writer.writerow([take.file, size, getattr(take, script)])


def read_resampled(path: Path) -> NDArray[np.float32]:
    """Read a clip as the project does: float32 [n], channels averaged, soxr VHQ to 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate, NATIVE_RATE, quality="VHQ")


def train(build: Path, name: str, recipe: Recipe) -> None:
    """Train a small checkpoint with Coqui into ``build/checkpoints/NAME``."""
    alphabet = {} if recipe.bytes_output_mode else {"alphabet_config_path": "alphabet.txt"}
    reference.coqui(
        "train",
        {
            "train_files": "corpus/train.csv",
            "dev_files": "corpus/dev.csv",
            "checkpoint_dir": f"checkpoints/{name}",
            "summary_dir": f"summaries/{name}",
            "n_hidden": str(N_HIDDEN),
            "epochs": str(EPOCHS),
            "learning_rate": "0.001",
            "train_batch_size": "8",
            "dev_batch_size": "8",
            "skip_batch_test": "true",
            "max_to_keep": "1",
            "show_progressbar": "false",
            **alphabet,
            **recipe.flags(),
        },
        cwd=build,
        log=build / f"train_{name}.log",
    )


def compute(build: Path, name: str, recipe: Recipe) -> dict[str, NDArray[np.float32]]:
    """Features, logits and loss of every clip, from Coqui's graph."""
    flags = recipe.flags()
    subprocess.run(
        [
            *(str(reference.python()), str(GOLDEN / "coqui_parity.py")),
            *(f"checkpoints/{name}", f"audio/{recipe.script}.csv", "samples.npz", f"{name}.npz"),
            *(flags["bytes_output_mode"], flags["layer_norm"]),
        ],
        cwd=build,
        check=True,
    )
    return dict(np.load(build / f"{name}.npz"))


def evaluate(build: Path, name: str, recipe: Recipe) -> dict[str, Any]:
    """Losses by clip from Coqui's own evaluation, one clip a batch and three clips a batch."""

    def losses(manifest: str, batch_size: int) -> dict[str, float]:
        samples = reference.evaluate(
            build,
            f"audio/{recipe.script}_{manifest}.csv",
            f"checkpoints/{name}",
            {"test_batch_size": str(batch_size), **recipe.flags()},
        )
        return {Path(sample["wav_filename"]).stem: sample["loss"] for sample in samples}

    return {
        "loss_batch_1": losses("16k", 1),
        "loss_batch_3": losses("16k", 3),
        "loss_with_coquis_resampler": losses("other_rates", 1),
    }


def compare(evaluated: dict[str, Any], computed: dict[str, NDArray[np.float32]]) -> None:
    """Make sure that the numbers are worth comparing with.

    The graph that gave them must be the one that Coqui evaluates with, and the network alive: one
    whose rectifiers have all died gives the same logits for every frame.
    """
    for key, logits in computed.items():
        if key.endswith("/logits"):
            assert np.ptp(logits, axis=0).max() > 1, f"{key} do not depend on the audio"
    for batch in ("loss_batch_1", "loss_batch_3"):
        for clip, loss in evaluated[batch].items():
            np.testing.assert_allclose(
                computed[f"{clip}/loss"], loss, rtol=LARGEST_LOSS_DIFFERENCE, err_msg=clip
            )


def install(build: Path, numbers: dict[str, NDArray[np.float32]], report: dict[str, Any]) -> None:
    """Replace this folder's checkpoints, audio and numbers."""
    shutil.rmtree(GOLDEN / "audio", ignore_errors=True)
    shutil.copytree(build / "audio", GOLDEN / "audio")
    for name in CHECKPOINTS:
        reference.copy_checkpoint(build / "checkpoints" / name, GOLDEN / "checkpoints" / name)
    np.savez_compressed(GOLDEN / "parity.npz", **numbers)
    text = json.dumps(report, indent=2, sort_keys=True)
    (GOLDEN / "parity.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
