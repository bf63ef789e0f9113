"""What each image is, as the engine has it."""

import time

import pytest

from stt_bootstrap.components import images

pytestmark = pytest.mark.containers

REFERENCES = (images.LIGHT, images.MODEL)
LIGHT_LIMIT = 350e6  # bytes
LOCKED_UP = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "network_mode": "none",
    "tmpfs": {"/tmp": ""},
}
SAVES = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("saved") or 75))
print("ready", flush=True)
signal.pause()
"""


def run(engine, reference, command, **settings):
    """Run a command in an image, locked up as on a cluster: its exit status and what it prints."""
    container = engine.containers.run(reference, command, detach=True, **LOCKED_UP, **settings)
    try:
        return container.wait()["StatusCode"], container.logs().decode()
    finally:
        container.remove(force=True)


@pytest.mark.parametrize("reference", REFERENCES)
def test_configuration(engine, reference):
    config = engine.images.get(reference).attrs["Config"]
    assert config["User"] == f"{images.USER}:{images.USER}"
    assert config.get("Healthcheck") in (None, {"Test": ["NONE"]})
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == images.TAG
    assert len(labels["org.opencontainers.image.revision"].removesuffix("-dirty")) == 40


def test_light_image_is_light(engine):
    assert engine.images.get(images.LIGHT).attrs["Size"] < LIGHT_LIMIT
    find = "import importlib.util as u; print([n for n in ('tensorflow', 'pip') if u.find_spec(n)])"
    assert run(engine, images.LIGHT, ["python3", "-c", find]) == (0, "[]\n")


@pytest.mark.parametrize("user", ["1000:1000", "4321:0"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_any_user_can_work_and_write_nowhere_but_in_tmp(engine, reference, user):
    script = """
import os, pathlib, tempfile
import matplotlib.font_manager, stt_model.jobs.checkpoints
tempfile.mkstemp()
for folder in ("/", "/opt/venv", "/opt/project", "/usr/local", "/home"):
    try:
        pathlib.Path(folder, "written").touch()
    except OSError:
        continue
    print("wrote into", folder)
print(os.getuid())
"""
    uid = user.partition(":")[0]
    assert run(engine, reference, ["python3", "-c", script], user=user) == (0, f"{uid}\n")


@pytest.mark.parametrize("reference", REFERENCES)
def test_errors_of_the_command_line_are_one_line(engine, reference):
    status, printed = run(engine, reference, ["stt-bootstrap", "inspect", "/nowhere"])
    assert (status, printed) == (1, "error: /nowhere: no such checkpoint directory\n")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["python3", "-c", SAVES], 75),
        # As Kubeflow starts a Python component here: a shell that makes way for Python.
        (["sh", "-ec", 'true\nexec python3 -c "$0"\n', SAVES], 75),
        (["python3", "-c", "import signal; print('ready', flush=True); signal.pause()"], 128 + 15),
    ],
)
def test_sigterm_reaches_the_program_and_its_exit_status_comes_back(engine, command, status):
    container = engine.containers.run(images.LIGHT, command, detach=True, **LOCKED_UP)
    try:
        deadline = time.monotonic() + 30
        while b"ready" not in container.logs() and time.monotonic() < deadline:
            time.sleep(0.1)
        container.kill("SIGTERM")
        assert container.wait(timeout=30)["StatusCode"] == status
        assert (b"saved" in container.logs()) == (status == 75)
    finally:
        container.remove(force=True)
