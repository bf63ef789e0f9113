import pytest
import tensorflow as tf

from stt_model.base.errors import TrainingError
from stt_model.training.summaries import Summaries


def read_scalars(folder):
    """Return (step, name, value) of all event files in a folder."""
    paths = sorted(str(path) for path in folder.glob("events.*"))
    events = map(tf.compat.v1.Event.FromString, tf.data.TFRecordDataset(paths).as_numpy_iterator())
    return [
        (event.step, value.tag, value.simple_value)
        for event in events
        for value in event.summary.value
    ]


def test_scalars_lie_in_a_folder_for_each_set(tmp_path):
    summaries = Summaries(tmp_path / "summaries")
    assert not (tmp_path / "summaries").exists()
    summaries.add("train", 3, loss=1.5, learning_rate=0.25)
    summaries.add("train", 4, loss=1.25)
    summaries.add("dev", 4, loss=2.0)
    assert read_scalars(tmp_path / "summaries" / "train") == [
        *((3, "loss", 1.5), (3, "learning_rate", 0.25), (4, "loss", 1.25)),
    ]
    assert read_scalars(tmp_path / "summaries" / "dev") == [(4, "loss", 2.0)]


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(TrainingError) as refused:
        Summaries(tmp_path / "file").add("train", 1, loss=1.0)
    assert str(refused.value) == (
        f"cannot write TensorBoard's scalars: {tmp_path}/file is not a directory; make room, or"
        " give --summary_dir another folder"
    )
