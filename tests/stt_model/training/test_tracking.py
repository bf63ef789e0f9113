"""Against a server that keeps runs as MLflow's REST interface has them."""

import base64
import json
import logging
from http.server import BaseHTTPRequestHandler

import pytest

from stt_model.training import tracking
from stt_model.training.state import Epoch
from stt_model.training.tracking import Tracker
from stt_model.training.trainer import train
from tests.loopback import LoopbackServer
from tests.stt_model.training_runs import make_config

EPOCH = Epoch(3, 1.5, 2.5, 0.001, 10.0, 20.0, True)


class MlflowServer(LoopbackServer):
    """Keeps what it was sent; ``broken`` answers every request with its status."""

    def __init__(self):
        self.sent, self.headers, self.experiments, self.broken = [], [], {}, 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                what = self.path.removeprefix("/api/2.0/mlflow/")
                server.sent.append((what, body))
                server.headers.append(dict(self.headers))
                self.send_response(server.broken or 200)
                self.end_headers()
                self.wfile.write(json.dumps(server.answer(what, body)).encode())

            def log_message(self, *_):
                pass

        super().__init__(Handler)

    def answer(self, what, body):
        if what == "experiments/search":
            names = [n for n in self.experiments if body["filter"] == f"name = '{n}'"]
            return {"experiments": [{"experiment_id": self.experiments[n]} for n in names]}
        if what == "experiments/create":
            self.experiments[body["name"]] = str(len(self.experiments) + 1)
            return {"experiment_id": self.experiments[body["name"]]}
        if what == "runs/create":
            return {"run": {"info": {"run_id": f"made-in-{body['experiment_id']}"}}}
        return {}

    def metrics(self):
        return [
            (each["step"], each["key"], each["value"])
            for _, body in self.sent
            for each in body.get("metrics", [])
        ]


@pytest.fixture
def server():
    with MlflowServer() as running:
        yield running


def environ(server, **further):
    return {"MLFLOW_TRACKING_URI": server.address, **further}


def test_epochs_go_to_the_run_that_kubeflow_made(server):
    tracker = Tracker(environ(server, MLFLOW_RUN_ID="of-kubeflow"))
    tracker.begin({"epochs": 5, "augment": "x" * 900})
    tracker.add(EPOCH)
    tracker.end()
    assert [what for what, _ in server.sent] == ["runs/log-batch"] * 2, "Kubeflow ends its own run"
    assert {body["run_id"] for _, body in server.sent} == {"of-kubeflow"}
    assert server.sent[0][1]["params"] == [
        {"key": "epochs", "value": "5"},
        {"key": "augment", "value": "x" * 500},
    ]
    assert server.metrics() == [
        (3, "train_loss", 1.5),
        (3, "dev_loss", 2.5),
        (3, "learning_rate", 0.001),
        (3, "audio_seconds_per_second", 20.0),
    ]


def test_a_run_is_made_where_none_is_named_and_its_experiment_once(server):
    for _ in range(2):
        tracker = Tracker(environ(server))
        tracker.begin({})
        tracker.end()
    assert server.experiments == {"stt-bootstrap": "1"}
    assert [what for what, _ in server.sent].count("experiments/create") == 1
    what, body = server.sent[-1]
    assert (what, body["run_id"], body["status"]) == ("runs/update", "made-in-1", "FINISHED")


def test_missing_and_infinite_figures_are_left_out(server):
    tracker = Tracker(environ(server, MLFLOW_RUN_ID="run"))
    tracker.add(Epoch(0, None, float("inf"), 0.001, 1.0, 2.0, True))
    assert [name for _, name, _ in server.metrics()] == [
        "learning_rate",
        "audio_seconds_per_second",
    ]


def test_logins(server, tmp_path, monkeypatch):
    (tmp_path / "token").write_text("of-the-account\n")
    monkeypatch.setattr(tracking, "ACCOUNT_TOKEN", tmp_path / "token")
    for further in (
        {"MLFLOW_TRACKING_TOKEN": "given"},
        {"MLFLOW_TRACKING_AUTH": "kubernetes", "MLFLOW_WORKSPACE": "speech"},
        {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "pass"},
    ):
        Tracker(environ(server, MLFLOW_RUN_ID="run", **further)).add(EPOCH)
    login = base64.b64encode(b"ann:pass").decode()
    sent = [headers.get("Authorization") for headers in server.headers]
    assert sent == ["Bearer given", "Bearer of-the-account", f"Basic {login}"]
    assert server.headers[1]["X-MLFLOW-WORKSPACE"] == "speech"


def test_a_server_that_fails_is_told_once_and_left_alone(server, caplog):
    server.broken = 500
    tracker = Tracker(environ(server, MLFLOW_TRACKING_TOKEN="secret-token"))
    with caplog.at_level(logging.WARNING):
        tracker.begin({"epochs": 1})
        tracker.add(EPOCH)
        tracker.end()
    assert len(server.sent) == 1
    (warning,) = caplog.messages
    assert "does not accept the epochs" in warning
    assert "secret-token" not in warning


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1", "file:///tmp/runs", "http://[", "databricks"]
)
def test_no_address_ends_a_run(uri, caplog):
    tracker = Tracker({"MLFLOW_TRACKING_URI": uri})
    tracker.begin({"epochs": 1})
    tracker.add(EPOCH)
    tracker.end()
    assert len(caplog.messages) == 1


def test_without_a_server_nothing_is_said(caplog):
    Tracker({}).begin({})
    assert not caplog.messages


def test_training_sends_its_epochs(server, dataset, source, tmp_path, monkeypatch):
    for name, value in environ(server, MLFLOW_RUN_ID="run").items():
        monkeypatch.setenv(name, value)
    result = train(make_config(dataset, source, tmp_path / "out", epochs=2))
    losses = [(step, value) for step, name, value in server.metrics() if name == "dev_loss"]
    assert losses == [(epoch.number, pytest.approx(epoch.dev_loss)) for epoch in result.epochs]
    assert {"key": "epochs", "value": "2"} in server.sent[0][1]["params"]
