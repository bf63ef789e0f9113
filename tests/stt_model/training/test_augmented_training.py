"""Training whose utterances are augmented, which goes on as it would have."""

import dataclasses

import pytest

from stt_model.base.errors import AugmentationError, TrainingError
from stt_model.features.augmented import AugmentedFeatures
from stt_model.training.learner import Learner
from stt_model.training.trainer import train
from tests.stt_model.training_runs import content, make_config

AUGMENT = (
    "volume[p=0.5,dbfs=0:-20] tempo[p=0.5,factor=1~0.2] overlay[p=0.5,source={source},snr=20:5]"
    " warp[p=0.5] time_mask[p=0.5] add[p=0.5,stddev=0.5]"
)


class PowerCutError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(scope="module")
def augment(dataset):
    return AUGMENT.format(source=dataset / "dev.csv")


@pytest.fixture(scope="module")
def whole(dataset, source, augment, tmp_path_factory):
    """A run that nothing happened to, and the epochs in which an utterance was augmented."""
    epochs = []
    made = AugmentedFeatures.__getitem__

    def noted(features, row):
        epochs.append(features.epoch)
        return made(features, row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AugmentedFeatures, "__getitem__", noted)
        config = make_config(dataset, source, tmp_path_factory.mktemp("whole"), augment=augment)
        return train(config), epochs


def test_a_broken_off_run_ends_with_the_same_bits(dataset, source, augment, whole, tmp_path):
    config = make_config(dataset, source, tmp_path, augment=augment, checkpoint_secs=1e-6)
    step, calls = Learner.train_step, []

    def broken(learner, batch):
        calls.append(batch)
        if len(calls) == 5:
            raise PowerCutError
        return step(learner, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "train_step", broken)
        with pytest.raises(PowerCutError):
            train(config)
    train(config)
    for which in ("best", "last"):
        assert content(tmp_path, which) == content(whole[0].checkpoint_dir, which)


def test_only_the_training_set_is_augmented(dataset, source, whole, tmp_path):
    augmented, epochs = whole
    assert sorted(epochs) == 7 * [1] + 7 * [2]
    plain = train(make_config(dataset, source, tmp_path))
    assert augmented.epochs[0].dev_loss == plain.epochs[0].dev_loss
    assert content(augmented.checkpoint_dir, "last") != content(plain.checkpoint_dir, "last")


def test_a_run_does_not_go_on_with_other_augmentations(whole):
    other = dataclasses.replace(whole[0].config, augment="warp")
    with pytest.raises(TrainingError, match=r"--augment was volume.*, is warp"):
        train(other)


def test_bad_augmentations_are_refused_before_anything_is_read(dataset, source, tmp_path):
    config = make_config(dataset, source / "gone", tmp_path / "out", augment="volume[p=2]")
    with pytest.raises(AugmentationError, match=r"--augment volume\[p=2\]: p: expected a prob"):
        train(config)
    assert not (tmp_path / "out").exists()
