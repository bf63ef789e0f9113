"""What the tests put onto a cluster: corpora into its store, packages; and how it goes again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import kfp_server_api

from stt_bootstrap import demo
from stt_bootstrap.demo.corpora import MACEDONIAN_DEMO, SWAHILI_DEMO
from stt_bootstrap.demo.synthesis import write_corpus
from stt_model.storage import credential_source, split_root
from stt_model.storage.object_store import ObjectStore
from stt_model.storage.store_client import make_client

ENDPOINT_VARIABLE = "STT_BOOTSTRAP_STORE"
SERVICE = "stt-bootstrap-s3"
CORPORA = {"swahili": SWAHILI_DEMO, "macedonian": MACEDONIAN_DEMO}
AGAIN, PATIENCE = 1.0, 60.0  # seconds until kubectl is started again, and is waited for
SIZES = {"train": 40, "dev": 8, "test": 8}
"""Clips of each split: enough for every step to have something to do."""


def make_bucket(environ: Mapping[str, str], root: str) -> bool:
    """Make the bucket of ``root``, if it is not there; return whether it was made."""
    client = make_client(environ, credential_source(environ))
    is_there: bool = client.bucket_exists(_bucket(root))
    if not is_there:
        client.make_bucket(_bucket(root))
    return not is_there


def _bucket(root: str) -> str:
    return split_root(root)[0].rpartition("/")[2]


def fill(environ: Mapping[str, str], root: str) -> None:
    """Put the demo's checkpoint and two small corpora of synthesised speech below ``root``."""
    store = ObjectStore.from_environment(environ)
    checkpoint = Path(demo.__file__).with_name("source_checkpoint")
    store.upload_directory(checkpoint, f"{root}/checkpoint")
    for name, spec in CORPORA.items():
        with tempfile.TemporaryDirectory() as scratch:
            corpus = Path(scratch, name)
            write_corpus(dataclasses.replace(spec, **SIZES), corpus)
            store.upload_directory(corpus, f"{root}/{name}")


def change_a_byte(environ: Mapping[str, str], root: str) -> str:
    """Change the last sample of one training clip; return the clip's URI."""
    store = ObjectStore.from_environment(environ)
    clip = next(each.uri for each in store.list(f"{root}/swahili/clips") if "train" in each.uri)
    with store.open(clip) as stream:
        content = bytearray(stream.read())
    content[-1] ^= 1
    with tempfile.NamedTemporaryFile() as scratch:
        Path(scratch.name).write_bytes(content)
        store.upload(Path(scratch.name), clip)
    return clip


def empty(environ: Mapping[str, str], root: str, *, bucket_too: bool = False) -> None:
    """Remove everything below ``root``, and its bucket on request."""
    store = ObjectStore.from_environment(environ)
    for each in list(store.list(root)):
        store.remove(each.uri)
    if bucket_too:
        make_client(environ, credential_source(environ)).remove_bucket(_bucket(root))


def remove_version(kubeflow: kfp_server_api.ApiClient, pipeline_id: str, version_id: str) -> None:
    """Take an uploaded package away from Kubeflow, and its pipeline too where that has no other."""
    pipelines = kfp_server_api.PipelineServiceApi(kubeflow)
    pipelines.pipeline_service_delete_pipeline_version(pipeline_id, version_id)
    if not pipelines.pipeline_service_list_pipeline_versions(pipeline_id).pipeline_versions:
        pipelines.pipeline_service_delete_pipeline(pipeline_id)


@contextlib.contextmanager
def reachable(namespace: str) -> Iterator[str]:
    """Yield the address of the store from here: that of the environment, or a forwarded port.

    kubectl gives up where a connection breaks: it is started again until the block ends.
    """
    if given := os.environ.get(ENDPOINT_VARIABLE):
        yield given
        return
    if not shutil.which("kubectl"):
        raise FileNotFoundError(f"no kubectl to forward a port with; set {ENDPOINT_VARIABLE}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["kubectl", "-n", namespace, "port-forward", f"service/{SERVICE}", f"{port}:9000"]
    started: list[subprocess.Popen[bytes]] = []
    ended = threading.Event()

    def keep_forwarding() -> None:
        while not ended.is_set():
            started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            started[-1].wait()
            ended.wait(AGAIN)

    keeper = threading.Thread(target=keep_forwarding, daemon=True)
    keeper.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(port):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing answers behind `{' '.join(command)}`")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        ended.set()
        for process in started:
            process.terminate()
        keeper.join()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
