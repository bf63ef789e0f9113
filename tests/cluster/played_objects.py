"""What is in the cluster that is played: one small node, and the dev overlay in a namespace."""

from __future__ import annotations

import base64
from typing import Any

from tests.manifests.render import load
from tests.pipelines.kubeflow_server import recorded

SPACE = "/api/v1/namespaces/kubeflow"
_PLURALS = {
    "ConfigMap": "configmaps",
    "LimitRange": "limitranges",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "ResourceQuota": "resourcequotas",
    "ServiceAccount": "serviceaccounts",
}


def dev_namespace(keys: dict[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the objects of the namespace by path, and what the account of the runs may do."""
    objects: dict[str, Any] = {
        "/version/": _version(),
        SPACE: {"metadata": {"name": "kubeflow"}, "status": {"phase": "Active"}},
        f"{SPACE}/secrets/stt-bootstrap-store": _secret(keys),
        f"{SPACE}/secrets/mlpipeline-minio-artifact": _secret({"accesskey": "a", "secretkey": "b"}),
        f"{SPACE}/configmaps/kfp-launcher": recorded("configmap-kfp-launcher.json"),
        f"{SPACE}/configmaps/workflow-controller-configmap": recorded(
            "configmap-workflow-controller.json"
        ),
        "/api/v1/nodes/node": {
            "metadata": {"name": "node", "labels": {}},
            "spec": {},
            "status": {
                "allocatable": {"cpu": "2", "memory": "6Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        },
        "/apis/storage.k8s.io/v1/storageclasses/standard": {
            "metadata": {
                "name": "standard",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "rancher.io/local-path",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
    }
    rules = []
    for each in load("overlays/dev"):
        if each["kind"] == "Role" and each["metadata"]["name"] == "stt-bootstrap-runner":
            rules += each["rules"]
        if plural := _PLURALS.get(each["kind"]):
            objects[f"{SPACE}/{plural}/{each['metadata']['name']}"] = {**each, **_status(each)}
    return objects, rules


def _status(item: dict[str, Any]) -> dict[str, Any]:
    if item["kind"] == "ResourceQuota":
        used = {"requests.cpu": "1", "requests.memory": "3Gi", "pods": "15"}
        return {"status": {"hard": dict(item["spec"]["hard"]), "used": used}}
    if item["kind"] == "PersistentVolumeClaim":
        return {"status": {"phase": "Pending"}}
    return {}


def _version() -> dict[str, Any]:
    """Return what Kubernetes 1.34 says of itself."""
    names = ("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform")
    return {"major": "1", "minor": "34", "gitVersion": "v1.34.4", **dict.fromkeys(names, "")}


def other_pods() -> dict[str, Any]:
    """Return what Kubernetes and Kubeflow themselves ask of the node (parameters.yaml says so)."""
    requests = {"cpu": "1674m", "memory": "3500Mi"}
    return {
        "metadata": {"name": "others"},
        "spec": {
            "nodeName": "node",
            "containers": [{"name": "c", "resources": {"requests": requests}}],
        },
        "status": {"phase": "Running"},
    }


def _secret(values: dict[str, str]) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": "secret"}, "type": "Opaque", "data": data}
