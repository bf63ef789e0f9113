"""Check on Kueue: the queue that a package's pods wait in is there, or they wait for ever."""

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
"""Of Kueue's objects, the newest first."""


def check_queue(plan: Plan, cluster: Cluster) -> Findings:
    """The LocalQueue that the package names is in the namespace, and takes pods."""
    name = package_queue(plan.package.read_text(encoding="utf-8"))
    if not name:
        yield ok("the package names no queue")
        return
    queue = _find(cluster, name)
    if queue is None:
        yield failed(
            f"no LocalQueue {name}: pods with its label would never start",
            "install Kueue and make the queue, name another with `stt-bootstrap compile --queue`,"
            " or leave --queue out",
        )
        return
    behind = queue.get("spec", {}).get("clusterQueue", "")
    conditions = queue.get("status", {}).get("conditions", [])
    stopped = [c for c in conditions if c["type"] == "Active" and c["status"] != "True"]
    if stopped:
        yield failed(
            f"LocalQueue {name} lets no pod through: {stopped[0].get('message', '')}",
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
            # The same for a queue and for a version that is not there.
            if error.status != 404:
                raise
        else:
            return found
    return None
