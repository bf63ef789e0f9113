"""Models whose features are cut out of sound in another way than usual."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from stt_model import jobs
from stt_model.base.errors import TrainingError
from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.checkpoint.surgery import operate
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.corpus.audio import read_audio
from stt_model.corpus.audio_settings import AudioSettings
from stt_model.evaluation.config import EvaluationConfig
from stt_model.evaluation.evaluator import evaluate
from stt_model.export.config import ExportConfig
from stt_model.export.exporter import export
from stt_model.features.extraction import extract_features, feature_settings
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.training.trainer import train
from tests.stt_model.training_runs import make_config

TELEPHONE = AudioSettings(8000, 25, 10)
FLAGS = {"audio_sample_rate": 8000, "feature_win_len": 25, "feature_win_step": 10}


@pytest.fixture(scope="module")
def telephone(source, tmp_path_factory):
    """The small checkpoint, as if it had been trained on telephone speech."""
    folder = tmp_path_factory.mktemp("telephone")
    checkpoint = open_checkpoint(source)
    write_checkpoint(folder, read_weights(checkpoint), checkpoint.alphabet, flags=FLAGS)
    return folder


@pytest.fixture(scope="module")
def trained(telephone, dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train(make_config(dataset, telephone, folder, epochs=1))
    return folder


def test_features_are_those_of_tensorflows_operations():
    samples = np.random.default_rng(1).uniform(-1, 1, 4000).astype(np.float32)
    spectrogram = tf.raw_ops.AudioSpectrogram(
        input=samples[:, np.newaxis], window_size=200, stride=80, magnitude_squared=True
    )
    expected = tf.raw_ops.Mfcc(
        spectrogram=spectrogram,
        sample_rate=8000,
        dct_coefficient_count=26,
        filterbank_channel_count=40,
        lower_frequency_limit=20,
        upper_frequency_limit=4000,
    )[0]
    found = extract_features(samples, TELEPHONE)
    np.testing.assert_array_equal(found, expected)
    assert len(found) == TELEPHONE.frame_count(4000) == 48


def test_clips_are_read_at_the_models_rate(dataset):
    clip = next(dataset.rglob("*.wav"))
    assert len(read_audio(clip, sample_rate=8000)) == pytest.approx(len(read_audio(clip)) / 2, 1)


def test_cached_features_are_not_mixed_up():
    assert feature_settings(TELEPHONE) != feature_settings()


def test_training_keeps_the_settings_and_is_evaluated_with_them(trained, telephone, dataset):
    assert open_checkpoint(trained).audio == TELEPHONE
    result = evaluate(EvaluationConfig([dataset / "test.csv"], trained))
    flags = json.loads((trained / "flags.txt").read_text())
    assert flags.items() >= FLAGS.items()
    (trained / "flags.txt").write_text(json.dumps(flags | {"audio_sample_rate": 16000}))
    other = evaluate(EvaluationConfig([dataset / "test.csv"], trained))
    (trained / "flags.txt").write_text(json.dumps(flags))
    losses = [[each.loss for each in found.samples] for found in (result, other)]
    assert losses[0] != losses[1]


def test_surgery_keeps_them(telephone, tmp_path):
    alphabet = CharacterAlphabet(" xyz")
    operate(telephone, tmp_path / "out", target_alphabet=alphabet, mode="transfer")
    assert open_checkpoint(tmp_path / "out").audio == TELEPHONE


def test_an_export_has_them_and_is_a_source_again(trained, dataset, tmp_path):
    config = ExportConfig(
        trained,
        tmp_path / "export",
        test_files=[dataset / "test.csv"],
        export_quantize=False,
        export_savedmodel=True,
    )
    # It compares what the files compute with what the checkpoint computes.
    export(config)
    found = open_checkpoint(tmp_path / "export" / "output_graph.tflite")
    assert found.audio == TELEPHONE
    assert found.digest() == open_checkpoint(trained).digest()
    clips = sorted(dataset.rglob("*.wav"))[:3]
    assert len(list(jobs.transcribe(found.prefix, clips))) == 3
    assert len(list(jobs.transcribe(trained, clips))) == 3


def test_augmentation_is_refused(telephone, dataset, tmp_path):
    config = make_config(dataset, telephone, tmp_path / "out")
    config = replace(config, augment="volume[p=1.0]")
    with pytest.raises(TrainingError, match="8000 Hz with windows of 25 ms every 10 ms"):
        train(config)
