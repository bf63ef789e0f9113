"""Several processes that train one network."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from stt_model.checkpoint.directory import open_checkpoint, read_weights
from stt_model.training.trainer import train
from tests.stt_model.training_runs import make_config

# A batch of 4 and one of 3, which is filled up; ten steps.
SETTINGS = {"epochs": 5, "train_batch_size": 4, "dropout_rate": 0.0, "clip_norm": 1.0}

PROGRAM = """
import json, sys
from pathlib import Path
from stt_model.cli.flags import show_log
show_log()  # before TensorFlow sets up logging of its own
from stt_model.features import store as feature_store
from stt_model.training.trainer import train
from tests.stt_model.training_runs import make_config
dataset, source, out = map(Path, sys.argv[1:4])
read = []
take = feature_store.FeatureStore.__getitem__
feature_store.FeatureStore.__getitem__ = lambda store, row: (read.append(row), take(store, row))[1]
result = train(make_config(dataset, source, out, **json.loads(sys.argv[4])))
print(json.dumps({"clips": len(read), "loss": result.epochs[-1].dev_loss}))
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def train_together(count, *arguments):
    """Run so many workers on this machine; return their outputs and their logs."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(count)]
    processes = []
    try:
        for index in range(count):
            task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": ""}
            for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
                environment.pop(name, None)
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            processes.append(process)
        ended = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * count, ended
    return ended


@pytest.mark.slow
def test_two_workers_do_what_one_process_does(dataset, source, tmp_path):
    alone = train(make_config(dataset, source, tmp_path / "alone", **SETTINGS))
    out = tmp_path / "together"
    ended = train_together(2, dataset, source, out, json.dumps(SETTINGS))
    for which in ("best", "last"):
        expected = read_weights(open_checkpoint(tmp_path / "alone", which))
        found = read_weights(open_checkpoint(out, which))
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
    told = [json.loads(output.splitlines()[-1]) for output, _ in ended]
    assert [each["loss"] for each in told] == pytest.approx([alone.epochs[-1].dev_loss] * 2)
    # Each reads half of 8 in every epoch, of which one fills up, and half of 4 for the dev set.
    assert [each["clips"] for each in told] == [5 * 4 + 6 * 2] * 2
    for _, log in ended:
        assert "CPU (no GPU found) of each of 2 workers" in log
        assert "batch 4 (2 a replica)" in log
