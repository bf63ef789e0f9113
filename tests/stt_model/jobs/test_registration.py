"""Registration, against a server that keeps models as the Model Registry does."""

import json

import pytest

from stt_model import jobs
from stt_model.base.errors import ExportError
from stt_model.export import registry
from tests.registry_server import RegistryServer, write_export

URI = "s3://speech/models/swahili"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(registry, "wait_exponential", lambda **_: lambda state: 0)
    with RegistryServer() as running:
        yield running


@pytest.fixture
def export(tmp_path):
    return write_export(tmp_path)


def test_an_export_becomes_a_version_of_a_model(server, export):
    found = jobs.register_model(export, URI, server.address, wer=0.15, cer=0.03)
    assert found.model == "swahili"
    assert found.version.startswith("1.2.0+")
    [model], [version], [place] = server.models, server.versions, server.places["1"]
    assert (model["name"], model["owner"]) == ("swahili", "us")
    assert (version["name"], version["registeredModelId"]) == (found.version, "1")
    properties = version["customProperties"]
    assert properties["wer"] == {"metadataType": "MetadataDoubleValue", "double_value": 0.15}
    assert properties["language"] == {
        "metadataType": "MetadataStringValue",
        "string_value": "sw-Latn-KE",
    }
    assert place["artifactType"] == "model-artifact"
    assert (place["uri"], place["modelFormatName"]) == (URI, "tflite")


def test_the_same_export_is_one_version_and_another_one_another(server, export):
    for _ in range(2):
        jobs.register_model(export, URI, server.address)
    assert [len(server.models), len(server.versions), len(server.places["1"])] == [1, 1, 1]
    description = json.loads((export / "export.json").read_text())
    description["files"]["output_graph.tflite"] = "2" * 64
    (export / "export.json").write_text(json.dumps(description))
    jobs.register_model(export, URI, server.address)
    assert [len(server.models), len(server.versions)] == [1, 2]


def test_figures_that_are_not_known_are_left_out(server, export):
    jobs.register_model(export, URI, server.address)
    assert not {"wer", "cer"} & set(server.versions[0]["customProperties"])


def test_a_model_that_is_not_released_is_not_registered(server, export):
    assert jobs.register_model(export, URI, server.address, released=False).model == ""
    assert server.headers == []


def test_a_registry_that_is_busy_is_asked_again(server, export):
    server.broken = [503, 429]
    jobs.register_model(export, URI, server.address)
    assert len(server.versions) == 1


def test_an_entry_whose_answer_was_lost_is_found_again(server, export):
    server.loses = True
    jobs.register_model(export, URI, server.address)
    assert [len(server.models), len(server.versions)] == [1, 1]


def test_a_refusal_says_which_registry_and_why(server, export):
    server.broken = [403]
    message = f"{server.address}: the Model Registry did not take the model .*: 403 not now"
    with pytest.raises(ExportError, match=message):
        jobs.register_model(export, URI, server.address)


def test_a_registry_that_is_not_there(export, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(registry, "wait_exponential", lambda **_: lambda state: 0)
    with pytest.raises(ExportError, match=r"^http://127.0.0.1:9: the Model Registry did not take"):
        jobs.register_model(export, URI, "http://127.0.0.1:9")


def test_the_token_of_the_account_is_shown_and_never_printed(
    server, export, monkeypatch, tmp_path, caplog
):
    (tmp_path / "token").write_text("secret-token\n")
    monkeypatch.setenv(registry.TOKEN_PATH_VARIABLE, str(tmp_path / "token"))
    server.broken = [401]
    with pytest.raises(ExportError) as failure:
        jobs.register_model(export, URI, server.address)
    jobs.register_model(export, URI, server.address)
    assert {each["Authorization"] for each in server.headers} == {"Bearer secret-token"}
    assert "secret-token" not in str(failure.value) + caplog.text


@pytest.mark.parametrize(
    ("url", "uri", "message"),
    [
        ("registry:8080", URI, "expected the http:// or https:// address"),
        ("http://127.0.0.1:9", "/tmp/export", "expected a URI from which others can"),
    ],
)
def test_addresses_that_cannot_work_are_refused(export, url, uri, message):
    with pytest.raises(ExportError, match=message):
        jobs.register_model(export, uri, url)


def test_a_folder_that_is_no_export_is_refused(tmp_path):
    with pytest.raises(ExportError, match="expected one model card"):
        jobs.register_model(tmp_path, URI, "http://127.0.0.1:9")
