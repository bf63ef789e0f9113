import json

import numpy as np
import pytest
import tensorflow as tf

from stt_model.alphabet import CharacterAlphabet
from stt_model.checkpoint import Geometry, open_checkpoint, read_weights, write_checkpoint
from stt_model.errors import TrainingError
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


def test_trains_and_leaves_the_best_and_the_last(dataset, source, tmp_path):
    result = train(config(dataset, source, tmp_path / "out", epochs=4))
    assert [epoch.number for epoch in result.epochs] == [1, 2, 3, 4]
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss
    last = open_checkpoint(tmp_path / "out", which="last")
    best = open_checkpoint(tmp_path / "out", which="best")
    assert last.step == 40 + 4 * 3
    assert best.step == 40 + result.best.number * 3
    assert last.alphabet == ALPHABET
    assert last.has_adam
    assert last.learning_rate == pytest.approx(0.002)
    before, after = read_weights(open_checkpoint(source)), read_weights(last)
    assert all(np.abs(after[name] - before[name]).max() > 0 for name in before)


def test_lineage_and_report_tell_where_it_comes_from(dataset, source, tmp_path):
    result = train(config(dataset, source, tmp_path / "out"))
    lineage = json.loads((tmp_path / "out" / "lineage.json").read_text(encoding="utf-8"))
    assert lineage["source"]["digest"] == open_checkpoint(source).digest()
    assert lineage["source_lineage"] == {"mode": "scratch"}
    assert lineage["learning_rate"] == 0.002
    assert len(lineage["train_digest"]) == 64
    report = result.to_markdown()
    assert "7 utterances" in report
    assert report.count("\n| ") == 2 + len(result.epochs)
    assert all(np.isfinite(list(result.metrics().values())))


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not(dataset, source, tmp_path):
    def weights(name, **changes):
        train(config(dataset, source, tmp_path / name, dropout_rate=0.2, **changes))
        return read_weights(open_checkpoint(tmp_path / name, which="last"))

    first, again, other = weights("first"), weights("again"), weights("other", random_seed=9)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


def test_without_a_dev_set_only_the_last_is_left(dataset, source, tmp_path):
    result = train(config(dataset, source, tmp_path / "out", dev_files=[], epochs=1))
    assert result.epochs[0].dev_loss is None
    assert "dev_loss" not in result.metrics()
    assert open_checkpoint(tmp_path / "out").which == "last"


def test_fine_tuning_in_place_leaves_the_files_of_the_source(dataset, source, tmp_path):
    place = tmp_path / "model"
    place.mkdir()
    for path in source.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    train(config(dataset, place, place, epochs=1))
    assert open_checkpoint(place, which="best").step == 43
    assert (place / "best_dev-40.index").read_bytes() == (source / "best_dev-40.index").read_bytes()
    assert (place / "best_dev-40.data-00000-of-00001").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs: expected 1 or more, got 0"),
        ({"train_batch_size": 0}, "--train_batch_size"),
        ({"learning_rate": float("nan")}, "--learning_rate"),
        ({"dropout_rate": 1.0}, "--dropout_rate: expected from 0 to below 1, got 1.0"),
        ({"train_files": []}, "--train_files"),
    ],
)
def test_impossible_settings_are_refused_by_name(dataset, source, tmp_path, changes, message):
    with pytest.raises(TrainingError, match=message):
        train(config(dataset, source, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_not_finite_names_the_utterances_and_saves_nothing(
    dataset, source, tmp_path
):
    with pytest.raises(TrainingError, match=r"is not finite: .*\.wav.*--learning_rate"):
        train(config(dataset, source, tmp_path / "out", learning_rate=1e30))
    assert not (tmp_path / "out").exists()


def test_replicas_do_what_one_device_does(dataset, source, tmp_path, monkeypatch):
    # conftest.py splits the CPU into four logical ones.
    devices = tf.config.list_logical_devices("CPU")
    assert len(devices) == 4
    weights = {}
    for replicas in (1, 2, 4):
        names = [device.name for device in devices[:replicas]]
        monkeypatch.setattr(
            "stt_model.training.training_strategy",
            lambda names=names: tf.distribute.MirroredStrategy(names),
        )
        out = tmp_path / str(replicas)
        settings = {"train_batch_size": 4, "dropout_rate": 0.0}
        train(config(dataset, source, out, **settings))
        weights[replicas] = read_weights(open_checkpoint(out, which="last"))
    for replicas in (2, 4):
        for name, expected in weights[1].items():
            np.testing.assert_allclose(weights[replicas][name], expected, atol=1e-5)
