"""Find out whether a run failed only because pods were lost or evicted, and can be retried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stt_bootstrap.pipelines.pod_logs import is_lost
from stt_bootstrap.pipelines.run_pods import RunPods, one_line, task_of, title_of

_FAILED = {"Failed", "Error"}


def lost_tasks(pods: RunPods, run_id: str, titles: Mapping[str, str]) -> tuple[str, ...]:
    """Return the titles of the tasks whose pods were lost, if nothing else ended the run.

    Empty if a task failed by itself, since a retry would fail too. Raises one of
    ``run_pods.LOOK_ERRORS``.
    """
    nodes = pods.workflow_nodes(run_id)
    decisive = [node for node in nodes.values() if _is_pod(node) and not _was_retried(node, nodes)]
    gone = {_pod_key(pod) for pod in pods.pods(run_id) if is_lost(pod)}
    lost = [node for node in decisive if _is_gone(node) or str(node.get("id")) in gone]
    if not decisive or len(lost) < len(decisive):
        return ()
    return tuple(dict.fromkeys(title_of(task_of(str(node["name"])), titles) for node in lost))


def _is_pod(node: Mapping[str, Any]) -> bool:
    return node.get("type") == "Pod" and node.get("phase") in _FAILED


def _was_retried(node: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether Argo itself made another attempt after this one."""
    for parent in nodes.values():
        children = parent.get("children") or []
        if parent.get("type") == "Retry" and node.get("id") in children:
            return parent.get("phase") == "Succeeded" or children[-1] != node.get("id")
    return False


def _is_gone(node: Mapping[str, Any]) -> bool:
    # Argo's message for a pod that no longer exists.
    return one_line(node.get("message")).startswith("pod deleted")


def _pod_key(pod: Any) -> str:
    return str((pod.metadata.annotations or {}).get("workflows.argoproj.io/node-id", ""))
