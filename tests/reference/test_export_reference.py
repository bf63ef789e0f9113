"""Exports in Coqui STT's own runtime 1.4.0: it understands what the checkpoint understands.

Needs STT_REFERENCE_DIR: a folder in which ``runtime/bin/python`` has ``stt``.

The runtime decodes by its own beam search, so it is compared with the beam search here at the same
width. It differs from evaluation in one thing: what is left of a clip after its last whole window
becomes one more frame, filled up with zeros, and may change a last letter. So transcripts are
compared both with clips as they are, and with clips filled up like that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from stt_bootstrap.demo.corpora import MACEDONIAN_DEMO, SOURCE
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.checkpoint.surgery import operate
from stt_model.corpus.audio import read_audio
from stt_model.corpus.manifests import read_manifest
from stt_model.decoding.decoders import open_decoder
from stt_model.export.config import ExportConfig
from stt_model.export.exporter import export
from stt_model.export.tflite_model import TfliteModel, as_logits, fill_up
from stt_model.network.ctc import ctc_loss
from stt_model.text.alphabet import Alphabet, BytesAlphabet, build_alphabet
from stt_model.training.config import TrainingConfig
from stt_model.training.trainer import train

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("STT_REFERENCE_DIR", "/none")) / "runtime" / "bin" / "python"
pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(not PYTHON.exists(), reason="STT_REFERENCE_DIR has no runtime/bin/python"),
]

CLIPS = 50
BEAM_WIDTH = 100
TRAINED = ("alphabet", "bytes", "new_alphabet")
KINDS = (*TRAINED, "layer_norm")


@dataclass(frozen=True)
class Spoken:
    """What one clip is to the runtime and to us."""

    whole: str
    streamed: str
    confidence: float
    ours: str
    ours_filled_up: str
    loss: float
    """CTC loss of the runtime's transcript, by our probabilities of the clip filled up."""
    loss_of_ours: float
    """The same of ``ours_filled_up``."""


def run_runtime(model: Path, clips: list[Path], folder: Path) -> list[dict]:
    job, result = folder / "job.json", folder / "result.json"
    job.write_text(json.dumps({"model": str(model), "clips": list(map(str, clips))}))
    script = Path(__file__).with_name("stt_runtime.py")
    run = subprocess.run([str(PYTHON), script, job, result], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(result.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("english")
    write_corpus(replace(SOURCE, train=1, dev=1, test=CLIPS), folder / "corpus")
    return folder / "corpus" / "test.csv"


@pytest.fixture(scope="module")
def macedonian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("macedonian")
    write_corpus(replace(MACEDONIAN_DEMO, dev=10, test=CLIPS), folder / "corpus")
    return folder / "corpus"


@pytest.fixture(scope="module")
def checkpoints(macedonian: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trained by Coqui STT, or brought from there to Macedonian, in letters and in bytes."""

    def transfer(alphabet: Alphabet) -> Path:
        folder = tmp_path_factory.mktemp("transferred")
        operate(
            ROOT / "demo" / "source_checkpoint",
            folder / "grafted",
            target_alphabet=alphabet,
            mode="transfer",
            drop_source_layers=1,
        )
        config = TrainingConfig(
            train_files=[macedonian / "train.csv"],
            dev_files=[macedonian / "dev.csv"],
            load_checkpoint_dir=folder / "grafted",
            save_checkpoint_dir=folder / "model",
            epochs=8,
            train_batch_size=8,
            learning_rate=0.001,
            dropout_rate=0.05,
            augment="none",
            show_progressbar=False,
        )
        train(config)
        return folder / "model"

    transcripts = [
        row.transcript for path in macedonian.glob("*.csv") for row in read_manifest(path)
    ]
    return {
        "alphabet": ROOT / "demo" / "source_checkpoint",
        "bytes": transfer(BytesAlphabet()),
        "new_alphabet": transfer(build_alphabet(transcripts)),
        "layer_norm": ROOT / "tests" / "golden" / "checkpoints" / "layer_norm",
    }


@pytest.fixture(scope="module")
def speak(
    checkpoints: dict[str, Path],
    english: Path,
    macedonian: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, bool], list[Spoken]]:
    """What runtime and project understand in every clip, by the kind of model and quantised or not.

    Ours are the checkpoint's transcripts or, quantised, those of the file in TensorFlow's own
    interpreter: what quantising itself changes is for the export's own check.
    """
    known: dict[tuple[str, bool], list[Spoken]] = {}

    def run(kind: str, quantize: bool) -> list[Spoken]:
        if (kind, quantize) not in known:
            manifest = macedonian / "test.csv" if kind in ("bytes", "new_alphabet") else english
            folder = tmp_path_factory.mktemp("export")
            known[kind, quantize] = _speak(checkpoints[kind], manifest, quantize, folder)
        return known[kind, quantize]

    return run


def _speak(checkpoint_dir: Path, manifest: Path, quantize: bool, folder: Path) -> list[Spoken]:
    config = ExportConfig(
        checkpoint_dir,
        folder / "out",
        test_files=[manifest],
        export_quantize=quantize,
        export_beam_width=BEAM_WIDTH,
        max_wer_change=0.05,
    )
    export(config)
    model_file = folder / "out" / "output_graph.tflite"
    clips = [row.path for row in read_manifest(manifest)]
    theirs = run_runtime(model_file, clips, folder)

    model = TfliteModel(model_file)
    alphabet = open_checkpoint(checkpoint_dir).alphabet
    decoder = open_decoder(alphabet, beam_width=BEAM_WIDTH)

    def decode(samples: np.ndarray) -> str:
        logits = as_logits(model.probabilities(samples))
        (text,) = decoder.decode(logits[np.newaxis], [len(logits)])
        return text

    def loss(samples: np.ndarray, text: bytes) -> float:
        logits = as_logits(model.probabilities(samples))[np.newaxis]
        labels = (
            [byte - 1 for byte in text] if alphabet.is_bytes else alphabet.encode(text.decode())
        )
        padded = np.array([[*labels, 0]], np.int32)
        return float(ctc_loss(logits, [logits.shape[1]], padded, [len(labels)])[0])

    spoken = []
    for clip, their in zip(clips, theirs, strict=True):
        samples = read_audio(clip)
        filled = fill_up(samples)
        whole, streamed = (
            their[way].encode(errors="surrogateescape") for way in ("whole", "streamed")
        )
        ours = decode(filled)
        spoken.append(
            Spoken(
                whole=whole.decode(errors="replace"),
                streamed=streamed.decode(errors="replace"),
                confidence=their["confidence"],
                ours=decode(samples),
                ours_filled_up=ours,
                loss=loss(filled, whole),
                loss_of_ours=loss(filled, ours.encode()),
            )
        )
    return spoken


BOTH = pytest.mark.parametrize("quantize", [False, True], ids=["float", "quantised"])


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_the_runtime_understands_the_same(kind, quantize, speak):
    spoken = speak(kind, quantize)
    different = [each for each in spoken if each.whole != each.ours_filled_up]
    assert len(different) <= (0 if kind in TRAINED else 0.06 * CLIPS), different
    # Where the model hardly knows what was said, the searches keep other beginnings of texts that
    # are as probable.
    assert all(abs(each.loss - each.loss_of_ours) < 1 for each in different), different


@BOTH
@pytest.mark.parametrize("kind", TRAINED)
def test_its_last_frame_changes_little(kind, quantize, speak):
    spoken = speak(kind, quantize)
    different = [each for each in spoken if each.whole != each.ours]
    assert len(different) <= 0.15 * CLIPS
    # Mostly the last letter.
    assert all(each.whole[:-4] == each.ours[: len(each.whole) - 4] for each in different)


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_streaming_is_the_same_as_the_whole_clip(kind, quantize, speak):
    assert all(each.streamed == each.whole for each in speak(kind, quantize))


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_the_runtime_computes_the_same_probabilities(kind, quantize, speak):
    """Its confidence in a text is the text's probability, less the paths that its search lost."""
    lost = [-each.loss - each.confidence for each in speak(kind, quantize)]
    assert min(lost) > (-0.1 if quantize else -1e-3)
    assert max(lost) < (0.5 if kind in TRAINED else 3)
    if kind in TRAINED:
        assert np.median(lost) < 0.01


def test_an_export_of_coqui_itself_is_read(tmp_path):
    """The file that its own training package exports of a checkpoint, by our interpreter."""
    trainer = PYTHON.parents[2] / "train" / "bin"
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(ROOT / "tests" / "golden" / "checkpoints" / "layer_norm", checkpoint)
    flags = {"n_hidden": 32, "layer_norm": "true", "export_quantize": "false"}
    flags |= {"checkpoint_dir": checkpoint, "export_dir": tmp_path / "theirs"}
    arguments = [str(part) for name, value in flags.items() for part in (f"--{name}", value)]
    # It looks for its Python on PATH, and what TensorFlow 2 leaves behind makes 1.15 behave as 2.
    environment = {name: value for name, value in os.environ.items() if name != "TF2_BEHAVIOR"}
    environment["PATH"] = f"{trainer}:{environment['PATH']}"
    command = [trainer / "python", "-m", "coqui_stt_training.export", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr

    export(ExportConfig(checkpoint, tmp_path / "ours", export_quantize=False))
    theirs = TfliteModel(tmp_path / "theirs" / "output_graph.tflite")
    ours = TfliteModel(tmp_path / "ours" / "output_graph.tflite")
    samples = read_audio(ROOT / "tests" / "golden" / "audio" / "wav_16k.wav")
    np.testing.assert_allclose(
        ours.probabilities(samples), theirs.probabilities(samples), atol=1e-5
    )
    metadata = {**theirs.read_metadata(), "metadata_language": b"und"}
    assert ours.read_metadata() == metadata
