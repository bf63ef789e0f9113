import tensorflow as tf

from stt_model.summaries import Summaries


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
    summaries.flush()
    assert read_scalars(tmp_path / "summaries" / "train") == [
        *((3, "loss", 1.5), (3, "learning_rate", 0.25), (4, "loss", 1.25)),
    ]
    assert read_scalars(tmp_path / "summaries" / "dev") == [(4, "loss", 2.0)]
