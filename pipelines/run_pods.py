"""The pods of a run on a cluster, their events and their logs, and Argo's workflow around them."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

import kubernetes
import urllib3
from kubernetes.client import ApiClient, CoreV1Api, CustomObjectsApi
from kubernetes.config import ConfigException

from stt_bootstrap.pipelines.cluster import NAME_LABEL, PROJECT
from stt_bootstrap.pipelines.kubeconfig import cluster_configuration

LINES = 200
"""Number of lines that are read from the end of a log."""

CONTAINER = "main"
"""Argo's name for the container of a task."""

LOOK_ERRORS = (kubernetes.client.ApiException, urllib3.exceptions.HTTPError, ConfigException)
"""Exceptions of requests to the cluster."""

_NODE_NAME = "workflows.argoproj.io/node-name"
_WORKFLOWS = {"group": "argoproj.io", "version": "v1alpha1", "plural": "workflows"}
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the answer


class RunPods:
    """Reads what Kubernetes knows about runs in one namespace.

    Its methods raise one of LOOK_ERRORS if the cluster cannot be reached or refuses.
    """

    def __init__(self, namespace: str, context: str = "") -> None:
        """Use the cluster of the kubeconfig's ``context``, or the one that this pod is in."""
        self.namespace = namespace
        self._context = context
        self._client: ApiClient | None = None

    def pods(self, run_id: str) -> list[Any]:
        """Return all pods of a run, drivers included."""
        found = CoreV1Api(self._connect()).list_namespaced_pod(
            self.namespace, label_selector=_all_pods(run_id), _request_timeout=_TIMEOUT
        )
        return list(found.items)

    def events(self, pod: str) -> list[Any]:
        """Return the events of a pod."""
        found = CoreV1Api(self._connect()).list_namespaced_event(
            self.namespace,
            field_selector=f"involvedObject.kind=Pod,involvedObject.name={pod}",
            _request_timeout=_TIMEOUT,
        )
        return list(found.items)

    def log(self, pod: str) -> list[str]:
        """Return the last lines of a task's log."""
        content = CoreV1Api(self._connect()).read_namespaced_pod_log(
            pod,
            self.namespace,
            container=CONTAINER,
            tail_lines=LINES,
            _preload_content=False,
            _request_timeout=_TIMEOUT,
        )
        text: str = content.data.decode(errors="replace")
        return [line.rstrip() for line in text.splitlines()]

    def workflow_nodes(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the nodes of a run's Argo workflow by id; none if the workflow was deleted."""
        found = CustomObjectsApi(self._connect()).list_namespaced_custom_object(
            **_WORKFLOWS,
            namespace=self.namespace,
            label_selector=_all_pods(run_id),
            _request_timeout=_TIMEOUT,
        )
        items = found["items"]
        return _nodes(items[0].get("status") or {}) if items else {}

    def _connect(self) -> ApiClient:
        if self._client is None:
            self._client = ApiClient(cluster_configuration(self._context))
        return self._client


def _nodes(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the nodes of a workflow's status, which Argo compresses if there are many."""
    packed = status.get("compressedNodes")
    if packed:
        return dict(json.loads(gzip.decompress(base64.b64decode(packed))))
    return dict(status.get("nodes") or {})


def task_of(node_name: str) -> str:
    """Return the task of a node of Argo's workflow, such as ``training`` or ``training-driver``.

    ``node_name`` is such as ``run(0).root(0).training(0).executor(0)``; the numbers count attempts.
    """
    names = [re.sub(r"\(\d+\)$", "", each) for each in node_name.split(".")]
    return names[-2] if names[-1] == "executor" and len(names) > 1 else names[-1]


def title_of(task: str, titles: Mapping[str, str]) -> str:
    """Return the title of a task, or of a driver, which prepares a task or a group of tasks."""
    name = task.removesuffix("-driver")
    title = titles.get(name, name)
    return title if name == task else f"{title} (its driver)"


def pod_title(pod: Any, titles: Mapping[str, str]) -> str:
    """Return the title of a pod's task."""
    node = (pod.metadata.annotations or {}).get(_NODE_NAME, "")
    return title_of(task_of(node), titles) if node else str(pod.metadata.name)


def is_driver(pod: Any) -> bool:
    """Return whether a pod only prepares a task or a group of tasks."""
    node = (pod.metadata.annotations or {}).get(_NODE_NAME, "")
    return task_of(node).endswith("-driver")


def reason_of(error: BaseException) -> str:
    """Return in one line why a request to the cluster failed."""
    return one_line(getattr(error, "reason", None) or error)


def one_line(text: object) -> str:
    """Return a text in one line."""
    return " ".join(str(text or "").split())


def logs_command(namespace: str, run_id: str) -> str:
    """Return the shell command that shows the logs of a run's tasks."""
    selector = f"{_all_pods(run_id)},{NAME_LABEL}={PROJECT}"
    return f"kubectl logs -n {namespace} -l {selector} -c {CONTAINER} --prefix --tail {LINES}"


def pods_command(namespace: str, run_id: str) -> str:
    """Return the shell command that shows the pods of a run, and why they do not start."""
    return f"kubectl describe pods -n {namespace} -l {_all_pods(run_id)}"


def _all_pods(run_id: str) -> str:
    # Drivers have this label, but none of the package's.
    return f"pipeline/runid={run_id}"
