from types import SimpleNamespace

import pytest
import tensorflow as tf

from stt_model.base.errors import TrainingError
from stt_model.network.devices import Workers, loss_noted, training_strategy, workers_of


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
