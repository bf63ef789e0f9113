"""Run steps in their images on this machine, with the same restrictions as on a cluster."""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from docker.client import DockerClient
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from docker.types import Mount
from kfp import local
from kfp.local import docker_task_handler

from stt_bootstrap.components import images
from stt_model.base import BootstrapError
from stt_model.storage import ENDPOINT_VARIABLES, SECRET_VARIABLES, local_path

_CERTIFICATES = "AWS_CA_BUNDLE"
STORE_VARIABLES = (
    *SECRET_VARIABLES,
    *ENDPOINT_VARIABLES,
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "S3_ADDRESSING_STYLE",
    _CERTIFICATES,
)


def docker_runner(
    uris: Iterable[str], environ: Mapping[str, str] = os.environ
) -> local.DockerRunner:
    """Return a runner that mounts local ``uris`` read-only, at the same paths.

    Containers get the object store's variables of ``environ`` and this machine's network. They can
    write only to ``/tmp`` and to the folder of the run, which kfp mounts.
    """
    store = {name: environ[name] for name in STORE_VARIABLES if environ.get(name)}
    paths = {str(local_path(uri)) for uri in uris if uri.startswith(("/", "file:"))}
    if _CERTIFICATES in store:
        store[_CERTIFICATES] = str(Path(store[_CERTIFICATES]).absolute())
        paths.add(store[_CERTIFICATES])
    uid, gid = container_user()
    return local.DockerRunner(
        mounts=[
            *(Mount(path, path, type="bind", read_only=True) for path in sorted(paths)),
            # On disk, so that downloads fit, and removed with the container.
            Mount("/tmp", None, type="volume"),
        ],
        user=f"{uid}:{gid}",
        environment=store,
        # A server on the loopback interface can be reached, as with the other runner.
        network_mode="host",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )


def container_user() -> tuple[int, int]:
    """Return uid and gid of the steps: this process's, or the images' own user if that is root."""
    return os.getuid() or images.USER, os.getgid() or images.USER


@contextlib.contextmanager
def containers() -> Iterator[None]:
    """Make kfp.local run containers with ``run_container``, and shorten errors to one line."""
    theirs = docker_task_handler.run_docker_container
    docker_task_handler.run_docker_container = run_container
    try:
        yield
    except ImageNotFound as error:
        raise BootstrapError(f"docker: {error.explanation}; `make images` builds them") from error
    except DockerException as error:
        message = " ".join(str(error).split())
        raise BootstrapError(
            f"docker: {message}; check that it runs, and that the images are built"
        ) from error
    finally:
        docker_task_handler.run_docker_container = theirs


def run_container(
    client: DockerClient,
    image: str,
    command: Sequence[str],
    volumes: Mapping[str, Any],
    **settings: Any,
) -> int:
    """Run a step to its end, print what it prints, and return its exit status.

    In kfp 2.17 the engine removes a container as it ends, possibly before kfp reads its exit
    status, and a failure then counts as a success. If interrupted, kfp leaves the container
    running.
    """
    container = client.containers.run(
        image, list(command), volumes=dict(volumes), detach=True, **settings
    )
    try:
        for line in _lines(_output(container)):
            print(line)
        return int(container.wait()["StatusCode"])
    finally:
        container.stop()
        container.remove(v=True)


def _output(container: Container) -> Iterator[bytes]:
    """Yield a container's output as it comes, until the container has ended."""
    received = 0
    for piece in container.logs(stream=True):
        received += len(piece)
        yield piece
    container.wait()
    # Podman may end the stream before the last lines, which are those of an error.
    yield container.logs()[received:]


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield whole lines: kfp indents each print, and pieces can be single words."""
    rest = ""
    for text in codecs.iterdecode(pieces, "utf-8", "replace"):
        *lines, rest = (rest + text).split("\n")
        yield from lines
    if rest:
        yield rest
