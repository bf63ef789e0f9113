"""Check that the Kueue queue of a package's pods exists; otherwise they would wait forever."""

from __future__ import annotations

from typing import Any

from kubernetes import client
from kubernetes.client import ApiException

from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Findings, failed, ok
from stt_bootstrap.pipelines.preflight.plan import Plan
from stt_bootstrap.pipelines.queue import package_queue

GROUP = "kueue.x-k8s.io"
VERSIONS = ("v1beta2", "v1beta1")
"""Versions of Kueue's API, the newest first."""


def check_queue(plan: Plan, cluster: Cluster) -> Findings:
    """The LocalQueue that the package names is in the namespace, and admits pods."""
    name = package_queue(plan.package.read_text(encoding="utf-8"))
    if not name:
        yield ok("the package names no queue")
        return
    queue = _find(cluster, name)
    if queue is None:
        yield failed(
            f"no LocalQueue {name}: pods with its label would never start",
            "install Kueue and create the queue, or compile the package with another --queue, or"
            " without one",
        )
        return
    behind = queue.get("spec", {}).get("clusterQueue", "")
    conditions = queue.get("status", {}).get("conditions", [])
    stopped = [c for c in conditions if c["type"] == "Active" and c["status"] != "True"]
    if stopped:
        yield failed(
            f"LocalQueue {name} admits no pods: {stopped[0].get('message', '')}",
            f"see its ClusterQueue {behind}",
        )
    else:
        yield ok(f"LocalQueue {name} of ClusterQueue {behind}")


def _find(cluster: Cluster, name: str) -> dict[str, Any] | None:
    objects = client.CustomObjectsApi(cluster.core.api_client)
    for version in VERSIONS:
        try:
            found: dict[str, Any] = cluster.ask(
                objects.get_namespaced_custom_object,
                GROUP,
                version,
                cluster.namespace,
                "localqueues",
                name,
            )
        except ApiException as error:
            # Status 404 means that the queue or the version of the API is missing.
            if error.status != 404:
                raise
        else:
            return found
    return None
