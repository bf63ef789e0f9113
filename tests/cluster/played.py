"""A server on the loopback device that plays a whole cluster to the tests on clusters.

It has what ``manifests/overlays/dev`` puts into a namespace, as kustomize renders it, one node of
the size that those are for, and runs that go from step to step (``played_runs``). What it does not
know it answers with 404, and keeps in ``unknown``.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.cluster.played_objects import SPACE, dev_namespace, other_pods
from tests.cluster.played_runs import PlayedRun
from tests.loopback import LoopbackServer
from tests.pipelines.backend import BackendError

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/kubeflow/workflows"
_MERGE = ("application/strategic-merge-patch+json", "application/merge-patch+json")


class Refusal(Exception):
    """An answer that is no 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Query = dict[str, list[str]]


class PlayedCluster(LoopbackServer):
    """Serves while the ``with`` block lasts; ``folder`` is what the object store holds.

    Attributes:
        runs, versions, experiments, pipelines: what Kubeflow knows, by id; the latter by name.
        retries: how often a run was asked to be gone on with.
        unknown: requests that no cluster would have understood as they were, or that are not
            played.
        deleted: pods that were deleted.
    """

    def __init__(
        self, folder: Path, keys: dict[str, str], *, argo_tries_again: bool = True
    ) -> None:
        self.folder = folder
        self.argo_tries_again = argo_tries_again
        self.retries = 0
        self.runs: dict[str, PlayedRun] = {}
        self.versions: dict[str, tuple[str, bytes]] = {}
        self.pipelines: dict[str, str] = {}
        self.experiments: dict[str, str] = {}
        self.unknown: list[str] = []
        self.deleted: list[str] = []
        self._cache: set[tuple[Any, ...]] = set()
        self.objects, self.rules = dev_namespace(keys)
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cluster._answer(self)

            do_POST = do_DELETE = do_PATCH = do_GET

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a file that leads here, as the only context."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": self.address}}],
            "users": [{"name": "here", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        what = f"{request.command} {request.path}"
        try:
            play, found = self._route(request.command, parts.path)
            answer = play(*found, query=parse_qs(parts.query), body=body, headers=request.headers)
            status = 201 if request.command == "POST" and parts.path.startswith("/api") else 200
        except Refusal as refusal:
            status = refusal.status
            answer = {"kind": "Status", "code": status, "message": str(refusal)}
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            self.unknown.append(f"{what}: {type(error).__name__}: {error}")
            status, answer = 400, {"code": 400, "message": f"{what}: {error}"}
        text = isinstance(answer, str)
        content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        request.send_response(status)
        request.send_header("Content-Type", "text/plain" if text else "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _route(self, method: str, path: str) -> tuple[Callable[..., Any], tuple[str, ...]]:
        pods, kfp = f"{SPACE}/pods", "/apis/v2beta1"
        reviews = "/apis/authorization.k8s.io/v1"
        for expected, pattern, play in (
            ("GET", f"{kfp}/healthz", self._health),
            ("GET", f"{kfp}/pipelines", self._list_pipelines),
            ("POST", f"{kfp}/pipelines", self._create_pipeline),
            ("DELETE", rf"{kfp}/pipelines/([\w-]+)", self._delete_pipeline),
            ("POST", f"{kfp}/pipelines/upload_version", self._upload),
            ("GET", rf"{kfp}/pipelines/([\w-]+)/versions", self._list_versions),
            ("DELETE", rf"{kfp}/pipelines/([\w-]+)/versions/([\w-]+)", self._delete_version),
            ("GET", f"{kfp}/experiments", self._list_experiments),
            ("POST", f"{kfp}/experiments", self._create_experiment),
            ("DELETE", rf"{kfp}/experiments/([\w-]+)", self._delete_experiment),
            ("POST", f"{kfp}/runs", self._create_run),
            ("GET", rf"{kfp}/runs/([\w-]+)", self._get_run),
            ("DELETE", rf"{kfp}/runs/([\w-]+)", self._delete_run),
            ("POST", rf"{kfp}/runs/([\w-]+):retry", self._retry_run),
            ("POST", rf"{reviews}/selfsubjectaccessreviews", self._review_of_whoever_asks),
            (
                "POST",
                f"{reviews}/namespaces/kubeflow/localsubjectaccessreviews",
                self._review_of_the_runs,
            ),
            ("GET", pods, self._list_pods),
            ("GET", rf"{pods}/([\w-]+)", self._get_pod),
            ("DELETE", rf"{pods}/([\w-]+)", self._delete_pod),
            ("GET", rf"{pods}/([\w-]+)/log", self._read_log),
            ("GET", f"{SPACE}/events", self._list_events),
            ("GET", WORKFLOWS, self._list_workflows),
            ("PATCH", rf"({SPACE}/resourcequotas/[\w-]+)", self._patch_quota),
            ("GET", r"(/.*)", self._get_object),
        ):
            if method == expected and (found := re.fullmatch(pattern, path)):
                return play, found.groups()
        raise AssertionError("not played")

    # Kubeflow Pipelines

    def _health(self, **_: Any) -> Any:
        return {"multi_user": False, "pipeline_store": "database"}

    def _list_pipelines(self, *, query: Query, **_: Any) -> Any:
        name = _asked(query)
        found = [
            {"pipeline_id": key, "display_name": each, "name": each}
            for each, key in self.pipelines.items()
            if each == name
        ]
        return {"pipelines": found, "total_size": len(found)} if found else {}

    def _create_pipeline(self, *, body: bytes, **_: Any) -> Any:
        name = json.loads(body)["display_name"]
        self.pipelines[name] = str(uuid.uuid4())
        return {"pipeline_id": self.pipelines[name], "display_name": name}

    def _delete_pipeline(self, pipeline_id: str, **_: Any) -> Any:
        if any(pipeline_id == pipeline for pipeline, _ in self.versions.values()):
            raise Refusal(400, f"pipeline {pipeline_id} has existing pipeline versions")
        names = [name for name, key in self.pipelines.items() if key == pipeline_id]
        del self.pipelines[names[0]]
        return {}

    def _list_versions(self, pipeline_id: str, *, query: Query, **_: Any) -> Any:
        found = [
            {"pipeline_id": pipeline_id, "pipeline_version_id": key, "display_name": key}
            for key, (pipeline, _) in self.versions.items()
            if pipeline == pipeline_id and ("filter" not in query or key == _asked(query))
        ]
        return {"pipeline_versions": found} if found else {}

    def _upload(self, *, query: Query, body: bytes, headers: Any, **_: Any) -> Any:
        head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
        (part,) = BytesParser().parsebytes(head + body).get_payload()
        [name], [pipeline_id] = query["name"], query["pipelineid"]
        assert pipeline_id in self.pipelines.values(), "no such pipeline"
        content = part.get_payload(decode=True)
        self.versions[name] = (pipeline_id, content)
        return {"pipeline_id": pipeline_id, "pipeline_version_id": name, "display_name": name}

    def _delete_version(self, pipeline_id: str, version_id: str, **_: Any) -> Any:
        assert self.versions[version_id][0] == pipeline_id
        del self.versions[version_id]
        return {}

    def _list_experiments(self, *, query: Query, **_: Any) -> Any:
        wanted = _asked(query) if "filter" in query else None
        found = [
            {"experiment_id": key, "display_name": name, "storage_state": "AVAILABLE"}
            for name, key in self.experiments.items()
            if wanted in (None, name)
        ]
        return {"experiments": found} if found else {}

    def _create_experiment(self, *, body: bytes, **_: Any) -> Any:
        name = json.loads(body)["display_name"]
        self.experiments[name] = str(uuid.uuid4())
        return {"experiment_id": self.experiments[name], "display_name": name}

    def _delete_experiment(self, experiment_id: str, **_: Any) -> Any:
        (name,) = (name for name, key in self.experiments.items() if key == experiment_id)
        del self.experiments[name]
        return {}

    def _create_run(self, *, body: bytes, **_: Any) -> Any:
        asked = json.loads(body)
        version = asked["pipeline_version_reference"]
        pipeline_id, content = self.versions[version["pipeline_version_id"]]
        assert pipeline_id == version["pipeline_id"]
        assert asked["experiment_id"] in self.experiments.values()
        assert f"{SPACE}/serviceaccounts/{asked['service_account']}" in self.objects
        parameters = asked["runtime_config"]["parameters"]
        source = parameters.get("dataset_uri") or parameters["source_uri"]
        try:
            run = PlayedRun(
                str(uuid.uuid4()),
                asked["display_name"],
                content.decode(),
                parameters,
                self._digest(source),
                self._cache,
                self.argo_tries_again,
            )
        except BackendError as error:
            raise Refusal(400, str(error)) from error
        self.runs[run.run_id] = run
        return run.answer(asked["experiment_id"])

    def _get_run(self, run_id: str, **_: Any) -> Any:
        run = self._run(run_id)
        run.look()
        return run.answer(next(iter(self.experiments.values())))

    def _delete_run(self, run_id: str, **_: Any) -> Any:
        self._run(run_id)
        del self.runs[run_id]
        return {}

    def _retry_run(self, run_id: str, **_: Any) -> Any:
        self.retries += 1
        self._run(run_id).retry()
        return {}

    def _run(self, run_id: str) -> PlayedRun:
        if run_id not in self.runs:
            raise Refusal(404, f"Run {run_id} not found")
        return self.runs[run_id]

    def _digest(self, uri: str) -> str:
        """Return what tells whether anything below a URI has changed."""
        root = self.folder / uri.removeprefix("s3://")
        files = sorted(path for path in root.rglob("*") if path.is_file())
        assert files, f"nothing at {uri}"
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()

    # Kubernetes

    def _review_of_whoever_asks(self, *, body: bytes, **_: Any) -> Any:
        return {**json.loads(body), "status": {"allowed": True}}

    def _review_of_the_runs(self, *, body: bytes, **_: Any) -> Any:
        asked = json.loads(body)
        assert asked["spec"]["user"] == "system:serviceaccount:kubeflow:stt-bootstrap-runner"
        wanted = asked["spec"]["resourceAttributes"]
        allowed = any(
            wanted.get("group", "") in rule["apiGroups"]
            and wanted["resource"] in rule["resources"]
            and wanted["verb"] in rule["verbs"]
            and wanted.get("name", "") in rule.get("resourceNames", [wanted.get("name", "")])
            for rule in self.rules
        )
        return {**asked, "status": {"allowed": allowed}}

    def _list_pods(self, *, query: Query, **_: Any) -> Any:
        [selector] = query["labelSelector"]
        wanted = dict(part.split("=") for part in selector.split(","))
        items = [
            pod
            for run in self.runs.values()
            for pod in run.pods.values()
            if wanted.items() <= pod["metadata"]["labels"].items()
        ]
        return {"apiVersion": "v1", "kind": "PodList", "items": items}

    def _run_of(self, pod: str) -> PlayedRun:
        for run in self.runs.values():
            if pod in run.pods:
                return run
        raise Refusal(404, f'pods "{pod}" not found')

    def _get_pod(self, pod: str, **_: Any) -> Any:
        return self._run_of(pod).pods[pod]

    def _delete_pod(self, pod: str, **_: Any) -> Any:
        run = self._run_of(pod)
        deleted = run.pods[pod]
        run.lose(pod)
        self.deleted.append(pod)
        return deleted

    def _read_log(self, pod: str, *, query: Query, **_: Any) -> Any:
        [container] = query["container"]
        run = self._run_of(pod)
        assert container in {each["name"] for each in run.pods[pod]["spec"]["containers"]}
        return run.logs[pod]

    def _list_events(self, *, query: Query, **_: Any) -> Any:
        [selector] = query["fieldSelector"]
        assert selector.startswith("involvedObject.kind=Pod,involvedObject.name=")
        return {"apiVersion": "v1", "kind": "EventList", "items": []}

    def _list_workflows(self, *, query: Query, **_: Any) -> Any:
        [selector] = query["labelSelector"]
        return self._run(selector.removeprefix("pipeline/runid=")).workflows()

    def _patch_quota(self, path: str, *, body: bytes, headers: Any, **_: Any) -> Any:
        assert headers["Content-Type"] in _MERGE, headers["Content-Type"]
        quota = self.objects[path]
        quota["spec"]["hard"] |= json.loads(body)["spec"]["hard"]
        return quota

    def _get_object(self, path: str, *, query: Query, **_: Any) -> Any:
        if path in self.objects:
            found = self.objects[path]
            # The controller follows a moment later.
            answer = json.loads(json.dumps(found))
            if found.get("kind") == "ResourceQuota":
                found["status"]["hard"] = dict(found["spec"]["hard"])
            return answer
        listed = [each for key, each in self.objects.items() if key.rpartition("/")[0] == path]
        if path == "/api/v1/pods":
            [node] = query["fieldSelector"]
            assert node == "spec.nodeName=node", node
            listed = [other_pods()]
        if not listed and not path.startswith(f"{SPACE}/"):
            raise AssertionError("not played")
        if not listed:
            raise Refusal(404, f"{path} not found")
        return {"kind": "List", "items": listed}


def _asked(query: Query) -> str:
    """Return the name that a list is filtered by."""
    (predicate,) = json.loads(query["filter"][0])["predicates"]
    assert (predicate["key"], predicate["operation"]) == ("display_name", "EQUALS")
    return str(predicate["string_value"])
