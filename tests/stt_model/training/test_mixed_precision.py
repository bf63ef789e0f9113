"""Computing in 16 bits, with weights of 32."""

import dataclasses

import keras
import numpy as np
import pytest

from stt_model.base.errors import TrainingError
from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.layout import state_path
from stt_model.cli.parser import build_parser
from stt_model.network import layers as network
from stt_model.training import learner
from stt_model.training.learner import Learner
from stt_model.training.loss_scale import GROWTH_STEPS, LossScale
from stt_model.training.state import read_state
from stt_model.training.trainer import train
from tests.stt_model.training_runs import content, make_config

SETTINGS = {"epochs": 3, "dropout_rate": 0.0}


@pytest.fixture(scope="module")
def full(dataset, source, tmp_path_factory):
    """A run in float32."""
    return train(make_config(dataset, source, tmp_path_factory.mktemp("full"), **SETTINGS))


@pytest.fixture(scope="module", params=["float16", "bfloat16"])
def mixed(request, dataset, source, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    return train(make_config(dataset, source, out, mixed_precision=request.param, **SETTINGS))


def test_it_trains_almost_as_in_float32(full, mixed):
    for one, other in zip(full.epochs, mixed.epochs, strict=True):
        assert other.dev_loss == pytest.approx(one.dev_loss, rel=0.02)
    assert mixed.epochs[-1].dev_loss < mixed.epochs[0].dev_loss


def test_the_checkpoint_is_as_any_other(full, mixed):
    plain, last = (open_checkpoint(run.checkpoint_dir, "last") for run in (full, mixed))
    assert not last.mixed_precision
    assert last.has_adam
    expected, found = read_weights(plain), read_weights(last)
    assert {name: array.dtype for name, array in found.items()} == {
        name: np.dtype(np.float32) for name in expected
    }
    assert any(np.any(found[name] != expected[name]) for name in expected)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_weights_normalisation_and_logits_are_float32(precision):
    model = network.build(Geometry(8, 6, layer_norm=True), 0.1, 1, precision)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert model.output.dtype == "float32"
    computed_in = {
        layer.name: layer.compute_dtype
        for layer in model.layers
        if isinstance(
            layer, keras.layers.Dense | keras.layers.LSTM | keras.layers.LayerNormalization
        )
    }
    for name, dtype in computed_in.items():
        in_full = name.endswith("_norm") or name == "layer_6"
        assert dtype == ("float32" if in_full else precision.removeprefix("mixed_"))


@pytest.fixture
def overflowing(monkeypatch):
    """Start where float16 cannot hold the gradients: its largest number is 65504."""
    monkeypatch.setattr(learner, "LossScale", lambda: LossScale(2.0**40))


def test_a_gradient_too_large_for_float16_is_taken_again_with_a_lower_scale(
    dataset, source, tmp_path, overflowing, caplog
):
    out = tmp_path / "out"
    result = train(make_config(dataset, source, out, mixed_precision="float16", epochs=1))
    last = open_checkpoint(out, "last")
    state = read_state(state_path(last.prefix))
    # No step is lost, and none is taken for one whose data is bad.
    assert state.iterations == 3
    assert state.loss_scale.good_steps == 3
    assert 1 < state.loss_scale.factor < 2.0**40
    assert "not finite" not in caplog.text
    assert np.isfinite(result.epochs[-1].train_loss)


def test_a_step_that_overflows_changes_nothing(dataset, source, tmp_path, overflowing, monkeypatch):
    """With no lower scale to try, it is left out like any other that is not finite."""
    monkeypatch.setattr(LossScale, "shrink", lambda _: False)
    out = tmp_path / "out"
    config = make_config(
        *(dataset, source, out), mixed_precision="float16", max_non_finite_steps=2, dev_files=[]
    )
    with pytest.raises(TrainingError, match=r"the gradient is not finite: .*; 2 such steps in a"):
        train(config)
    before, after = content(source, "best"), content(out, "last")
    assert all(after[name] == before[name] for name in before)


def test_a_resumed_run_has_the_scale_that_it_had(
    dataset, source, tmp_path, overflowing, monkeypatch
):
    config = make_config(
        *(dataset, source, tmp_path / "whole"), mixed_precision="float16", dropout_rate=0.2
    )
    train(config)
    parts = dataclasses.replace(config, save_checkpoint_dir=tmp_path / "parts")
    train(dataclasses.replace(parts, epochs=1))
    scales = []
    step = Learner.train_step

    def watched(learner, batch):
        scales.append(learner.loss_scale.factor)
        return step(learner, batch)

    monkeypatch.setattr(Learner, "train_step", watched)
    train(parts)
    assert max(scales) < 2.0**40
    assert content(tmp_path / "parts", "last") == content(tmp_path / "whole", "last")
    ends = [open_checkpoint(tmp_path / name, "last").prefix for name in ("whole", "parts")]
    whole, resumed = (read_state(state_path(prefix)).loss_scale for prefix in ends)
    assert resumed == whole


def test_the_scale_goes_up_after_long_and_never_below_one():
    scale = LossScale(2.0)
    for _ in range(GROWTH_STEPS):
        scale.grow()
    assert scale == LossScale(4.0, 0)
    assert scale.shrink()
    assert scale.shrink()
    assert scale == LossScale(1.0, 0)
    assert not scale.shrink()


def test_an_unknown_precision_is_one_line(dataset, source, tmp_path):
    with pytest.raises(
        TrainingError, match="expected auto, off, float16 or bfloat16, found 'half'"
    ):
        train(make_config(dataset, source, tmp_path / "out", mixed_precision="half"))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "auto"),
        (["--automatic_mixed_precision"], "float16"),
        (["--automatic_mixed_precision", "false"], "off"),
        (["--mixed_precision", "bfloat16"], "bfloat16"),
    ],
)
def test_coquis_flag_means_float16(flags, expected):
    needed = ["train", "--train_files", "a.csv", "--checkpoint_dir", "b"]
    assert build_parser()[0].parse_args([*needed, *flags]).mixed_precision == expected
