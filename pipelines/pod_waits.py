"""Find out why a task of a run does not start: no room, no image, no volume, no quota left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stt_bootstrap.pipelines.run_pods import (
    LOOK_ERRORS,
    RunPods,
    one_line,
    pod_title,
    task_of,
    title_of,
)

# Reasons of a waiting container that only mean that it is being created.
_ON_ITS_WAY = {"ContainerCreating", "PodInitializing"}
# Events that the pod's status explains better, and that repeat with every attempt.
_IN_THE_STATUS = {"FailedScheduling", "Failed", "BackOff"}
# What the scheduler appends about pods that it might push out, and about claims.
_AFTERTHOUGHT = re.compile(r"[.,;]? (no new claims to deallocate|preemption:).*")


@dataclass(frozen=True)
class Wait:
    """A reason why a pod does not start."""

    title: str
    """The task's title."""
    pod: str
    """Its name; the name of Argo's node if there is no pod yet."""
    reason: str
    """Kubernetes' word for it, such as ``Unschedulable``."""
    message: str

    @property
    def key(self) -> tuple[str, str, str]:
        """The part that stays equal if the reason is reported again with another count."""
        return self.pod, self.reason, re.sub(r"[0-9a-f]{8,}|\d+", "", self.message)


def waits(
    pods: RunPods, run_id: str, found: Iterable[Any], titles: Mapping[str, str]
) -> Iterator[Wait]:
    """Yield why tasks of a run cannot start, of which these pods were ``found``.

    Raises one of ``run_pods.LOOK_ERRORS``, after yielding everything that can be read.
    """
    refused: list[Exception] = []
    for pod in found:
        if pod.status.phase == "Pending":
            told = dict(_status(pod))
            try:
                told |= {r: m for r, m in _events(pods, pod) if r not in told}
            except LOOK_ERRORS as error:
                refused.append(error)
            for reason, message in told.items():
                yield Wait(pod_title(pod, titles), pod.metadata.name, reason, message)
    yield from _without_pods(pods.workflow_nodes(run_id), titles)
    if refused:
        raise refused[0]


def _status(pod: Any) -> Iterator[tuple[str, str]]:
    """Yield reasons from the pod's status: scheduling, images, secrets, config maps."""
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            yield condition.reason, _AFTERTHOUGHT.sub("", one_line(condition.message))
    containers = (pod.status.init_container_statuses or []) + (pod.status.container_statuses or [])
    for container in containers:
        waiting = container.state and container.state.waiting
        if waiting and waiting.reason not in (None, *_ON_ITS_WAY):
            yield waiting.reason, one_line(waiting.message)


def _events(pods: RunPods, pod: Any) -> Iterator[tuple[str, str]]:
    """Yield reasons that only events show: volumes, sandboxes, an image that is being pulled."""
    events = pods.events(pod.metadata.name)
    pulled = sum(event.reason == "Pulled" for event in events)
    for event in [each for each in events if each.reason == "Pulling"][pulled:]:
        yield "Pulling", one_line(event.message)
    for event in events:
        if event.type == "Warning" and event.reason not in _IN_THE_STATUS:
            yield event.reason, one_line(event.message)


def _without_pods(
    nodes: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]
) -> Iterator[Wait]:
    """Yield Argo's reasons for pods that it could not create, such as a quota."""
    for key, node in nodes.items():
        message = one_line(node.get("message"))
        is_pod = node.get("type") == "Pod" and node.get("phase") == "Pending"
        if is_pod and "forbidden" in message:
            reason = "ExceededQuota" if "exceeded quota" in message else "Forbidden"
            title = title_of(task_of(str(node.get("name"))), titles)
            yield Wait(title, key, reason, message)
