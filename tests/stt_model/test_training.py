import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from stt_model.alphabet import CharacterAlphabet
from stt_model.checkpoint import Geometry, open_checkpoint, read_weights, write_checkpoint
from stt_model.errors import CheckpointError, TrainingError
from stt_model.surgery import initialise
from stt_model.training import TrainingConfig, train
from tests.corpora import write_tone_dataset

ALPHABET = CharacterAlphabet(" abcd")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_tone_dataset(tmp_path_factory.mktemp("tones"), train=7, other=3)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("source")
    geometry = Geometry(n_hidden=8, n_classes=ALPHABET.classes)
    lineage = {"mode": "scratch"}
    write_checkpoint(directory, initialise(geometry, seed=1), ALPHABET, step=40, lineage=lineage)
    return directory


def config(dataset, source, out, **changes):
    settings = {
        "train_files": [dataset / "train.csv"],
        "dev_files": [dataset / "dev.csv"],
        "load_checkpoint_dir": source,
        "save_checkpoint_dir": out,
        "epochs": 2,
        "train_batch_size": 3,
        "dev_batch_size": 2,
        "learning_rate": 0.002,
        "show_progressbar": False,
    }
    return TrainingConfig(**{**settings, **changes})


@pytest.fixture(scope="module")
def trained(dataset, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    return train(config(dataset, source, out, epochs=3, dropout_rate=0.2))


@pytest.fixture(scope="module")
def trained_without_dev_set(dataset, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("without-dev-set")
    return train(config(dataset, source, out, epochs=3, dropout_rate=0.2, dev_files=[]))


@pytest.fixture(scope="module")
def trained_in_place(dataset, source, tmp_path_factory):
    """With another seed, too."""
    place = tmp_path_factory.mktemp("in-place")
    shutil.copytree(source, place, dirs_exist_ok=True)
    return train(config(dataset, place, place, epochs=3, dropout_rate=0.2, random_seed=9))


def last_weights(result):
    return read_weights(open_checkpoint(result.checkpoint_dir, which="last"))


def test_trains_and_leaves_the_best_and_the_last(trained, source):
    assert [epoch.number for epoch in trained.epochs] == [0, 1, 2, 3]
    assert trained.epochs[-1].train_loss < trained.epochs[1].train_loss
    last = open_checkpoint(trained.checkpoint_dir, which="last")
    best = open_checkpoint(trained.checkpoint_dir, which="best")
    assert last.step == 40 + 3 * 3
    assert best.step == 40 + trained.best.number * 3
    assert last.alphabet == ALPHABET
    assert last.has_adam
    assert last.learning_rate == pytest.approx(0.002)
    before, after = read_weights(open_checkpoint(source)), read_weights(last)
    assert all(np.abs(after[name] - before[name]).max() > 0 for name in before)


def test_lineage_and_report_tell_where_it_comes_from(trained, source):
    lineage = json.loads((trained.checkpoint_dir / "lineage.json").read_text(encoding="utf-8"))
    assert lineage["source"]["digest"] == open_checkpoint(source).digest()
    assert lineage["source"]["lineage"] == {"mode": "scratch"}
    assert lineage["settings"]["learning_rate"] == 0.002
    assert len(lineage["train_digest"]) == 64
    report = trained.to_markdown()
    assert "7 utterances" in report
    assert report.count("\n| ") == 2 + len(trained.epochs)
    assert "![Learning curve](data:image/png;base64," in report
    assert "Best: epoch 3" in report
    assert all(np.isfinite(list(trained.metrics().values())))


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not(
    trained, trained_without_dev_set, trained_in_place
):
    first, again, other = map(last_weights, (trained, trained_without_dev_set, trained_in_place))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


def test_without_a_dev_set_only_the_last_is_left(trained_without_dev_set):
    assert trained_without_dev_set.epochs[0].dev_loss is None
    assert "dev_loss" not in trained_without_dev_set.metrics()
    assert open_checkpoint(trained_without_dev_set.checkpoint_dir).which == "last"


def test_fine_tuning_in_place_leaves_the_files_of_the_source(trained_in_place, source):
    place = trained_in_place.checkpoint_dir
    assert open_checkpoint(place, which="best").step == 40 + trained_in_place.best.number * 3
    for name in ("best_dev-40.index", "best_dev-40.data-00000-of-00001"):
        assert (place / name).read_bytes() == (source / name).read_bytes()


def test_a_directory_with_the_checkpoint_of_another_model_is_refused(dataset, source, tmp_path):
    other = CharacterAlphabet(" xyz")
    weights = initialise(Geometry(n_hidden=8, n_classes=other.classes), seed=1)
    write_checkpoint(tmp_path, weights, other)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match="save into another, empty directory"):
        train(config(dataset, source, tmp_path))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs: expected 1 or more, got 0"),
        ({"train_batch_size": 0}, "--train_batch_size"),
        ({"learning_rate": float("nan")}, "--learning_rate"),
        ({"dropout_rate": 1.0}, "--dropout_rate: expected from 0 to below 1, got 1.0"),
        ({"train_files": []}, "--train_files"),
        ({"clip_norm": -1.0}, "--clip_norm: expected 0 or more, got -1.0"),
        ({"plateau_reduction": 1.0}, "--plateau_reduction: expected between 0 and 1"),
        ({"dev_files": [], "early_stop": True}, "--early_stop: goes by the dev loss; give --dev"),
    ],
)
def test_impossible_settings_are_refused_by_name(dataset, source, tmp_path, changes, message):
    with pytest.raises(TrainingError, match=message):
        train(config(dataset, source, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def train_on_replicas(dataset, source, out):
    """Train the same on 1, 2 and 4 logical devices."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    for replicas in (1, 2, 4):
        strategy = tf.distribute.MirroredStrategy(
            devices[:replicas],
            # The default's groups of devices can have one size only in the life of a process.
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
        settings = config(
            *(dataset, source, out / str(replicas)),
            **{"train_batch_size": 4, "dropout_rate": 0.0, "clip_norm": 1.0},
        )
        with mock.patch("stt_model.training.training_strategy", return_value=strategy):
            train(settings)


def test_replicas_do_what_one_device_does(dataset, source, tmp_path):
    # Logical devices can only be made before a process first computes, so this takes a new one.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        process.submit(train_on_replicas, dataset, source, tmp_path).result()
    weights = {
        replicas: read_weights(open_checkpoint(tmp_path / str(replicas), which="last"))
        for replicas in (1, 2, 4)
    }
    for replicas in (2, 4):
        for name, expected in weights[1].items():
            np.testing.assert_allclose(weights[replicas][name], expected, atol=1e-5)
