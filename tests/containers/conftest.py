"""An engine with the images of `make images`, and an object store with what runs begin from."""

import dataclasses
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

from stt_bootstrap.components import images
from stt_bootstrap.demo.corpora import MACEDONIAN_DEMO, SWAHILI_DEMO
from stt_bootstrap.demo.synthesis import write_corpus
from tests.stt_model.s3_server import S3Server

SOURCE_CHECKPOINT = Path(__file__).parents[2] / "demo" / "source_checkpoint"
_IDLE = 600  # seconds after which podman's service ends, whatever became of the tests


@pytest.fixture(scope="session")
def engine():
    """A client of the engine of this machine; podman's service is started if nothing answers."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        service = None
        if not _answers() and shutil.which("podman"):
            socket = f"unix://{folder}/podman.sock"
            command = ["podman", "system", "service", f"--time={_IDLE}", socket]
            service = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            patch.setenv("DOCKER_HOST", socket)
            _wait_for_answer()
        try:
            if not _answers():
                pytest.skip("neither docker nor podman is here")
            client = docker.from_env()
            _need_images(client)
            yield client
            client.close()
        finally:
            if service:
                service.terminate()
                service.wait()


def _answers():
    try:
        docker.from_env().ping()
    except DockerException:
        return False
    return True


def _wait_for_answer():
    deadline = time.monotonic() + 30
    while not _answers() and time.monotonic() < deadline:
        time.sleep(0.1)


def _need_images(client):
    for reference in (images.LIGHT, images.MODEL):
        try:
            client.images.get(reference)
        except ImageNotFound:
            pytest.skip(f"{reference} is not here: make images")


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """An S3 server with the demo's English checkpoint and a few clips of its two languages."""
    folder = tmp_path_factory.mktemp("store")
    for name, spec in (("swahili", SWAHILI_DEMO), ("macedonian", MACEDONIAN_DEMO)):
        write_corpus(dataclasses.replace(spec, train=8, dev=4, test=4), folder / "corpora" / name)
    shutil.copytree(SOURCE_CHECKPOINT, folder / "checkpoints" / "english")
    with pytest.MonkeyPatch.context() as patch, S3Server(folder) as server:
        patch.delenv("AWS_CA_BUNDLE", raising=False)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture
def output_dir():
    """A folder for results that the images' user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="stt-bootstrap-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def ended(monkeypatch):
    """What the engine says of each container that has come to its end, by its id, in order."""
    from docker.models.containers import Container

    seen = {}
    wait = Container.wait

    def remember(self, **settings):
        result = wait(self, **settings)
        self.reload()
        seen[self.id] = self.attrs
        return result

    monkeypatch.setattr(Container, "wait", remember)
    return seen
