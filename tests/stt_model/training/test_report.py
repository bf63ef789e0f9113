import csv
import dataclasses
from pathlib import Path

import pytest

from stt_model.training.config import TrainingConfig
from stt_model.training.report import TrainingResult, draw_curve, write_history
from stt_model.training.state import Epoch

SOURCE = Epoch(0, None, 9.0, 0.001, 1.0, 50.0, True)
BETTER = Epoch(1, 12.0, 8.0, 0.001, 10.0, 20.0, True)
WORSE = Epoch(2, 6.0, 8.5, 0.0001, 11.0, 21.0, False)


def make_result(*epochs, stopped_early=False):
    place = Path("unused")
    config = TrainingConfig(
        *([place], [place], place, place),
        **{"epochs": 75, "train_batch_size": 16, "learning_rate": 1e-4, "dropout_rate": 0.05},
        **{"freeze_source_epochs": 0, "augment": ""},
    )
    return TrainingResult(place, "the CPU", 1000, 7, 0.5, config, epochs, stopped_early)


def test_the_report_says_which_epoch_is_the_best():
    result = make_result(SOURCE, BETTER, WORSE)
    assert "Best: epoch 1, dev loss 8.000; the source had 9.000." in result.to_markdown()
    assert result.metrics() == {
        "epochs": 2,
        "best_epoch": 1,
        "train_hours": 0.5,
        "audio_seconds_per_second": 21,
        "train_loss": 12,
        "dev_loss": 8,
        "source_dev_loss": 9,
    }


def test_the_report_says_that_the_source_is_the_best():
    result = make_result(SOURCE, dataclasses.replace(BETTER, dev_loss=9.5, best=False))
    assert "Training brought no improvement: the best is the source itself" in result.to_markdown()
    assert result.metrics()["best_epoch"] == 0
    assert "train_loss" not in result.metrics()


def test_without_a_dev_set_the_report_takes_the_last():
    epochs = [dataclasses.replace(each, dev_loss=None, best=False) for each in (BETTER, WORSE)]
    result = make_result(*epochs)
    assert "Without a dev set no epoch is the best; the last is epoch 2." in result.to_markdown()
    assert result.metrics()["train_loss"] == 6


def test_the_report_says_how_the_training_set_was_augmented():
    plain = make_result(SOURCE)
    config = dataclasses.replace(plain.config, augment="tempo[p=0.5] add")
    augmented = dataclasses.replace(plain, config=config)
    sentence = r"The training set was augmented in each epoch: tempo\[p=0.5\] add."
    assert sentence in augmented.to_markdown()
    assert "augmented in each epoch" not in plain.to_markdown()


def test_history_is_a_line_an_epoch(tmp_path):
    write_history(tmp_path, [SOURCE, BETTER, WORSE])
    with (tmp_path / "history.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["train_loss"] for row in rows] == ["", "12.0", "6.0"]
    assert rows[2] == {
        "epoch": "2",
        "train_loss": "6.0",
        "dev_loss": "8.5",
        "learning_rate": "0.0001",
        "seconds": "11.0",
        "audio_seconds_per_second": "21.0",
        "best": "False",
        "dev_wer": "",
        "dev_cer": "",
    }


@pytest.mark.parametrize("epochs", [[SOURCE], [SOURCE, BETTER, WORSE]])
def test_the_curve_marks_the_best_and_lower_learning_rates(epochs):
    axes = draw_curve(epochs).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[-1] == ("best: source" if epochs == [SOURCE] else "best: epoch 1")
    assert len(axes.texts) == (len(epochs) > 1)
