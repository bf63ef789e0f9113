import dataclasses
import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from stt_model.base.errors import CheckpointError, TrainingError
from stt_model.checkpoint.directory import open_checkpoint, read_moments, read_weights
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.surgery import initialise
from stt_model.checkpoint.writing import write_checkpoint
from stt_model.text.alphabet import CharacterAlphabet
from stt_model.training import feed
from stt_model.training.learner import Learner
from stt_model.training.trainer import train
from tests.stt_model.training_runs import (
    ALPHABET,
    SOURCE_STEP,
    make_config,
)


@pytest.fixture(scope="module")
def trained(dataset, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    return train(make_config(dataset, source, out, epochs=3, dropout_rate=0.2))


@pytest.fixture(scope="module")
def trained_without_dev_set(dataset, source, tmp_path_factory):
    out = tmp_path_factory.mktemp("without-dev-set")
    return train(make_config(dataset, source, out, epochs=3, dropout_rate=0.2, dev_files=[]))


@pytest.fixture(scope="module")
def trained_in_place(dataset, source, tmp_path_factory):
    """With another seed, too."""
    place = tmp_path_factory.mktemp("in-place")
    shutil.copytree(source, place, dirs_exist_ok=True)
    return train(make_config(dataset, place, place, epochs=3, dropout_rate=0.2, random_seed=9))


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
        train(make_config(dataset, source, tmp_path))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs: expected a whole number, 1 or more, or auto, found 0"),
        ({"train_batch_size": 0}, "--train_batch_size"),
        ({"learning_rate": float("nan")}, "--learning_rate"),
        ({"dropout_rate": 1.0}, "--dropout_rate: expected a number from 0 to below 1, or auto, fo"),
        ({"train_files": []}, "--train_files"),
        ({"clip_norm": -1.0}, "--clip_norm: expected a number, 0 or more, found -1.0"),
        ({"plateau_reduction": 1.0}, "--plateau_reduction: expected a number between 0 and 1"),
        (
            {"dev_files": [], "early_stop": True},
            "--early_stop: depends on the dev loss; give --dev",
        ),
    ],
)
def test_impossible_settings_are_refused_by_name(dataset, source, tmp_path, changes, message):
    with pytest.raises(TrainingError, match=message):
        train(make_config(dataset, source, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def train_on_replicas(dataset, source, out):
    """Train the same ten steps on 1, 2 and 4 logical devices."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    for replicas in (1, 2, 4):
        strategy = tf.distribute.MirroredStrategy(
            devices[:replicas],
            # The default's groups of devices can have one size only in the life of a process.
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
        settings = make_config(
            *(dataset, source, out / str(replicas)),
            **{"train_batch_size": 4, "dropout_rate": 0.0, "clip_norm": 1.0, "epochs": 5},
        )
        with mock.patch("stt_model.training.loop.training_strategy", return_value=strategy):
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


def test_the_source_can_be_the_best(dataset, source, tmp_path):
    """Steps so large that they can only make it worse."""
    out = tmp_path / "out"
    result = train(
        make_config(
            *(dataset, source, out),
            **{"learning_rate": 2.0, "epochs": 9},
            **{"early_stop": True, "es_epochs": 1},
        )
    )
    assert result.best.number == 0
    assert result.epochs[-1].number == 1
    assert "the best is the source itself" in result.to_markdown()
    assert "Stopped early: no improvement in 1 epoch(s)" in result.to_markdown()
    expected = read_weights(open_checkpoint(source))
    best = read_weights(open_checkpoint(out, "best"))
    assert all(np.array_equal(best[name], expected[name]) for name in expected)


@pytest.fixture
def poisoned(monkeypatch):
    """Make every loss of chosen batches infinite."""

    def poison(chosen):
        take = feed.batch_dataset

        def broken(store, batches, *more):
            for number, arrays in enumerate(take(store, batches, *more)):
                bad = number in chosen and len(batches) == 3
                yield {**arrays, "frames": arrays["frames"] * (not bad)}

        monkeypatch.setattr(feed, "batch_dataset", broken)

    return poison


def test_a_step_whose_loss_is_not_finite_is_left_out(
    dataset, source, tmp_path, poisoned, caplog, monkeypatch
):
    poisoned([1])
    seen = []
    step = Learner.train_step

    def watched(learner, batch):
        before = learner.weights()
        found = step(learner, batch)
        same = all(np.array_equal(before[name], now) for name, now in learner.weights().items())
        seen.append((found.applied, same, learner.iterations))
        return found

    monkeypatch.setattr(Learner, "train_step", watched)
    result = train(make_config(dataset, source, tmp_path / "out", epochs=1))
    assert seen == [(True, False, 1), (False, True, 1), (True, False, 2)]
    assert np.isfinite(result.epochs[-1].train_loss)
    assert open_checkpoint(tmp_path / "out", "last").step == SOURCE_STEP + 2
    warning = next(message for message in caplog.messages if "not finite" in message)
    assert warning.startswith("epoch 1, batch 2: the loss of 3 utterance(s) is not finite: ")
    assert warning.count(".wav") == 3
    assert warning.endswith("; the step is left out")


def test_too_many_such_steps_in_a_row_end_the_run(dataset, source, tmp_path, poisoned):
    poisoned([1, 2])
    config = make_config(dataset, source, tmp_path / "out", max_non_finite_steps=2)
    with pytest.raises(TrainingError, match=r"batch 3: .*\.wav; 2 such steps in a row; .*rate"):
        train(config)
    expected = read_weights(open_checkpoint(source))
    kept = read_weights(open_checkpoint(tmp_path / "out", "best"))
    assert all(np.array_equal(kept[name], expected[name]) for name in expected)


def test_clipping_shortens_a_step(dataset, source, tmp_path):
    """Adam's first moment after one step is a tenth of the gradient."""
    out = tmp_path / "out"
    config = make_config(dataset, source, out, epochs=1, train_batch_size=7, dev_files=[])
    train(dataclasses.replace(config, clip_norm=0.01))
    moments = read_moments(open_checkpoint(out, "last")).values()
    gradient = 10 * np.sqrt(sum(np.sum(first**2) for first, _ in moments))
    assert gradient == pytest.approx(0.01, rel=1e-4)


def test_a_directory_that_cannot_be_written_to_ends_it_before_the_first_step(
    dataset, source, tmp_path, monkeypatch
):
    monkeypatch.setattr(Learner, "train_step", lambda *_: pytest.fail("trained"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot write the checkpoint: Not a directory"):
        train(make_config(dataset, source, tmp_path / "file" / "out"))
