"""An HTTP server on the loopback device that plays the API of Kubeflow Pipelines, and that of pods.

Answers are built from the models of kfp's own client, so that they have its shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timezone
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as api

from tests.loopback import LoopbackServer

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)
TOKEN = "token-of-the-tests"


def task(
    name: str, state: str, seconds: int = 0, task_id: str | None = None
) -> api.V2beta1PipelineTaskDetail:
    """Return a task as the server tells it; ``seconds`` is when it ended, from its start."""
    end = START.replace(second=seconds) if seconds else datetime.fromtimestamp(0, timezone.utc)
    return api.V2beta1PipelineTaskDetail(
        display_name=name, state=state, start_time=START, end_time=end, task_id=task_id
    )


def pod(name: str, component: str, phase: str) -> dict[str, Any]:
    """Return a pod as Kubernetes lists it."""
    labels = {"app.kubernetes.io/name": "stt-bootstrap", "app.kubernetes.io/component": component}
    node = {"workflows.argoproj.io/node-name": f"run(0).root(0).{component}(0).executor(0)"}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": node},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"phase": phase},
    }


def recorded(name: str) -> Any:
    """Return an answer that a real cluster gave, shortened."""
    text = (Path(__file__).with_name("recorded") / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else text


class KubeflowServer(LoopbackServer):
    """Serves while the ``with`` block lasts.

    Attributes:
        uploads: the packages that arrived, by the name of their version.
        runs: the bodies that asked for runs.
        states: what a look at the run answers, one after the other; the last one stays.
        refusals: status and body of the answer, by method and path, in place of the real one.
        after_run_began: called when a run was asked for.
        pods: what there is of pods, and ``logs`` what they printed, by name.
        events: those of pods.
        workflows: Argo's, one answer after the other; the last one stays.
        retries: how often the run was asked to be tried again; ``after_retry`` is called then.
    """

    def __init__(self) -> None:
        self.multi_user = False
        self.token = ""
        self.uploads: dict[str, bytes] = {}
        self.pipelines: dict[str, str | None] = {}
        self.experiments: dict[str, str | None] = {}
        self.runs: list[dict[str, Any]] = []
        self.states: list[tuple[str, list[api.V2beta1PipelineTaskDetail]] | dict[str, Any]] = []
        self.refusals: dict[tuple[str, str], list[tuple[int, bytes, str]]] = {}
        self.pods: list[dict[str, Any]] = []
        self.logs: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        self.workflows: list[dict[str, Any]] = [{"items": []}]
        self.retries = 0
        self.after_retry: Callable[[], None] = lambda: None
        self.requests: list[tuple[str, str]] = []
        self.after_run_began: Callable[[], None] = lambda: None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)

    @property
    def endpoint(self) -> str:
        return self.address

    def refuse(self, method: str, path: str, status: int, message: str, times: int = 1000) -> None:
        """Answer with a refusal, as the API words it."""
        body = {"error": message, "code": 13, "message": message, "details": []}
        entry = (status, json.dumps(body).encode(), "application/json")
        self.refusals[method, path] = [entry] * times

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        address = urlsplit(request.path)
        self.requests.append((request.command, address.path))
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if waiting := self.refusals.get((request.command, address.path)):
            self._send(request, *waiting.pop())
        elif self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            self._send(request, 401, b'{"message": "Unauthorized"}', "application/json")
        elif address.path.endswith("/log"):
            text = self.logs[address.path.split("/")[-2]]
            self._send(request, 200, text.encode(), "text/plain")
        else:
            model = self._find(request, address.path)(parse_qs(address.query), request, body)
            told = api.ApiClient().sanitize_for_serialization(model)
            self._send(request, 200, json.dumps(told).encode(), "application/json")

    def _find(self, request: BaseHTTPRequestHandler, path: str) -> Callable[..., Any]:
        for (method, pattern), play in {
            ("GET", r".*/healthz"): self._healthz,
            ("GET", r".*/pipelines"): self._list_pipelines,
            ("POST", r".*/pipelines"): self._create_pipeline,
            ("GET", r".*/pipelines/p-1/versions"): self._list_versions,
            ("POST", r".*/pipelines/upload_version"): self._upload_version,
            ("GET", r".*/experiments"): self._list_experiments,
            ("POST", r".*/experiments"): self._create_experiment,
            ("POST", r".*/runs"): self._create_run,
            ("GET", r".*/runs/run-1"): self._get_run,
            ("POST", r".*/runs/run-1:retry"): self._retry_run,
            ("GET", r"/api/v1/namespaces/[\w-]+/pods"): self._list_pods,
            ("GET", r"/api/v1/namespaces/[\w-]+/events"): self._list_events,
            ("GET", r"/apis/argoproj.io/v1alpha1/namespaces/[\w-]+/workflows"): self._workflows,
        }.items():
            if method == request.command and re.fullmatch(pattern, path):
                return play
        raise AssertionError(f"not played: {request.command} {path}")

    def _send(self, request: Any, status: int, body: bytes, content_type: str) -> None:
        request.send_response(status)
        request.send_header("Content-Type", content_type)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _healthz(self, *_: Any) -> Any:
        return api.V2beta1GetHealthzResponse(multi_user=self.multi_user)

    def _list_pipelines(self, query: dict[str, list[str]], *_: Any) -> Any:
        found = [
            api.V2beta1Pipeline(pipeline_id="p-1", display_name=name, namespace=namespace)
            for name, namespace in self.pipelines.items()
            if name == _asked(query)
        ]
        return api.V2beta1ListPipelinesResponse(pipelines=found or None)

    def _create_pipeline(self, _: Any, __: Any, body: bytes) -> Any:
        asked = json.loads(body)
        self.pipelines[asked["display_name"]] = asked.get("namespace")
        return api.V2beta1Pipeline(pipeline_id="p-1", display_name=asked["display_name"])

    def _list_versions(self, query: dict[str, list[str]], *_: Any) -> Any:
        found = [_version(name) for name in self.uploads if name == _asked(query)]
        return api.V2beta1ListPipelineVersionsResponse(pipeline_versions=found or None)

    def _upload_version(self, query: dict[str, list[str]], request: Any, body: bytes) -> Any:
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        (part,) = BytesParser().parsebytes(head + body).get_payload()
        assert query["pipelineid"] == ["p-1"]
        (name,) = query["name"]
        self.uploads[name] = part.get_payload(decode=True)
        return _version(name)

    def _list_experiments(self, query: dict[str, list[str]], *_: Any) -> Any:
        found = [
            api.V2beta1Experiment(experiment_id="e-1", display_name=name)
            for name in self.experiments
            if name == _asked(query)
        ]
        return api.V2beta1ListExperimentsResponse(experiments=found or None)

    def _create_experiment(self, _: Any, __: Any, body: bytes) -> Any:
        asked = json.loads(body)
        self.experiments[asked["display_name"]] = asked.get("namespace")
        return api.V2beta1Experiment(experiment_id="e-1", display_name=asked["display_name"])

    def _create_run(self, _: Any, __: Any, body: bytes) -> Any:
        self.runs.append(json.loads(body))
        self.after_run_began()
        return api.V2beta1Run(run_id="run-1", state="PENDING")

    def _get_run(self, *_: Any) -> Any:
        answer = _next(self.states)
        if isinstance(answer, dict):
            return answer
        state, tasks = answer
        details = api.V2beta1RunDetails(task_details=tasks)
        return api.V2beta1Run(run_id="run-1", state=state, run_details=details)

    def _retry_run(self, *_: Any) -> Any:
        self.retries += 1
        self.after_retry()
        return {}

    def _list_pods(self, query: dict[str, list[str]], *_: Any) -> Any:
        assert query["labelSelector"] == ["pipeline/runid=run-1"]
        return {"apiVersion": "v1", "kind": "PodList", "items": self.pods}

    def _list_events(self, query: dict[str, list[str]], *_: Any) -> Any:
        (selector,) = query["fieldSelector"]
        name = selector.removeprefix("involvedObject.kind=Pod,involvedObject.name=")
        items = [each for each in self.events if each["involvedObject"]["name"] == name]
        return {"apiVersion": "v1", "kind": "EventList", "items": items}

    def _workflows(self, query: dict[str, list[str]], *_: Any) -> Any:
        assert query["labelSelector"] == ["pipeline/runid=run-1"]
        return _next(self.workflows)


def _next(answers: list[Any]) -> Any:
    return answers.pop(0) if len(answers) > 1 else answers[0]


def _version(name: str) -> api.V2beta1PipelineVersion:
    return api.V2beta1PipelineVersion(
        pipeline_id="p-1", pipeline_version_id=f"v-{name[-4:]}", display_name=name
    )


def _asked(query: dict[str, list[str]]) -> str:
    """Return the name that a list is filtered by."""
    (predicate,) = json.loads(query["filter"][0])["predicates"]
    assert (predicate["key"], predicate["operation"]) == ("display_name", "EQUALS")
    return str(predicate["string_value"])
