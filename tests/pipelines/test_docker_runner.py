import os

import pytest
from docker.errors import APIError, ImageNotFound
from kfp.local import docker_task_handler

from stt_bootstrap.components import images
from stt_bootstrap.pipelines.docker_runner import (
    container_user,
    containers,
    docker_runner,
    run_container,
)
from stt_model.base.errors import BootstrapError


class Container:
    """A container that has printed something and ended with a status.

    The engine ends its stream before the last ``late`` bytes.
    """

    def __init__(self, printed, status, failure=None, late=0):
        self.printed = printed
        self.status = status
        self.failure = failure
        self.late = late
        self.calls = []

    def logs(self, stream=False):
        return self._stream() if stream else self.printed

    def _stream(self):
        yield from (bytes([each]) for each in self.printed[: len(self.printed) - self.late])
        if self.failure:
            raise self.failure

    def wait(self):
        self.calls.append("wait")
        return {"StatusCode": self.status}

    def stop(self):
        self.calls.append("stop")

    def remove(self, v):
        assert v, "its /tmp would stay behind"
        self.calls.append("remove")


class Client:
    """An engine that starts one container and keeps how it was asked to."""

    def __init__(self, container):
        self.container = container
        self.containers = self
        self.asked = {}

    def run(self, image, command, **settings):
        self.asked = {"image": image, "command": command, **settings}
        return self.container


def test_exit_status_is_asked_for_before_the_container_is_removed(capsys):
    container = Container("žluťoučký\n\nkůň".encode(), status=3)
    client = Client(container)
    assert run_container(client, "light", ("sh",), {"/run": {}}, read_only=True) == 3
    assert container.calls == ["wait", "wait", "stop", "remove"]
    assert capsys.readouterr().out == "žluťoučký\n\nkůň\n"
    assert client.asked["read_only"] is True
    assert client.asked["detach"] is True
    assert "auto_remove" not in client.asked


def test_lines_are_printed_whole_however_they_come(monkeypatch):
    printed = []
    monkeypatch.setattr("builtins.print", printed.append)
    container = Container(b"errors.RefusedError: no\nend", status=1, late=6)
    run_container(Client(container), "light", (), {})
    assert printed == ["errors.RefusedError: no", "end"]


def test_interrupted_run_leaves_no_container_behind():
    container = Container(b"", status=0, failure=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run_container(Client(container), "light", (), {})
    assert container.calls == ["stop", "remove"]


def test_runs_of_kfp_use_it_while_it_is_asked_for_and_not_after():
    theirs = docker_task_handler.run_docker_container
    with containers():
        assert docker_task_handler.run_docker_container is run_container
    assert docker_task_handler.run_docker_container is theirs


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ImageNotFound("x", explanation="no such image: light"), "`make images` builds them"),
        (APIError("500\nServer Error"), "docker: 500 Server Error; check that it runs"),
    ],
)
def test_errors_of_the_engine_are_one_line(failure, expected):
    with pytest.raises(BootstrapError) as error, containers():
        raise failure
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_containers_are_locked_up():
    settings = docker_runner([]).container_run_args
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges"]
    assert not settings["user"].startswith("0:")


@pytest.mark.parametrize(("uid", "expected"), [(1234, 1234), (0, images.USER)])
def test_results_belong_to_whoever_runs_it_but_containers_are_never_root(
    uid, expected, monkeypatch
):
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setattr(os, "getgid", lambda: uid)
    assert container_user() == (expected, expected)


def test_variables_of_the_store_are_handed_on_and_no_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000",
        "AWS_CA_BUNDLE": "ca.pem",
        "HOME": "/home/me",
    }
    settings = docker_runner(["s3://bucket/corpus", "/data"], environ).container_run_args
    assert settings["environment"] == {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000",
        "AWS_CA_BUNDLE": f"{tmp_path}/ca.pem",
    }
    bound = [mount["Source"] for mount in settings["mounts"] if mount["Type"] == "bind"]
    assert bound == ["/data", f"{tmp_path}/ca.pem"]
