"""A server on the loopback device that answers as the Kubernetes API does."""

from __future__ import annotations

import base64
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.loopback import LoopbackServer
from tests.pipelines.kubeflow_server import recorded

NAMESPACE = "/api/v1/namespaces/speech"
CONTROLLER = "/api/v1/namespaces/kubeflow/configmaps/workflow-controller-configmap"
TOKEN = "token-of-the-tests"


class KubernetesServer(LoopbackServer):
    """Serves ``objects`` (path to object or list of objects) while the ``with`` block lasts.

    ``refusals`` (path to status) come first. ``denied`` holds what no review allows, as
    ``verb resource`` or ``verb resource/subresource``.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Any] = healthy_cluster()
        self.refusals: dict[str, int] = {}
        self.denied: set[str] = set()
        self.paths: list[str] = []
        super().__init__(type("Handler", (_Handler,), {"cluster": self}))

    @property
    def url(self) -> str:
        return self.address

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a file that leads here, as the only context, named ``here``."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "here", "user": {"token": TOKEN}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path


class _Handler(BaseHTTPRequestHandler):
    cluster: KubernetesServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.cluster.paths.append(parts.path)
        if self._is_refused(parts.path):
            return
        if parts.path not in self.cluster.objects:
            self._send_status(404, f'"{parts.path}" not found')
            return
        found = self.cluster.objects[parts.path]
        if isinstance(found, list):
            found = {"items": self._selected(found, parse_qs(parts.query))}
        self._send(200, found)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.cluster.paths.append(self.path)
        if self._is_refused(self.path):
            return
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        allowed = f"{asked['verb']} {resource}" not in self.cluster.denied
        self._send(201, {**body, "status": {"allowed": allowed}})

    def _selected(self, items: list[Any], query: dict[str, list[str]]) -> list[Any]:
        [selector] = query.get("fieldSelector", [""])
        node = selector.removeprefix("spec.nodeName=")
        return [each for each in items if not node or each["spec"].get("nodeName") == node]

    def _is_refused(self, path: str) -> bool:
        status = self.cluster.refusals.get(path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status = 401
        if status:
            self._send_status(status, f"{path} is refused")
        return bool(status)

    def _send_status(self, status: int, message: str) -> None:
        self._send(
            status,
            {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message},
        )

    def _send(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


def secret(values: dict[str, str], kind: str = "Opaque") -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": "secret"}, "type": kind, "data": data}


def node(name: str, **allocatable: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"disk": "ssd"}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "16", "memory": "64Gi", **allocatable},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(node_name: str, **requests: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"on-{node_name}"},
        "spec": {
            "nodeName": node_name,
            "containers": [{"name": "main", "resources": {"requests": requests}}],
        },
        "status": {"phase": "Running"},
    }


def healthy_cluster() -> dict[str, Any]:
    """Return what a cluster holds on which every check passes, for the namespace ``speech``."""
    gpus = {"nvidia.com/gpu": "4"}
    return {
        "/version/": {
            "major": "1",
            "minor": "37",
            "gitVersion": "v1.37.0",
            "gitCommit": "0",
            "gitTreeState": "clean",
            "buildDate": "2026-11-22T00:00:00Z",
            "goVersion": "go1.27",
            "compiler": "gc",
            "platform": "linux/amd64",
        },
        NAMESPACE: {"metadata": {"name": "speech"}, "status": {"phase": "Active"}},
        f"{NAMESPACE}/serviceaccounts/stt-bootstrap-runner": {
            "metadata": {"name": "stt-bootstrap-runner"},
            "imagePullSecrets": [{"name": "registry"}],
        },
        f"{NAMESPACE}/secrets/stt-bootstrap-store": secret(
            {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        ),
        f"{NAMESPACE}/secrets/registry": secret(
            {".dockerconfigjson": json.dumps({"auths": {"registry.example.org": {"auth": "x"}}})},
            "kubernetes.io/dockerconfigjson",
        ),
        f"{NAMESPACE}/secrets/mlpipeline-minio-artifact": secret({"accesskey": "a"}),
        CONTROLLER: recorded("configmap-workflow-controller.json"),
        f"{NAMESPACE}/configmaps/stt-bootstrap-store": {
            "metadata": {"name": "stt-bootstrap-store"},
            "data": {
                "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
                "AWS_REGION": "us-east-1",
                "S3_ADDRESSING_STYLE": "path",
            },
        },
        "/api/v1/nodes": [node("plain"), node("gpu", **gpus)],
        "/api/v1/pods": [pod("gpu", cpu="1", memory="1Gi", **{"nvidia.com/gpu": "2"})],
        f"{NAMESPACE}/resourcequotas": [
            {
                "metadata": {"name": "quota"},
                "spec": {},
                "status": {
                    "hard": {"requests.cpu": "64", "requests.nvidia.com/gpu": "4", "pods": "100"},
                    "used": {"requests.cpu": "1", "requests.nvidia.com/gpu": "2", "pods": "3"},
                },
            }
        ],
        f"{NAMESPACE}/limitranges": [
            {
                "metadata": {"name": "limits"},
                "spec": {"limits": [{"type": "Container", "max": {"memory": "64Gi"}}]},
            }
        ],
        f"{NAMESPACE}/persistentvolumeclaims/stt-bootstrap-cache": {
            "metadata": {"name": "stt-bootstrap-cache"},
            "spec": {"resources": {"requests": {"storage": "100Gi"}}},
            "status": {"phase": "Bound", "capacity": {"storage": "100Gi"}},
        },
        "/apis/storage.k8s.io/v1/storageclasses": [
            {
                "metadata": {
                    "name": "standard",
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": "example.org/disk",
                "volumeBindingMode": "WaitForFirstConsumer",
            }
        ],
    }
