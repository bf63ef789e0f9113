from types import SimpleNamespace

import pytest
import tensorflow as tf

from stt_model.base.errors import TrainingError
from stt_model.network import devices
from stt_model.network.devices import (
    Workers,
    describe_devices,
    loss_noted,
    training_strategy,
    workers_of,
)


def strategy_of(cluster, task_type, task_id):
    resolver = SimpleNamespace(
        cluster_spec=lambda: tf.train.ClusterSpec(cluster), task_type=task_type, task_id=task_id
    )
    return SimpleNamespace(cluster_resolver=resolver)


@pytest.mark.parametrize(
    ("cluster", "task", "expected"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), Workers(2, 1)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("chief", 0), Workers(3, 0)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("worker", 1), Workers(3, 2)),
        ({"worker": ["a:1"]}, ("worker", 0), Workers(1, 0)),
    ],
)
def test_workers_are_counted_with_the_chief_first(cluster, task, expected):
    assert workers_of(strategy_of(cluster, *task)) == expected
    assert expected.is_chief == (expected.index == 0)


def test_one_machine_is_one_worker():
    assert workers_of(training_strategy()) == Workers(1, 0)


def test_a_worker_that_is_gone_is_one_line():
    gone = tf.errors.UnavailableError(None, None, "insides")
    message = "worker 1: another one of the 2 workers is gone; start all"
    with pytest.raises(TrainingError, match=message), loss_noted(Workers(2, 1)):
        raise gone
    with pytest.raises(tf.errors.UnavailableError), loss_noted(Workers(1, 0)):
        raise gone


def test_a_gpu_that_tensorflow_cannot_use_is_named_with_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "DEVICE_FILES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidiactl").touch()
    assert describe_devices(training_strategy()) == "the CPU (no GPU found)"
    (tmp_path / "nvidia0").touch()
    assert "pip install 'tensorflow[and-cuda]'" in describe_devices(training_strategy())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert describe_devices(training_strategy()) == "the CPU (no GPU found)"
