"""What the pods of a run's failed tasks printed, from the API of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator

import kubernetes
import urllib3
from kubernetes.client import CoreV1Api
from kubernetes.config import ConfigException

from pipelines.cluster import COMPONENT_LABEL, NAME_LABEL, PROJECT

_CONTAINER = "main"
"""What Argo names the container of a task."""
_LINES = 200
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the answer


class PodLogs:
    """Reads the logs of failed pods of runs in a namespace, each once."""

    def __init__(self, namespace: str, core: CoreV1Api | None = None) -> None:
        """Use ``core``, or the cluster that the kubeconfig or the pod's own account leads to."""
        self._namespace = namespace
        self._core = core
        self._seen: set[str] = set()

    def of_failed_pods(self, run_id: str) -> Iterator[str]:
        """Yield what pods printed that failed since the last call: the last lines of each.

        Where it cannot be had, a line says so, once, and which command shows it.
        """
        try:
            yield from self._read(run_id)
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError, ConfigException) as e:
            if "" not in self._seen:
                self._seen.add("")
                reason = " ".join(str(getattr(e, "reason", None) or e).split())
                yield f"no logs: {reason}; see them with: {logs_command(self._namespace, run_id)}"

    def _read(self, run_id: str) -> Iterator[str]:
        core = self._connect()
        pods = core.list_namespaced_pod(
            self._namespace, label_selector=_selector(run_id), _request_timeout=_TIMEOUT
        )
        for pod in pods.items:
            name, labels = pod.metadata.name, pod.metadata.labels
            if pod.status.phase != "Failed" or name in self._seen:
                continue
            self._seen.add(name)
            log = core.read_namespaced_pod_log(
                name,
                self._namespace,
                container=_CONTAINER,
                tail_lines=_LINES,
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )
            component = labels.get(COMPONENT_LABEL, name)
            for line in log:
                yield f"{component} | {line.decode(errors='replace').rstrip()}"

    def _connect(self) -> CoreV1Api:
        if self._core is None:
            kubernetes.config.load_config()
            self._core = CoreV1Api()
        return self._core


def logs_command(namespace: str, run_id: str) -> str:
    """Return the line that shows the logs of a run's tasks."""
    selector = _selector(run_id)
    return f"kubectl logs -n {namespace} -l {selector} -c {_CONTAINER} --prefix --tail {_LINES}"


def _selector(run_id: str) -> str:
    return f"pipeline/runid={run_id},{NAME_LABEL}={PROJECT}"
