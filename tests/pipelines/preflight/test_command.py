"""The command, as its user sees it."""

import json
import os

import pytest

from stt_bootstrap.pipelines.preflight.findings import Finding, Status, as_table
from tests.command_line import call
from tests.manifests.render import SOURCES


def test_the_command_prints_a_table_and_ends_well(api, package):
    done = call("preflight", "--namespace", "speech", "--package", package)
    assert (done.code, done.err) == (0, "")
    assert "ok       namespace" in done.out
    assert "nvidia" not in done.out


def test_the_command_prints_json_and_ends_badly(api, package, tmp_path):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("gpu_type: nvidia.com/gpu\ngpu_count: '9'\nepochs: 3\n")
    arguments = ("preflight", "--namespace", "speech", "--package", package, "--output", "json")
    done = call(*arguments, "--parameters", parameters)
    assert done.code == 1
    assert "nodes, quota" in done.error
    told = json.loads(done.out)
    assert told["passed"] is False
    assert "nvidia.com/gpu 9" in str(told["findings"])
    # Flags win over the file.
    assert call(*arguments, "--parameters", parameters, "--gpu_count", 2).code == 0


def test_the_command_takes_the_parameters_of_the_overlay(api, package):
    parameters = SOURCES / "overlays/gpu/parameters.yaml"
    api.objects["/api/v1/nodes"][1]["metadata"]["labels"] = {"nvidia.com/gpu.present": "true"}
    done = call(
        "preflight", "--namespace", "speech", "--package", package, "--parameters", parameters
    )
    assert done.code == 0
    assert "nvidia.com/gpu 1 free on gpu" in done.out


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("gpus: 2", "gpus: no such parameter"),
        ("- 2", "expected lines"),
        ("{", "expected YAML or JSON"),
    ],
)
def test_parameters_that_cannot_be_read(api, tmp_path, content, error):
    (tmp_path / "parameters.yaml").write_text(content)
    assert error in call("preflight", "--parameters", tmp_path / "parameters.yaml").error


def test_a_selector_that_is_no_json(api):
    done = call("preflight", "--node_selector", "disk=ssd")
    assert done.code == 2
    assert "JSON object" in done.err


def test_no_cluster_to_look_at(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert "KUBECONFIG" in call("preflight").error


def test_another_context(api):
    assert "elsewhere" in call("preflight", "--context", "elsewhere").error


def test_remedies_stand_below_what_was_found():
    findings = [Finding(Status.FAILED, "no room", "make room", "nodes")]
    assert as_table(findings).splitlines() == [
        "failed   nodes  no room",
        "                -> make room",
    ]


@pytest.mark.cluster
@pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG leads to no cluster")
def test_on_a_real_cluster():
    namespace = os.environ.get("KFP_NAMESPACE", "kubeflow")
    done = call("preflight", "--namespace", namespace, "--output", "json")
    assert {"version", "nodes", "store"} <= {f["check"] for f in json.loads(done.out)["findings"]}
    assert (done.code == 0) is json.loads(done.out)["passed"]


@pytest.mark.parametrize("name", ["form", "prepare", "sweep", "bootstrap"])
def test_every_package_can_be_looked_at(api, package, name):
    done = call(
        "preflight", "--namespace", "speech", "--package", package.with_name(f"{name}.yaml")
    )
    assert (done.code, done.err) == (0, "")


def test_the_flags_are_the_parameters_of_the_package(api, package):
    form = package.with_name("form.yaml")
    known = call("preflight", "--help", "--package", form).out
    assert "--step_memory" in known
    assert "--evaluation_memory" not in known
    arguments = ("preflight", "--namespace", "speech", f"--package={form}")
    done = call(*arguments, "--step_memory", "640Gi")
    assert done.code == 1
    assert "memory 640Gi" in done.out
    done = call(*arguments, "--model_alphabet_uri", "/alphabet.txt")
    assert "/alphabet.txt is a path, which only the pods can check" in " ".join(done.out.split())


def test_a_package_that_is_none(api, tmp_path):
    done = call("preflight", "--namespace", "speech", "--package", tmp_path / "none.yaml")
    assert "expected a pipeline as `stt-bootstrap compile` writes it" in done.error
