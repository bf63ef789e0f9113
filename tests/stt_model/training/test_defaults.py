import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_model.augmentation import parse_augmentations
from stt_model.checkpoint.directory import open_checkpoint
from stt_model.training import defaults
from stt_model.training.config import TrainingConfig
from stt_model.training.defaults import AUTOMATIC, Situation, choose, fit
from stt_model.training.schedule import DevRecord, warmed
from stt_model.training.trainer import train
from tests.stt_model.training_runs import make_config

UNSET = dict.fromkeys(AUTOMATIC) | {"augment": "auto"}


@given(
    utterances=st.integers(1, 10**7),
    new_layers=st.integers(0, 6),
    n_hidden=st.integers(1, 8192),
    has_dev=st.booleans(),
)
def test_every_choice_can_be_trained_with(utterances, new_layers, n_hidden, has_dev):
    chosen = choose(Situation(utterances, new_layers, n_hidden, has_dev))
    assert set(chosen) == set(AUTOMATIC)
    assert all(reason for _, reason in chosen.values())
    values = {name: value for name, (value, _) in chosen.items()}
    parse_augmentations(values["augment"])
    config = TrainingConfig(["train"], ["dev"], "source", "out", **values)
    config.check()


def test_wider_layers_take_smaller_steps():
    rates = [choose(Situation(300, 1, width))["learning_rate"][0] for width in (216, 512, 2048)]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == 3


def test_given_settings_are_kept(dataset, source, tmp_path):
    start = open_checkpoint(source)
    config = make_config(dataset, source, tmp_path)
    assert fit(config, start, start.lineage) == config
    partly = fit(dataclasses.replace(config, **{**UNSET, "epochs": 7}), start, start.lineage)
    assert partly.epochs == 7 and not partly.early_stop
    # A rate that is chosen comes with its schedule.
    assert partly.reduce_lr_on_plateau and partly.warmup_steps
    rate_given = {**UNSET, "learning_rate": 0.0001}
    steady = fit(dataclasses.replace(config, **rate_given), start, start.lineage)
    assert steady.learning_rate == 0.0001 and not steady.reduce_lr_on_plateau
    assert not steady.warmup_steps and steady.early_stop


def test_an_ending_that_was_asked_for_stays(dataset, source, tmp_path):
    start = open_checkpoint(source)
    asked = {**UNSET, "early_stop": True, "es_epochs": 2}
    config = fit(make_config(dataset, source, tmp_path, **asked), start, start.lineage)
    assert (config.es_epochs, config.reduce_lr_on_plateau) == (2, False)


def test_none_means_no_augmentation(dataset, source, tmp_path):
    start = open_checkpoint(source)
    config = make_config(dataset, source, tmp_path, augment="none")
    assert fit(config, start, start.lineage).augment == ""


def test_a_run_by_the_rule_says_what_it_chose_and_goes_on(dataset, source, tmp_path, monkeypatch):
    monkeypatch.setattr(defaults, "MOST_EPOCHS", 2)
    config = make_config(dataset, source, tmp_path / "out", **UNSET)
    result = train(config)
    assert result.config.epochs == 2
    report = result.to_markdown()
    assert "utterances, fine-tuning, " in report
    assert all(f"| {name} |" in report for name in AUTOMATIC)
    lineage = json.loads((tmp_path / "out" / "lineage.json").read_text())
    assert lineage["settings"]["learning_rate"] == result.config.learning_rate
    # The same command has nothing left to do, and the rates are kept.
    again = train(config)
    assert [epoch.number for epoch in again.epochs] == [0, 1, 2]
    assert all(epoch.dev_cer >= 0 for epoch in again.epochs)


@pytest.mark.parametrize(("updates", "rate"), [(0, 0.25), (1, 0.5), (3, 1.0), (50, 1.0)])
def test_the_rate_rises_in_a_straight_line(updates, rate):
    assert warmed(1.0, updates, 4) == pytest.approx(rate)
    assert warmed(1.0, updates, 0) == 1.0


def test_a_share_of_the_best_is_an_improvement():
    record = DevRecord()
    for epoch, figure in enumerate([100, 99.9, 99.8]):
        record.add(epoch, figure, 0.0, 0.005)
    assert (record.best_loss, record.epochs_without_improvement) == (99.8, 2)
    record.add(3, 99.0, 0.0, 0.005)
    assert record.epochs_without_improvement == 0


def test_the_best_by_error_rate_may_have_a_higher_loss(dataset, source, tmp_path, monkeypatch):
    from stt_model.training.dev_set import DevFigures

    figures = iter([DevFigures(9, 1, 0.9), DevFigures(8, 1, 0.5), DevFigures(10, 1, 0.4)])
    monkeypatch.setattr(
        "stt_model.training.loop.TrainingLoop._measure_dev", lambda *_: next(figures)
    )
    result = train(make_config(dataset, source, tmp_path / "out", best_by="cer"))
    assert result.best.number == 2
    assert (result.best.dev_loss, result.best.dev_cer) == (10, 0.4)
