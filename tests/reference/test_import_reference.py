"""Files of Coqui STT 1.4.0's own exporter as sources, and what is exported after training on them.

Needs STT_REFERENCE_DIR: a folder in which ``train/bin/python`` has ``coqui_stt_training``, and
``runtime/bin/python`` has ``stt``.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile

from stt_bootstrap.demo.corpora import SWAHILI_DEMO
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.checkpoint.lineage import was_quantised
from stt_model.corpus.audio import read_audio
from stt_model.corpus.manifests import Utterance, read_manifest, write_manifest
from stt_model.decoding.decoders import open_decoder
from stt_model.evaluation.config import EvaluationConfig
from stt_model.evaluation.evaluator import evaluate
from stt_model.export.tflite_conversion import RuntimeMetadata, convert
from stt_model.export.tflite_model import TfliteModel, as_logits, fill_up
from stt_model.training.config import TrainingConfig
from stt_model.training.trainer import train
from tests.golden.reference import copy_checkpoint, coqui
from tests.golden.reference import evaluate as evaluate_by_coqui
from tests.reference.test_export_reference import run_runtime

ROOT = Path(__file__).parents[2]
REFERENCE = Path(os.environ.get("STT_REFERENCE_DIR", "/none"))
pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(
        not all((REFERENCE / each / "bin" / "python").exists() for each in ("train", "runtime")),
        reason="STT_REFERENCE_DIR has no train/bin/python or no runtime/bin/python",
    ),
]

KINDS = {
    "alphabet": {"alphabet_config_path": "checkpoint/alphabet.txt"},
    "bytes": {"bytes_output_mode": "true"},
    "layer_norm": {"alphabet_config_path": "checkpoint/alphabet.txt", "layer_norm": "true"},
}
FORMS = {
    "float": {"export_quantize": "false"},
    "8-bit": {"export_quantize": "true"},
    "frozen": {"export_tflite": "false"},
}
CLIPS = 50
BEAM_WIDTH = 100


def export_by_coqui(kind: str, form: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Its converter is looked for on the path.
    monkeypatch.setenv("PATH", f"{REFERENCE / 'train' / 'bin'}:{os.environ['PATH']}")
    (folder / "checkpoint").symlink_to(ROOT / "tests" / "golden" / "checkpoints" / kind)
    flags = {
        "checkpoint_dir": "checkpoint",
        "export_dir": "export",
        "n_hidden": "32",
        **KINDS[kind],
        **FORMS[form],
    }
    coqui("export", flags, cwd=folder, log=folder / "export.log")
    return folder / "export" / f"output_graph.{'pb' if form == 'frozen' else 'tflite'}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_coquis_own_exports_hold_the_checkpoint(
    kind: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(ROOT / "tests" / "golden" / "checkpoints" / kind)
    found = open_checkpoint(export_by_coqui(kind, form, tmp_path, monkeypatch))
    assert (found.geometry, found.alphabet) == (checkpoint.geometry, checkpoint.alphabet)
    assert was_quantised(found.lineage) == (form == "8-bit")
    if form != "8-bit":
        assert found.digest() == checkpoint.digest()
        return
    expected = read_weights(checkpoint)
    for name, values in read_weights(found).items():
        step = max(found.model.variables[name].steps, default=0)
        np.testing.assert_allclose(values, expected[name], rtol=1e-6, atol=step / 2 * 1.0001)


def test_a_model_with_other_audio_settings_is_evaluated_as_by_coqui(tmp_path: Path) -> None:
    settings = {"audio_sample_rate": 8000, "feature_win_len": 40, "feature_win_step": 25}
    golden = ROOT / "tests" / "golden"
    copy_checkpoint(golden / "checkpoints" / "alphabet", tmp_path / "checkpoint")
    flags = tmp_path / "checkpoint" / "flags.txt"
    flags.write_text(json.dumps(json.loads(flags.read_text()) | settings))
    clips = sorted((golden / "audio").glob("*16k.wav"))
    rows = []
    for number, clip in enumerate(clips):
        # At the model's rate already: the two resample differently.
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, read_audio(clip, sample_rate=8000), 8000, subtype="PCM_16")
        rows.append(Utterance(path.name, path, path.stat().st_size, "a b", number + 1, path))
    write_manifest(tmp_path / "test.csv", rows)
    theirs = evaluate_by_coqui(
        tmp_path,
        "test.csv",
        "checkpoint",
        {"n_hidden": "32", **{name: str(value) for name, value in settings.items()}},
    )
    ours = evaluate(EvaluationConfig([tmp_path / "test.csv"], tmp_path / "checkpoint"))
    expected = {Path(each["wav_filename"]).name: each["loss"] for each in theirs}
    found = {Path(each.wav_filename).name: each.loss for each in ours.samples}
    assert found == pytest.approx(expected, rel=1e-4)
    assert len(found) == len(clips) >= 2


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint that training made of an 8-bit file in small steps, and a test set."""
    folder = tmp_path_factory.mktemp("swahili")
    corpus = folder / "corpus"
    write_corpus(replace(SWAHILI_DEMO, train=150, dev=10, test=CLIPS), corpus)
    english = open_checkpoint(ROOT / "demo" / "source_checkpoint")
    (folder / "english.tflite").write_bytes(_convert(english, stochastic=False))
    train(
        TrainingConfig(
            train_files=[corpus / "train.csv"],
            dev_files=[corpus / "dev.csv"],
            load_checkpoint_dir=folder / "english.tflite",
            save_checkpoint_dir=folder / "model",
            epochs=EPOCHS,
            train_batch_size=8,
            learning_rate=LEARNING_RATE,
            show_progressbar=False,
        )
    )
    return folder / "model", corpus / "test.csv"


EPOCHS = 6
LEARNING_RATE = 1e-4


def _convert(checkpoint, *, stochastic: bool, quantize: bool = True) -> bytes:
    metadata = RuntimeMetadata(checkpoint.alphabet, BEAM_WIDTH, "sw")
    weights = read_weights(checkpoint)
    return convert(weights, checkpoint.geometry, metadata, quantize=quantize, stochastic=stochastic)


@pytest.mark.parametrize("stochastic", [True, False])
def test_training_that_began_on_8_bits_survives_only_rounding_at_random(
    stochastic: bool, fine_tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    checkpoint, manifest = open_checkpoint(fine_tuned[0]), fine_tuned[1]
    assert was_quantised(checkpoint.lineage)
    rows = read_manifest(manifest)
    said = [row.transcript for row in rows]

    exact = tmp_path / "float.tflite"
    exact.write_bytes(_convert(checkpoint, stochastic=False, quantize=False))
    model = TfliteModel(exact)
    decoder = open_decoder(checkpoint.alphabet, beam_width=BEAM_WIDTH)
    logits = [as_logits(model.probabilities(fill_up(read_audio(row.path)))) for row in rows]
    ours = [decoder.decode(each[np.newaxis], [len(each)])[0] for each in logits]

    rounded = tmp_path / "rounded.tflite"
    rounded.write_bytes(_convert(checkpoint, stochastic=stochastic))
    theirs = run_runtime(rounded, [row.path for row in rows], tmp_path)
    loss = jiwer.cer(said, [each["whole"] for each in theirs]) - jiwer.cer(said, ours)
    # The other way throws the training away, or this test would show nothing.
    assert (loss < 0.02) == stochastic, loss
