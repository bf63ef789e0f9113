"""The counting of Coqui STT's flags, on dev losses made up for it."""

from pathlib import Path

import pytest

from stt_model.training.config import TrainingConfig
from stt_model.training.schedule import DevRecord


def make_config(**changes):
    place = Path("unused")
    return TrainingConfig([place], [place], place, place, **changes)


def follow(losses, config):
    """Return the record after each dev loss, the first being the source's."""
    record = DevRecord()
    for epoch, loss in enumerate(losses):
        best = record.add(epoch, loss, config.es_min_delta)
        yield best, record.is_over(config), record.is_plateau(config)


def test_the_best_is_the_lowest_by_however_little():
    config = make_config()
    assert [best for best, _, _ in follow([5, 4.99, 4.99, 6, 4.98], config)] == [
        *(True, True, False, False, True)
    ]


@pytest.mark.parametrize(
    ("losses", "ends"),
    [
        ([5, 5, 5], [2]),
        ([5, 4.97, 4.94], [2]),  # Lower, but never by 0.05.
        ([5, 5, 4.9, 4.9, 4.9], [4]),
        ([5, 4, 3, 2], []),
    ],
)
def test_early_stopping_counts_epochs_without_improvement(losses, ends):
    config = make_config(early_stop=True, es_epochs=2)
    assert [epoch for epoch, (_, over, _) in enumerate(follow(losses, config)) if over] == ends


def test_a_plateau_comes_again_until_something_improves():
    config = make_config(reduce_lr_on_plateau=True, plateau_epochs=2)
    losses = [5, 6, 6, 6, 6, 1, 1, 1]
    plateaus = [epoch for epoch, (*_, plateau) in enumerate(follow(losses, config)) if plateau]
    assert plateaus == [2, 4, 7]


def test_neither_happens_unless_asked_for():
    losses = [5] * 60
    assert not any(over or plateau for _, over, plateau in follow(losses, make_config()))
