"""A volume of the cluster for the clips that steps read from an object store."""

from __future__ import annotations

import re

import yaml

from stt_model.storage import CACHE_VARIABLE

MOUNT_PATH = "/cache"
STEPS = ("source_analysis", "training")
"""Steps that read whole datasets; the second task of a component has a number after its name."""


def mount_cache(package: str, claim: str) -> str:
    """Return a compiled pipeline, YAML, whose steps that read datasets cache clips on a volume.

    The pipeline has no parameter for it, since Kubeflow mounts a volume always or never.
    """
    comments = re.match(r"(?:#.*\n)*", package)
    pipeline, platform = yaml.safe_load_all(package)
    executors = pipeline["deploymentSpec"]["executors"]
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, executor in executors.items():
        step = re.sub(r"-\d+$", "", name.removeprefix("exec-")).replace("-", "_")
        if step in STEPS:
            variables = executor["container"].setdefault("env", [])
            variables.append({"name": CACHE_VARIABLE, "value": MOUNT_PATH})
            placed.setdefault(name, {})["pvcMount"] = [_mount(claim)]
    documents = yaml.safe_dump_all([pipeline, platform], sort_keys=True, allow_unicode=True)
    return (comments[0] if comments else "") + documents


def _mount(claim: str) -> dict[str, object]:
    """Return what kfp's own ``kubernetes.mount_pvc`` would write."""
    name = {"runtimeValue": {"constant": claim}}
    return {"constant": claim, "mountPath": MOUNT_PATH, "pvcNameParameter": name}
