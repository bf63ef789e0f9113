"""The definition of a TrainJob of Kubeflow Trainer, for training on several nodes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stt_model.base import BootstrapError, holds_credentials

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
RUNTIME = "stt-bootstrap"
"""The ClusterTrainingRuntime of ``manifests/training-runtime``."""
NODE = "node"
"""Trainer's name for the job and the container that train."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_PROJECT = "stt-bootstrap"
# No password or token, since people who may read TrainJobs must not see them.
_HANDED_ON = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")


class TrainJobError(BootstrapError):
    """A training on several nodes that cannot be started, or that failed."""


@dataclass(frozen=True)
class NodeSize:
    """Resources of each node, as Kubernetes quantities, and the machines that may be used."""

    cpu: str
    memory: str
    gpu_type: str = ""
    """Resource name such as ``nvidia.com/gpu``; empty for none."""
    gpu_count: str = "1"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()

    def resources(self) -> dict[str, dict[str, str]]:
        """Return the resources of a container, whose requests equal its limits."""
        amounts = {"cpu": self.cpu, "memory": self.memory}
        if self.gpu_type:
            amounts[self.gpu_type] = self.gpu_count
        return {"requests": amounts, "limits": dict(amounts)}


@dataclass(frozen=True)
class Owner:
    """The pod that owns the job: Kubernetes deletes the job together with it."""

    name: str
    uid: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Owner:
        """Return this process's pod from Kubeflow's variables; TrainJobError if there is none."""
        name, uid = environ.get("KFP_POD_NAME", ""), environ.get("KFP_POD_UID", "")
        if not (name and uid):
            raise TrainJobError(
                "KFP_POD_NAME and KFP_POD_UID are not set: training on several nodes must start in"
                " a pod of Kubeflow Pipelines; on one machine, use the component training"
            )
        return cls(name, uid)

    def reference(self) -> dict[str, Any]:
        """Return an entry of ``ownerReferences``, not as controller, since Kueue would object."""
        return {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.uid}


def describe_train_job(
    offer_uri: str,
    nodes: int,
    size: NodeSize,
    owner: Owner,
    *,
    runtime: str = RUNTIME,
    queue: str = "",
    environ: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the TrainJob in which ``nodes`` nodes train what an offer describes.

    The same offer on the same nodes has the same name, so that a pod that replaces another one
    finds the running job. ``queue`` is the LocalQueue of Kueue to wait in; empty for none.
    """
    trainer: dict[str, Any] = {
        "numNodes": nodes,
        "args": [offer_uri],
        "resourcesPerNode": size.resources(),
    }
    if handed_on := _variables(environ or {}):
        trainer["env"] = handed_on
    spec: dict[str, Any] = {
        "runtimeRef": {"apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": runtime},
        "trainer": trainer,
    }
    if placement := _placement(size):
        spec["runtimePatches"] = [_patch(placement)]
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
    labels = {"app.kubernetes.io/part-of": _PROJECT}
    if queue:
        labels[QUEUE_LABEL] = queue
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {
            "name": f"stt-{digest}",
            "labels": labels,
            "ownerReferences": [owner.reference()],
        },
        "spec": spec,
    }


def _variables(environ: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "value": environ[name]}
        for name in _HANDED_ON
        if environ.get(name) and not holds_credentials(environ[name])
    ]


def _placement(size: NodeSize) -> dict[str, Any]:
    placement: dict[str, Any] = {}
    if size.node_selector:
        placement["nodeSelector"] = dict(size.node_selector)
    if size.tolerations:
        placement["tolerations"] = [dict(each) for each in size.tolerations]
    return placement


def _patch(pod_spec: dict[str, Any]) -> dict[str, Any]:
    """Return the changes to the runtime's pods for this job alone."""
    job = {"name": NODE, "template": {"spec": {"template": {"spec": pod_spec}}}}
    return {
        "manager": f"{_PROJECT}/pipeline",
        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}},
    }
