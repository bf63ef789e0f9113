"""Epochs in which only the layers that surgery made new are trained."""

import dataclasses

import numpy as np
import pytest

from stt_model.base.errors import TrainingError
from stt_model.checkpoint.directory import open_checkpoint, read_moments, read_weights
from stt_model.checkpoint.surgery import operate, variables_of
from stt_model.training.dev_set import DevFigures
from stt_model.training.learner import Learner
from stt_model.training.trainer import train
from tests.stt_model.training_runs import (
    ALPHABET,
    content,
    make_config,
    write_source,
)

NEW = ("layer_5", "layer_6")


@pytest.fixture(
    scope="module",
    params=[False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["plain", "layer_norm"],
)
def grafted(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("surgery")
    source = write_source(folder / "source", layer_norm=request.param)
    operate(
        *(source, folder / "grafted"),
        **{"target_alphabet": ALPHABET, "mode": "transfer", "drop_source_layers": 2},
    )
    return folder / "grafted"


@pytest.fixture(scope="module")
def frozen_once(dataset, grafted, tmp_path_factory):
    """Three epochs, of which the first trains the new layers only."""
    out = tmp_path_factory.mktemp("frozen")
    config = make_config(
        *(dataset, grafted, out), epochs=1, freeze_source_epochs=1, dropout_rate=0.2
    )
    train(config)
    after_one = content(out, "last")
    result = train(dataclasses.replace(config, epochs=3))
    return result, after_one


def changed(grafted, arrays):
    """Return the names of the weights that are not those of the start."""
    before = content(grafted, "best")
    return {name for name in before if arrays[name] != before[name]}


def test_only_new_layers_move_and_then_all_do(grafted, frozen_once):
    result, after_one = frozen_once
    geometry = open_checkpoint(grafted).geometry
    new = {name for layer in NEW for name in variables_of(layer, geometry)}
    assert changed(grafted, after_one) == new
    assert changed(grafted, content(result.checkpoint_dir, "last")) == set(geometry.shapes())
    assert "Up to epoch 1 only the new layers were trained." in result.to_markdown()


def test_a_run_in_one_piece_ends_with_the_same_bits(
    dataset, grafted, frozen_once, tmp_path, caplog
):
    caplog.set_level("INFO")
    result, _ = frozen_once
    train(dataclasses.replace(result.config, save_checkpoint_dir=tmp_path / "whole"))
    assert content(tmp_path / "whole", "last") == content(result.checkpoint_dir, "last")
    assert "up to epoch 1 only the new layers are trained: layer_5, layer_6" in caplog.text
    assert "epoch 2: training all layers from now on" in caplog.text


def test_layers_that_thaw_take_steps_of_the_learning_rate(dataset, grafted, tmp_path, monkeypatch):
    """And not of three times that, as with an Adam that has gone on without them."""
    moved = []
    step = Learner.train_step

    def watched(learner, batch):
        before = learner.weights()
        found = step(learner, batch)
        after = learner.weights()
        moved.append(max(np.abs(np.subtract(after[name], before[name])).max() for name in before))
        return found

    monkeypatch.setattr(Learner, "train_step", watched)
    train(make_config(dataset, grafted, tmp_path / "out", freeze_source_epochs=1))
    assert len(moved) == 6
    assert moved[3] == pytest.approx(0.002, rel=1e-3)


def test_a_plateau_after_the_thaw_goes_back_to_frozen_epochs_without_their_moments(
    dataset, grafted, tmp_path, monkeypatch
):
    losses = iter([9.0, 5.0, 6.0, 7.0])
    monkeypatch.setattr(
        "stt_model.training.loop.TrainingLoop._measure_dev",
        lambda *_: DevFigures(next(losses), 1.0, 1.0),
    )
    out = tmp_path / "out"
    config = make_config(
        *(dataset, grafted, out),
        **{"epochs": 3, "freeze_source_epochs": 1},
        **{"reduce_lr_on_plateau": True, "plateau_epochs": 2},
    )
    result = train(config)
    assert result.best.number == 1
    best, last = open_checkpoint(out, "best"), open_checkpoint(out, "last")
    before, after = read_weights(best), read_weights(last)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert np.any(read_moments(best)["layer_6/bias"])
    assert not last.has_adam


def test_without_new_layers_it_is_one_line(dataset, tmp_path):
    config = make_config(
        *(dataset, write_source(tmp_path / "source"), tmp_path / "out"), freeze_source_epochs=1
    )
    with pytest.raises(TrainingError, match="was not made by replacing layers; replace some with"):
        train(config)
    assert not (tmp_path / "out").exists()
