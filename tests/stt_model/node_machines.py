"""Machines of one training, each with a network of its own, on this one, as Linux makes them.

Run as a program in a namespace of its own (``unshare -Urnm``), so that nothing of it outlives the
program or is seen outside. Prints one object, JSON: what came of the training.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVER = "10.77.0.1"
SETTINGS = {
    "epochs": 6,
    "train_batch_size": 4,
    "dev_batch_size": 2,
    "learning_rate": 0.002,
    "dropout_rate": 0.0,
    "freeze_source_epochs": 0,
    "augment": "",
}


class Machines:
    """So many networks that reach each other, with names."""

    def __init__(self, hosts: list[str]) -> None:
        self._count = len(hosts)
        lines = [f"10.77.0.{index + 2} {host}" for index, host in enumerate(hosts)]
        with tempfile.NamedTemporaryFile("w", delete=False) as names:
            names.write("\n".join(["127.0.0.1 localhost", *lines, ""]))
        _do("mount", "--bind", names.name, "/etc/hosts")
        _do("mount", "-t", "tmpfs", "tmpfs", "/run")
        _do("ip", "link", "set", "lo", "up")
        _do("ip", "link", "add", "bridge", "type", "bridge")
        _do("ip", "addr", "add", f"{SERVER}/24", "dev", "bridge")
        _do("ip", "link", "set", "bridge", "up")
        for index in range(self._count):
            space, outside = f"node{index}", f"to-node{index}"
            _do("ip", "netns", "add", space)
            _do(
                "ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space
            )
            _do("ip", "link", "set", outside, "master", "bridge", "up")
            _do("ip", "-n", space, "addr", "add", f"10.77.0.{index + 2}/24", "dev", "eth0")
            _do("ip", "-n", space, "link", "set", "eth0", "up")
            _do("ip", "-n", space, "link", "set", "lo", "up")

    def start(
        self, index: int, command: list[str], environ: dict[str, str]
    ) -> subprocess.Popen[str]:
        """Start a program on one of them."""
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/node{index}", *command],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


def name_clips_from_here(dataset: Path) -> Path:
    """Have manifests name clips by where they lie below them, so that they go along."""
    for path in dataset.glob("*.csv"):
        path.write_text(path.read_text().replace(f"{dataset}/", ""))
    return dataset


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def main(folder: Path) -> None:
    """Train on two nodes, kill the second in the middle, start both again, collect."""
    from stt_bootstrap.components.distributed_training.train_job import (
        NodeSize,
        Owner,
        describe_train_job,
    )
    from stt_model import jobs
    from stt_model.text.alphabet_file import write_alphabet
    from tests.manifests.render import load
    from tests.stt_model.node_environment import node_command, node_environment, node_host
    from tests.stt_model.s3_server import S3Server
    from tests.stt_model.training_runs import ALPHABET, write_dataset, write_source

    [runtime] = load("training-runtime")
    size, owner = NodeSize("1", "2Gi"), Owner("pod", "uid")
    write_alphabet(ALPHABET, folder / "alphabet.txt")
    dataset = name_clips_from_here(write_dataset(folder / "corpus"))
    source = write_source(folder / "source")
    (folder / "s3" / "speech").mkdir(parents=True)
    server = S3Server(folder / "s3", address=SERVER)
    server.remembers_folders_for = "1m"
    # The job's own depends on the offer, which needs the store, which needs the machines' network.
    name = "stt-0123456789abcdef"
    machines = Machines([node_host(name, index) for index in range(2)])
    for key in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        os.environ.pop(key, None)
    with server:
        os.environ.update(server.environment)
        offer = jobs.offer_training(
            "s3://speech/runs/1",
            dataset=dataset,
            checkpoint=source,
            model_alphabet=folder / "alphabet.txt",
            save_checkpoint_dir=folder / "trained",
            settings=SETTINGS,
        )
        job = describe_train_job(offer.uri, 2, size, owner)
        job["metadata"]["name"] = name
        command = node_command(job, runtime)
        command[0] = sys.executable

        def start() -> list[subprocess.Popen[str]]:
            return [
                machines.start(
                    index, command, {**os.environ, **node_environment(job, runtime, index)}
                )
                for index in range(2)
            ]

        first = start()
        seen = _read_until(first[0], "epoch 2:")
        first[1].send_signal(signal.SIGKILL)
        lost = seen + first[0].communicate(timeout=180)[1]
        codes = [process.wait() for process in first]
        second = start()
        logs = [process.communicate(timeout=240)[1] for process in second]
        told = {"lost": lost, "logs": logs, "codes": [codes, [p.returncode for p in second]]}
        if not any(p.returncode for p in second):
            told["figures"] = jobs.collect_training(offer, folder / "trained", folder / "report.md")
            told["files"] = sorted(path.name for path in (folder / "trained").iterdir())
            jobs.withdraw_offer(offer)
            told["left"] = [path.name for path in (folder / "s3/speech/runs/1").iterdir()]
    print(json.dumps(told))


def _read_until(process: subprocess.Popen[str], word: str) -> str:
    assert process.stderr is not None
    seen, deadline = "", time.monotonic() + 180
    for line in process.stderr:
        seen += line
        if word in line or time.monotonic() > deadline:
            break
    return seen


if __name__ == "__main__":
    main(Path(sys.argv[1]))
