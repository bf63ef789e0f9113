import json

import pytest

from stt_model.base.errors import TrainingError
from stt_model.network.worker_environment import join_workers, worker_config

NODE = {
    "PET_NNODES": "3",
    "PET_NODE_RANK": "1",
    "PET_MASTER_ADDR": "stt-0-node-0-0.stt-0",
    "PET_MASTER_PORT": "29500",
}
HOSTS = [f"stt-0-node-0-{index}.stt-0:29500" for index in range(3)]


def test_tensorflow_is_told_of_the_nodes_of_trainer():
    environ = dict(NODE)
    join_workers(environ)
    assert json.loads(environ["TF_CONFIG"]) == {
        "cluster": {"worker": HOSTS},
        "task": {"type": "worker", "index": 1},
    }


@pytest.mark.parametrize("environ", [{}, {"PET_NNODES": "1"}, {"PET_NNODES": ""}])
def test_one_process_alone_is_told_of_nothing(environ):
    assert worker_config(environ) is None


def test_an_existing_tf_config_is_kept():
    environ = {**NODE, "TF_CONFIG": "{}"}
    join_workers(environ)
    assert environ["TF_CONFIG"] == "{}"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"PET_NODE_RANK": ""}, "PET_NODE_RANK=: expected a number"),
        ({"PET_MASTER_PORT": "http"}, "PET_MASTER_PORT=http: expected a number"),
        ({"PET_NODE_RANK": "3"}, "an index below 3"),
        ({"PET_MASTER_ADDR": "localhost"}, "PET_MASTER_ADDR=localhost"),
        ({"PET_MASTER_ADDR": ""}, "the address of the first of 3 nodes"),
    ],
)
def test_variables_that_trainer_does_not_write_are_refused(changed, message):
    with pytest.raises(TrainingError, match=message):
        worker_config({**NODE, **changed})
