"""What a TrainJob of Kubeflow Trainer consists of, for training on several nodes."""

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
"""What Trainer calls the job and the container that train."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_PROJECT = "stt-bootstrap"
# No password or token: who may read TrainJobs may not need to know those.
_HANDED_ON = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")


class TrainJobError(BootstrapError):
    """A training on several nodes that cannot be started, or that failed."""


@dataclass(frozen=True)
class NodeSize:
    """What each node gets, quantities as Kubernetes writes them, and which machines it may be."""

    cpu: str
    memory: str
    gpu_type: str = ""
    """Resource name such as ``nvidia.com/gpu``; empty for none."""
    gpu_count: str = "1"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()

    def resources(self) -> dict[str, dict[str, str]]:
        """Return it as a container has it; what may be used is also what is asked for."""
        amounts = {"cpu": self.cpu, "memory": self.memory}
        if self.gpu_type:
            amounts[self.gpu_type] = self.gpu_count
        return {"requests": amounts, "limits": dict(amounts)}


@dataclass(frozen=True)
class Owner:
    """The pod that the job belongs to: when Kubernetes removes it, the job goes too."""

    name: str
    uid: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Owner:
        """Return the pod that this process is in, as Kubeflow names it; TrainJobError if none."""
        name, uid = environ.get("KFP_POD_NAME", ""), environ.get("KFP_POD_UID", "")
        if not (name and uid):
            raise TrainJobError(
                "KFP_POD_NAME and KFP_POD_UID are not set: training on several nodes is done by a"
                " pod of Kubeflow Pipelines; on one machine, train with the component training"
            )
        return cls(name, uid)

    def reference(self) -> dict[str, Any]:
        """Return it as an entry of ``ownerReferences``; not its controller, which Kueue minds."""
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
    """Return the TrainJob that has ``nodes`` nodes take up an offer.

    The same offer on the same nodes has the same name, so that a pod that takes the place of
    another one finds the job that is under way. ``queue`` is the LocalQueue of Kueue to wait in.
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
    """Return what Trainer is to change in the runtime's pods for this job alone."""
    job = {"name": NODE, "template": {"spec": {"template": {"spec": pod_spec}}}}
    return {
        "manager": f"{_PROJECT}/pipeline",
        "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}},
    }
