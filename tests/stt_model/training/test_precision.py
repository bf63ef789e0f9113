"""What a run computes in where it may choose: by a measurement, kept over a resume, looked back."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from stt_model.base.errors import TrainingError
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.checkpoint.geometry import Geometry
from stt_model.checkpoint.layout import state_path
from stt_model.network import arithmetic
from stt_model.network.devices import training_strategy
from stt_model.training import precision
from stt_model.training.learner import Learner
from stt_model.training.precision import Difference, Precision, choose_precision
from stt_model.training.state import read_state
from stt_model.training.trainer import train
from tests.stt_model.training_runs import content, make_config


@pytest.fixture
def fast(monkeypatch):
    """Have every width measured, and bfloat16 found to be twice as fast."""
    monkeypatch.setattr(precision, "NARROW", 1)
    pretend(monkeypatch, 2.0)


def pretend(monkeypatch, speed):
    monkeypatch.setattr("stt_model.network.multiplies_bfloat16", lambda: speed > 0, raising=False)
    monkeypatch.setattr("stt_model.network.bfloat16_speed", lambda *_: speed, raising=False)


def computed_in(out):
    return read_state(state_path(open_checkpoint(out, "last").prefix)).precision


def test_small_networks_are_not_measured(dataset, source, tmp_path, monkeypatch):
    monkeypatch.setattr("stt_model.network.bfloat16_speed", None, raising=False)
    auto = make_config(dataset, source, tmp_path / "auto", mixed_precision="auto", epochs=1)
    train(auto)
    off = dataclasses.replace(auto, save_checkpoint_dir=tmp_path / "off", mixed_precision="off")
    train(off)
    assert computed_in(tmp_path / "auto").name == "off"
    assert content(tmp_path / "auto", "last") == content(tmp_path / "off", "last")


@pytest.mark.parametrize(
    ("speed", "expected"), [(0.0, "off"), (1.2, "off"), (1.3, "bfloat16"), (4.0, "bfloat16")]
)
def test_bfloat16_is_taken_where_it_is_clearly_faster(
    dataset, source, tmp_path, monkeypatch, speed, expected
):
    pretend(monkeypatch, speed)
    config = make_config(dataset, source, tmp_path, mixed_precision="auto", train_batch_size=4)
    wide, narrow = Geometry(2048, 29), Geometry(511, 29)
    assert choose_precision(config, wide, training_strategy()).name == expected
    assert choose_precision(config, narrow, training_strategy()).name == "off"
    for asked in ("off", "float16", "bfloat16"):
        config = dataclasses.replace(config, mixed_precision=asked)
        assert choose_precision(config, wide, training_strategy()).name == asked


def test_the_choice_is_in_log_report_and_lineage(dataset, source, tmp_path, fast, caplog):
    caplog.set_level("INFO")
    result = train(make_config(dataset, source, tmp_path, mixed_precision="auto", epochs=1))
    said = "in bfloat16 (products are 2.0 times as fast in bfloat16)"
    assert said in caplog.text
    assert f"computed {said}" in result.to_markdown()
    lineage = json.loads((tmp_path / "lineage.json").read_text())
    assert lineage["precision"]["name"] == "bfloat16"
    assert lineage["settings"]["mixed_precision"] == "auto"


def test_it_computes_as_if_bfloat16_had_been_asked_for(dataset, source, tmp_path, fast):
    auto = make_config(
        *(dataset, source, tmp_path / "auto"), mixed_precision="auto", epochs=2, dropout_rate=0.2
    )
    train(auto)
    asked = dataclasses.replace(
        auto, save_checkpoint_dir=tmp_path / "asked", mixed_precision="bfloat16"
    )
    train(asked)
    assert content(tmp_path / "auto", "last") == content(tmp_path / "asked", "last")


@pytest.mark.parametrize("began", ["bfloat16", "off"])
def test_a_resumed_run_keeps_what_it_began_with_bit_for_bit(
    dataset, source, tmp_path, fast, monkeypatch, began
):
    pretend(monkeypatch, 2.0 if began == "bfloat16" else 1.0)
    whole = make_config(
        *(dataset, source, tmp_path / "whole"), mixed_precision="auto", epochs=3, dropout_rate=0.2
    )
    train(whole)
    parts = dataclasses.replace(whole, save_checkpoint_dir=tmp_path / "parts")
    train(dataclasses.replace(parts, epochs=1))
    # On another machine, where the measurement would say the other thing.
    pretend(monkeypatch, 1.0 if began == "bfloat16" else 2.0)
    train(parts)
    assert computed_in(tmp_path / "parts").name == began
    assert content(tmp_path / "parts", "last") == content(tmp_path / "whole", "last")


def test_a_run_that_was_asked_for_float32_goes_on_so_under_auto(dataset, source, tmp_path, fast):
    """As the runs of versions whose default was float32."""
    whole = make_config(dataset, source, tmp_path / "whole", mixed_precision="off", epochs=2)
    train(whole)
    parts = dataclasses.replace(whole, save_checkpoint_dir=tmp_path / "parts")
    train(dataclasses.replace(parts, epochs=1))
    train(dataclasses.replace(parts, mixed_precision="auto"))
    assert content(tmp_path / "parts", "last") == content(tmp_path / "whole", "last")
    with pytest.raises(TrainingError, match="--mixed_precision was off, is bfloat16"):
        train(dataclasses.replace(parts, mixed_precision="bfloat16"))


def test_a_run_that_was_saved_before_its_choice_makes_it_when_it_goes_on(
    dataset, source, tmp_path, fast
):
    """As where the store of the clips failed at the first of them."""
    config = make_config(dataset, source, tmp_path, mixed_precision="auto", epochs=1)
    train(config)
    path = state_path(open_checkpoint(tmp_path, "last").prefix)
    path.write_text(json.dumps({**json.loads(path.read_text()), "precision": None}))
    train(dataclasses.replace(config, epochs=2))
    assert computed_in(tmp_path).name == "bfloat16"


def test_where_16_bits_change_too_much_the_run_is_in_float32(
    dataset, source, tmp_path, fast, monkeypatch, caplog
):
    monkeypatch.setattr(precision, "GRADIENT_BOUND", 1e-9)
    auto = make_config(dataset, source, tmp_path / "auto", mixed_precision="auto", epochs=1)
    result = train(auto)
    said = (each for each in caplog.records if each.name == precision.__name__)
    (line,) = (each.getMessage() for each in said if each.levelname == "WARNING")
    assert line.startswith("computing in float32 after all: the first batch has a loss ")
    assert result.precision.name == computed_in(tmp_path / "auto").name == "off"
    off = dataclasses.replace(auto, save_checkpoint_dir=tmp_path / "off", mixed_precision="off")
    train(off)
    assert content(tmp_path / "auto", "last") == content(tmp_path / "off", "last")


def test_losses_and_gradients_are_compared():
    assert Difference(100.0, 0.9, 0.05).is_small
    assert Difference(0.5, 0.09, 0.05).is_small
    assert not Difference(100.0, 1.1, 0.05).is_small
    assert not Difference(100.0, 0.9, 0.2).is_small
    assert not Difference(100.0, float("nan"), 0.05).is_small
    assert not Difference(100.0, 0.9, float("nan")).is_small


def test_a_difference_is_as_large_as_what_was_changed(dataset, source, tmp_path):
    """Between float32 and itself there is none; between it and bfloat16 there is a small one."""
    config = make_config(dataset, source, tmp_path, dropout_rate=0.5)
    learner = Learner(Geometry(64, 29), config, training_strategy(), "bfloat16")
    random = np.random.default_rng(1)
    batch = {
        "features": tf.constant(random.normal(size=(6, 40, 26)), tf.float32),
        "frames": tf.fill([6], 40),
        "labels": tf.constant(random.integers(0, 28, (6, 5)), tf.int32),
        "label_lengths": tf.fill([6], 5),
        "weights": tf.ones([6]),
        "rows": tf.range(6),
    }
    loss, loss_difference, share = learner.compare_precisions(batch, 4, "off", "off")
    assert loss > 1
    assert (loss_difference, share) == (0, 0)
    _, loss_difference, share = learner.compare_precisions(batch, 4, "off", "bfloat16")
    assert 0 < loss_difference < 0.01 * loss
    assert 1e-4 < share < precision.GRADIENT_BOUND


def test_the_measurement_compares_times(monkeypatch):
    seconds = iter([3.0, 1.0, 1.0, 1.0, 0.5, 0.5] * arithmetic.ROUNDS)
    monkeypatch.setattr(arithmetic, "_seconds_of", lambda product: next(seconds))
    large = arithmetic.LARGE_PRODUCTS * 8 / arithmetic.ROWS
    speed = arithmetic.bfloat16_speed.__wrapped__(16, 8)
    assert speed == pytest.approx((3 * large + 2) / (large + 1))


def test_it_is_taken_once_and_is_real():
    arithmetic.bfloat16_speed.cache_clear()
    speed = arithmetic.bfloat16_speed(64, 2)
    assert 0 < speed < 100
    assert arithmetic.bfloat16_speed(64, 2) == speed
    assert arithmetic.bfloat16_speed.cache_info().hits == 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags : fpu avx512f avx512_bf16 amx_tile", True),
        ("flags : fpu amx_bf16", True),
        ("Features : fp asimd bf16", True),
        ("flags : fpu avx2 avx512f", False),
        (None, False),
    ],
)
def test_processors_say_what_they_can(tmp_path, flags, expected):
    path = tmp_path / "cpuinfo"
    if flags is not None:
        path.write_text(f"processor : 0\n{flags}\n")
    assert arithmetic.multiplies_bfloat16(path) == expected


def test_a_precision_reads_well():
    assert str(Precision("off", "as asked for")) == "in float32 (as asked for)"
