"""The script that makes a small cluster, with programs that stand for kind, kubectl and so on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stt_bootstrap.components import images

SCRIPT = Path(__file__).parents[2] / "manifests" / "dev-cluster.sh"
# Says what it was called with, and answers as the real ones do before there is anything.
PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in
    "kubectl -n kubeflow get secret "*) exit ${SECRET_IS_MISSING:-1};;
    "kind get clusters") echo "$CLUSTERS";;
    *" save -o "*) shift 2; : >"$1";;
esac
"""


@pytest.fixture
def cluster(tmp_path):
    """Return what runs the script with such programs, and yields the calls that it made."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def run(*arguments, tools=("kind", "docker"), **environ):
        for name in ("kubectl", "make", "git", *tools):
            path = programs / name
            path.write_text(PROGRAM)
            path.chmod(0o755)
        calls = tmp_path / "calls"
        calls.write_text("")
        system = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path),
        }
        done = subprocess.run(
            ["sh", str(SCRIPT), *arguments],
            env={**system, "CALLS": str(calls), "CLUSTERS": "", **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done, calls.read_text().splitlines()

    return run


def first(calls, *words):
    """Return the place of the first call that has all of the words."""
    return next(n for n, call in enumerate(calls) if all(word in call for word in words))


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_cluster_of_kind_is_made_in_order(cluster, engine):
    done, calls = cluster(tools=("kind", engine))
    assert done.returncode == 0, done.stderr
    light, model = images.LIGHT, images.MODEL
    steps = [
        ("kind create cluster", "--name stt-bootstrap"),
        ("kubectl config use-context kind-stt-bootstrap",),
        ("kubectl apply -k", "cluster-scoped-resources?ref=2.17.0"),
        ("kubectl apply -k", "env/platform-agnostic?ref=2.17.0"),
        (f"make images ENGINE={engine}", f"TAG={images.TAG}", f"REGISTRY={images.REGISTRY}"),
        (f"{engine} save -o", light),
        ("kind load image-archive --name stt-bootstrap", "light.tar"),
        (f"{engine} save -o", model),
        ("kubectl -n kubeflow create secret generic stt-bootstrap-store --from-env-file=",),
        ("kubectl apply -k manifests/overlays/dev",),
        ("kubectl -n kubeflow wait --for condition=available",),
    ]
    places = [first(calls, *words) for words in steps]
    assert places == sorted(places)
    assert "make test-cluster" in done.stdout


def test_minikube_is_made_small(cluster):
    done, calls = cluster(tools=("minikube", "docker"), TOOL="minikube")
    assert done.returncode == 0, done.stderr
    first(calls, "minikube start -p stt-bootstrap --cpus 2 --memory 6g")
    first(calls, "minikube -p stt-bootstrap image load", "model.tar")


def test_existing_cluster_and_secret_are_kept(cluster):
    done, calls = cluster(CLUSTERS="stt-bootstrap", SECRET_IS_MISSING="0")
    assert done.returncode == 0, done.stderr
    assert not [call for call in calls if "create cluster" in call or "create secret" in call]


def test_keys_are_on_no_command_line_and_left_nowhere(cluster, tmp_path):
    done, calls = cluster()
    assert not [call for call in calls if "AWS_" in call]
    assert "AWS_" not in done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tmp")] == []


def test_it_is_taken_away(cluster):
    done, calls = cluster("delete")
    assert (done.returncode, calls) == (0, ["kind delete cluster --name stt-bootstrap"])


@pytest.mark.parametrize(
    ("tools", "environ", "message"),
    [
        ((), {}, "no kind and no minikube here: install one of them"),
        (("docker",), {"TOOL": "kind"}, "no kind here: install it"),
        (("kind",), {"ENGINE": "podman"}, "no podman here: install it"),
    ],
)
def test_a_missing_tool_or_variable_is_named(cluster, tools, environ, message):
    if any(Path("/usr/bin", each).exists() for each in ("kind", "minikube", "podman")):
        pytest.skip("one of them is installed here")
    done, calls = cluster(tools=tools, **environ)
    assert done.returncode == 1
    assert done.stderr == f"dev-cluster: {message}\n"
    assert calls == []


def test_the_shell_finds_no_fault_with_it():
    checker = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [str(checker), str(SCRIPT)], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stdout
