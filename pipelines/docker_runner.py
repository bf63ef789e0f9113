"""How the steps run in their images on this machine: as closed up as on a cluster."""

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
    """Return the runner that has ``uris`` of this machine mounted, read-only, where they are here.

    Containers have the object store's variables out of ``environ``, this machine's network, and
    nothing to write to but ``/tmp`` and the folder of the run, which is kfp's to mount.
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
            # On disk, where downloads fit, and gone with the container.
            Mount("/tmp", None, type="volume"),
        ],
        user=f"{uid}:{gid}",
        environment=store,
        # A server on the loopback is there for both runners.
        network_mode="host",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )


def container_user() -> tuple[int, int]:
    """Return uid and gid of the steps: whoever runs this, the images' own user if that is root."""
    return os.getuid() or images.USER, os.getgid() or images.USER


@contextlib.contextmanager
def containers() -> Iterator[None]:
    """Have kfp.local run containers with ``run_container``, and put errors into one line."""
    theirs = docker_task_handler.run_docker_container
    docker_task_handler.run_docker_container = run_container
    try:
        yield
    except ImageNotFound as error:
        raise BootstrapError(f"docker: {error.explanation}; `make images` builds them") from error
    except DockerException as error:
        message = " ".join(str(error).split())
        raise BootstrapError(f"docker: {message}; does it run, are the images built?") from error
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

    In kfp 2.17 the engine removes a container as it ends, perhaps before it was asked how: a
    failure is then taken for a success. Interrupted, kfp would leave the container running.
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
    """Yield what a container prints, as it does, until it has come to its end."""
    received = 0
    for piece in container.logs(stream=True):
        received += len(piece)
        yield piece
    container.wait()
    # Podman may end the stream before the last words, which are those that say what went wrong.
    yield container.logs()[received:]


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield whole lines: kfp indents what each print prints, and pieces can be single words."""
    rest = ""
    for text in codecs.iterdecode(pieces, "utf-8", "replace"):
        *lines, rest = (rest + text).split("\n")
        yield from lines
    if rest:
        yield rest
