"""A server on the loopback device that answers as Kubernetes does where Kubeflow Trainer is.

It keeps TrainJobs as objects and plays what becomes of one: a list of moments, each with the job's
conditions and its pods, of which the next begins whenever the job has been looked at.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

from tests.loopback import LoopbackServer

NAMESPACE = "speech"
JOBS = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{NAMESPACE}/trainjobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
COMPLETE = [{"type": "Complete", "status": "True", "reason": "JobsCompleted", "message": "done"}]
FAILED = [{"type": "Failed", "status": "True", "reason": "FailedJobs", "message": "jobset failed"}]


class TrainerServer(LoopbackServer):
    """Plays ``moments`` while the ``with`` block lasts."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.made: list[dict[str, Any]] = []
        self.moments: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = []
        """Conditions and pods, one moment after the other; the last one stays."""
        self.logs: dict[str, list[str]] = {}
        """What each pod prints; None in between breaks the connection off."""
        self.own_pod: dict[str, Any] = {"metadata": {"name": "step", "labels": {}}}
        self.refusals: dict[tuple[str, str], int] = {}
        """Method and path to the status of every answer."""
        self.outages = 0
        """How many of the next looks at the job are answered with 503."""
        self.on_look: Callable[[int], None] = lambda number: None
        self.looks = 0
        self.asked: list[tuple[str, str]] = []
        """Verbs and resources, as a Role names them."""
        self.lock = threading.Lock()
        super().__init__(type("Handler", (_Handler,), {"trainer": self}))

    def api(self) -> client.ApiClient:
        """Return a client of it."""
        configuration = client.Configuration()
        configuration.host = self.address
        configuration.retries = 0
        configuration.proxy = None
        return client.ApiClient(configuration)

    @property
    def moment(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return self.moments[min(self.looks, len(self.moments) - 1)]


class _Handler(BaseHTTPRequestHandler):
    trainer: TrainerServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet, which is answered at once

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path.startswith(f"{JOBS}/"):
            self._look(parts.path)
        elif parts.path == PODS:
            self._asked("list", "pods")
            if not self._is_refused("GET", PODS):
                [selector] = parse_qs(parts.query)["labelSelector"]
                key, _, value = selector.partition("=")
                pods = [p for p in self._pods() if p["metadata"]["labels"].get(key) == value]
                self._send(200, {"kind": "PodList", "apiVersion": "v1", "items": pods})
        elif parts.path.endswith("/log"):
            self._asked("get", "pods/log")
            if not self._is_refused("GET", f"{PODS}/log"):
                self._print(parts.path.split("/")[-2], parse_qs(parts.query))
        else:
            self._asked("get", "pods")
            self._send(200, self.trainer.own_pod)

    def do_POST(self) -> None:
        body = self._body()
        self._asked("create", "trainjobs")
        if self._is_refused("POST", JOBS):
            return
        name = body["metadata"]["name"]
        if name in self.trainer.jobs:
            self._refuse(409, f'trainjobs.trainer.kubeflow.org "{name}" already exists')
            return
        self.trainer.jobs[name] = body
        self.trainer.made.append(body)
        self.trainer.looks = 0
        self._send(201, body)

    def do_PATCH(self) -> None:
        self._asked("patch", "trainjobs")
        assert self.headers["Content-Type"] in (
            "application/merge-patch+json",
            "application/json-patch+json",
        )
        job = self.trainer.jobs[self.path.rpartition("/")[2]]
        job["metadata"].update(self._body()["metadata"])
        self._send(200, job)

    def do_DELETE(self) -> None:
        self._body()
        self._asked("delete", "trainjobs")
        gone = self.trainer.jobs.pop(urlsplit(self.path).path.rpartition("/")[2], None)
        if gone is None:
            self._refuse(404, "not found")
        else:
            self._send(200, {"kind": "Status", "status": "Success"})

    def _look(self, path: str) -> None:
        self._asked("get", "trainjobs")
        trainer, name = self.trainer, path.rpartition("/")[2]
        if trainer.outages:
            trainer.outages -= 1
            self._refuse(503, "the server is currently unable to handle the request")
        elif name not in trainer.jobs:
            self._refuse(404, f'trainjobs.trainer.kubeflow.org "{name}" not found')
        else:
            job = dict(trainer.jobs[name])
            job.setdefault("status", {"conditions": trainer.moment[0]})
            self._send(200, job)
            trainer.looks += 1
            trainer.on_look(trainer.looks)

    def _pods(self) -> list[dict[str, Any]]:
        return self.trainer.moment[1]

    def _print(self, pod: str, query: dict[str, list[str]]) -> None:
        assert query["container"] == ["node"]
        assert query["timestamps"] == ["True"]
        [since] = query.get("sinceSeconds", ["0"])
        lines = list(self.trainer.logs.get(pod, []))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Connection", "close")
        self.end_headers()
        for index, line in enumerate(lines):
            if line is None:
                with self.trainer.lock:
                    self.trainer.logs[pod].remove(None)
                break
            self.wfile.write(f"{_stamp(index)} {line}\n".encode())
            self.wfile.flush()
        assert int(since) >= 0
        self.close_connection = True

    def _asked(self, verb: str, resource: str) -> None:
        with self.trainer.lock:
            self.trainer.asked.append((verb, resource))

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")

    def _is_refused(self, method: str, path: str) -> bool:
        status = self.trainer.refusals.get((method, path))
        if status:
            self._refuse(status, f"{path} is refused")
        return bool(status)

    def _refuse(self, status: int, message: str) -> None:
        self._send(status, {"kind": "Status", "status": "Failure", "message": message})

    def _send(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


_BEGUN = time.time()


def _stamp(index: int) -> str:
    moment = datetime.fromtimestamp(_BEGUN + index, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + "123456789Z"


def pod(
    job: str, index: int, state: dict[str, Any] | None = None, **further: Any
) -> dict[str, Any]:
    """Return a pod of a job: pending, or with its container in a state."""
    statuses = [{"name": "node", "state": state}] if state else []
    for status in statuses:
        status |= {"image": "model", "imageID": "", "ready": True, "restartCount": 0}
    return {
        "metadata": {
            "name": f"{job}-node-0-{index}-x",
            "uid": f"uid-{index}",
            "labels": {
                "jobset.sigs.k8s.io/jobset-name": job,
                "batch.kubernetes.io/job-completion-index": str(index),
            },
        },
        "spec": {
            "nodeName": f"machine-{index}",
            "containers": [{"name": "node", "resources": {"limits": {"memory": "32Gi"}}}],
        },
        "status": {"phase": "Pending", "containerStatuses": statuses, **further},
    }


RUNNING = {"running": {"startedAt": "2026-11-25T02:00:00Z"}}
DONE = {"terminated": {"exitCode": 0, "finishedAt": "2026-11-25T03:00:00Z", "reason": "Completed"}}


def ended(code: int, at: str = "2026-11-25T02:30:00Z", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "finishedAt": at, "reason": reason}}


UNSCHEDULABLE = {
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
        }
    ]
}
