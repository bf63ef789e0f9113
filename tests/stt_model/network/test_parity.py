"""Our features, network and loss against the numbers that Coqui STT 1.4.0 computed.

``tests/golden/README.md`` says what the golden files are and how they were made.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.cli import parser as cli
from stt_model.corpus.audio import read_audio
from stt_model.corpus.manifests import read_manifest
from stt_model.features.extraction import extract_features
from stt_model.network import layers as network

GOLDEN = Path(__file__).parents[2] / "golden"
CHECKPOINTS = {"alphabet": "latin", "bytes": "cyrillic", "layer_norm": "latin"}
CLIPS = {
    path.stem: path for path in sorted((GOLDEN / "audio").glob("*.*")) if path.suffix != ".csv"
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "parity.npz") as numbers:
        return dict(numbers)


@pytest.fixture(scope="module", params=CHECKPOINTS)
def checkpoint(request):
    return open_checkpoint(GOLDEN / "checkpoints" / request.param)


def test_the_clips_are_those_that_matter():
    assert set(CLIPS) == {"wav_16k", "flac_16k", "longer_16k", "wav_8k", "stereo_44k"}


@pytest.mark.parametrize("clip", CLIPS)
def test_features(golden, clip):
    features = extract_features(read_audio(CLIPS[clip]))
    np.testing.assert_allclose(features, golden[f"{clip}/features"], atol=1e-3)


def test_logits(golden, checkpoint):
    model = network.build(checkpoint.geometry)
    network.load_weights(model, checkpoint.geometry, read_weights(checkpoint))
    for clip, path in CLIPS.items():
        features = extract_features(read_audio(path))
        logits = np.asarray(model(features[np.newaxis]))[0]
        expected = golden[f"{checkpoint.directory.name}/{clip}/logits"]
        np.testing.assert_allclose(logits, expected, atol=1e-3, err_msg=clip)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_loss_of_each_utterance_on_the_command_line(golden, checkpoint, batch_size, tmp_path):
    name = checkpoint.directory.name
    output = tmp_path / "samples.json"
    arguments = ["evaluate", "--checkpoint_dir", str(checkpoint.directory)]
    arguments += ["--test_files", str(GOLDEN / "audio" / f"{CHECKPOINTS[name]}.csv")]
    arguments += ["--test_output_file", str(output), "--test_batch_size", str(batch_size)]
    assert cli.main(arguments) == 0
    samples = json.loads(output.read_text(encoding="utf-8"))
    losses = {Path(sample["wav_filename"]).stem: sample["loss"] for sample in samples}
    expected = {clip: float(golden[f"{name}/{clip}/loss"]) for clip in CLIPS}
    assert losses == pytest.approx(expected, rel=1e-3)
    by_coqui = json.loads((GOLDEN / "parity.json").read_text(encoding="utf-8"))[name]
    for clip, loss in by_coqui["loss_batch_1"].items():
        assert losses[clip] == pytest.approx(loss, rel=1e-3)


def test_samples_have_the_keys_of_coqui(checkpoint, tmp_path):
    output = tmp_path / "samples.json"
    manifest = GOLDEN / "audio" / f"{CHECKPOINTS[checkpoint.directory.name]}.csv"
    arguments = ["evaluate", "--checkpoint_dir", str(checkpoint.directory)]
    arguments += ["--test_files", str(manifest), "--test_output_file", str(output)]
    assert cli.main(arguments) == 0
    samples = json.loads(output.read_text(encoding="utf-8"))
    assert {utterance.transcript for utterance in read_manifest(manifest)} == {
        sample["src"] for sample in samples
    }
    for sample in samples:
        assert list(sample) == [
            "wav_filename",
            "src",
            "res",
            "loss",
            "char_distance",
            "char_length",
            "word_distance",
            "word_length",
            "cer",
            "wer",
        ]
        assert sample["char_length"] == len(sample["src"])
        assert sample["word_length"] == len(sample["src"].split())
        assert sample["wer"] == sample["word_distance"] / sample["word_length"]
