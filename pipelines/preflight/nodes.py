"""Checks for training on several nodes: Kubeflow Trainer, its runtime, permissions for the job."""

from __future__ import annotations

from typing import Any

from kubernetes import client
from kubernetes.client import ApiException

from stt_bootstrap.components.distributed_training.train_job import (
    GROUP,
    NODE,
    PLURAL,
    RUNTIME,
    VERSION,
)
from stt_bootstrap.pipelines.package import read_pipeline
from stt_bootstrap.pipelines.preflight.access import runner_may
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Findings, failed, ok, warning
from stt_bootstrap.pipelines.preflight.plan import Plan

# Group, resource, verbs: what manifests/components/nodes/role.yaml grants.
NODES_PERMISSIONS = (
    (GROUP, PLURAL, ("create", "get", "patch", "delete")),
    ("", "pods", ("get", "list")),
    ("", "pods/log", ("get",)),
)


def check_training_runtime(plan: Plan, cluster: Cluster) -> Findings:
    """The cluster has the runtime that the package's TrainJobs name, with the package's version."""
    executors = read_pipeline(plan.package)["deploymentSpec"]["executors"]
    label = next((name for name in executors if "distributed-training" in name), "")
    if not label:
        yield ok("the package trains on one node")
        return
    runtime = _runtime(cluster)
    if runtime is None:
        yield failed(
            f"no ClusterTrainingRuntime {RUNTIME}, which the TrainJob needs",
            "install Kubeflow Trainer, and `kubectl apply -k manifests/training-runtime`; or"
            " compile the package without --nodes",
        )
        return
    wanted, found = _tag(executors[label]["container"]["image"]), _tag(_image(runtime))
    if wanted == found:
        yield ok(f"ClusterTrainingRuntime {RUNTIME} of version {found}")
    else:
        yield warning(
            f"ClusterTrainingRuntime {RUNTIME} has image version {found}, the package {wanted}",
            "nodes refuse another version's training: change manifests/training-runtime",
        )


def check_nodes_permissions(plan: Plan, cluster: Cluster) -> Findings:
    """The runs' service account may create TrainJobs, if the package does."""
    executors = read_pipeline(plan.package)["deploymentSpec"]["executors"]
    if not any("distributed-training" in name for name in executors):
        yield ok("the package creates no TrainJob")
        return
    lacking = [
        f"{verb} {resource}"
        for group, resource, verbs in NODES_PERMISSIONS
        for verb in verbs
        if not runner_may(plan, cluster, group, resource, "", verb)
    ]
    if lacking:
        yield failed(
            f"{plan.service_account} may not {', '.join(lacking)}",
            "kubectl apply -k manifests/overlays/nodes",
        )
    else:
        yield ok(f"{plan.service_account} may create TrainJobs and read their pods")


def _runtime(cluster: Cluster) -> dict[str, Any] | None:
    objects = client.CustomObjectsApi(cluster.core.api_client)
    try:
        found: dict[str, Any] = cluster.ask(
            objects.get_cluster_custom_object, GROUP, VERSION, "clustertrainingruntimes", RUNTIME
        )
    except ApiException as error:
        if error.status != 404:
            raise
        return None
    return found


def _image(runtime: dict[str, Any]) -> str:
    for job in runtime["spec"]["template"]["spec"]["replicatedJobs"]:
        for container in job["template"]["spec"]["template"]["spec"]["containers"]:
            if container["name"] == NODE:
                return str(container["image"])
    return ""


def _tag(image: str) -> str:
    """Return the tag or digest of a reference."""
    return image.rpartition("/")[2].partition(":")[2] or image
