"""Kueue: the pods of a run wait in a queue until there is room for them."""

from __future__ import annotations

import re

import yaml

from stt_model.base import BootstrapError

LABEL = "kueue.x-k8s.io/queue-name"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")


class QueueError(BootstrapError):
    """A name that no LocalQueue can have."""


def join_queue(package: str, queue: str) -> str:
    """Return a compiled pipeline, YAML, whose pods carry the label of a LocalQueue.

    Kubeflow's drivers, which request almost nothing, do not get it. Raises QueueError.
    """
    if not _NAME.fullmatch(queue):
        raise QueueError(
            f"--queue {queue}: expected the name of a LocalQueue, in lower-case letters, digits,"
            " hyphens and dots"
        )
    comments = re.match(r"(?:#.*\n)*", package)
    pipeline, platform = yaml.safe_load_all(package)
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for executor in placed.values():
        labels = executor.setdefault("podMetadata", {}).setdefault("labels", {})
        labels[LABEL] = queue
    documents = yaml.safe_dump_all([pipeline, platform], sort_keys=True, allow_unicode=True)
    return (comments[0] if comments else "") + documents


def package_queue(package: str) -> str:
    """Return the queue that the pods of a compiled pipeline wait in; empty for none."""
    _, *platforms = yaml.load_all(package, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for platform in platforms:
        executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for executor in executors.values():
            if queue := executor.get("podMetadata", {}).get("labels", {}).get(LABEL):
                return str(queue)
    return ""
