"""Runs as a cluster goes through them, one step further at each look; nothing is computed.

Which tasks there are, and in which order, comes from the package that was uploaded, as Kubeflow's
drivers go through it (``tests/pipelines/backend.py``). Shapes are those of answers that a real
cluster gave (``tests/pipelines/recorded``).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.pipelines.backend import Backend, made_up
from tests.pipelines.kubeflow_server import recorded

NOT_YET = "0001-01-01T00:00:00Z"
"""What Kubeflow says of an end that is not there."""
STEP = timedelta(seconds=10)
_REFUSED = "the checkpoint has no label for 'a' U+0061; leave --mode out"
_LOG = {
    "training": "epoch 1: train loss 9.000\nepoch 2: train loss 8.000\n",
    "refusal": f"stt_model.base.errors.RefusalError: fine-tune was asked for, but {_REFUSED}\n",
}
_GOES_ON = "s3://x/runs/1: resuming the run there, in epoch 2 after batch 1\n"


@dataclass
class _Task:
    name: str
    path: str
    """Of Argo's nodes."""
    component: str
    is_cached: bool
    is_kept: bool
    """Whether a later run may take it from the cache."""
    key: tuple[Any, ...]
    state: str = ""
    start: datetime | None = None
    end: datetime | None = None
    pod: str = ""
    attempts: int = 0
    looks: int = 0


@dataclass
class PlayedRun:
    """One run: its tasks, their pods, and what those print."""

    run_id: str
    display_name: str
    package: str
    parameters: Mapping[str, Any]
    digest: str
    """Of the dataset as it is when the run begins."""
    cache: set[tuple[Any, ...]]
    argo_tries_again: bool = True
    """Whether Argo makes another pod for one that was lost, as Kubeflow 2.17 has it do."""
    state: str = "PENDING"
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    _lost_nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _tasks: list[_Task] = field(default_factory=list)
    _now: datetime = field(
        default_factory=lambda: datetime.now(timezone.utc).replace(microsecond=0)
    )

    def __post_init__(self) -> None:
        self.workflow = f"stt-bootstrap-{self.run_id[:5]}"
        self._numbers = itertools.count(1)
        backend = Backend(self.package, self._output)
        for each in backend.run(self.parameters):
            *above, name = each.task.split("/")
            component = each.component.removeprefix("exec-").rstrip("-0123456789")
            key = (each.component, self.digest, str(sorted(each.parameters.items())))
            may = each.may_be_cached
            path = "".join(f"{part}(0)." for part in above) + name
            self._tasks.append(_Task(name, path, component, may and key in self.cache, may, key))

    def _output(self, task: str, name: str, kind: str) -> Any:
        if kind == "LIST":
            # One training is all that the tests have a sweep make.
            return ["member"]
        return self._mode() if name == "mode" else made_up(task, name, kind)

    def _mode(self) -> str:
        fits = "swahili" in self.parameters["dataset_uri"]
        asked = self.parameters.get("mode", "auto")
        if asked == "auto":
            return "fine-tune" if fits else "transfer"
        return "refuse" if asked == "fine-tune" and not fits else str(asked)

    def look(self) -> None:
        """Go one step further."""
        self._now += STEP
        if self.state == "PENDING":
            self.state = "RUNNING"
        task = next((each for each in self._tasks if each.end is None), None)
        if self.state != "RUNNING" or task is None:
            return
        if task.start is None:
            task.start, task.state = self._now, "RUNNING"
            self._driver(task)
            if task.is_cached:
                task.end, task.state = self._now, "SUCCEEDED"
            else:
                self._attempt(task)
        elif task.pod not in self.pods and not self.argo_tries_again:
            task.state = self.state = "FAILED"
            return
        elif task.pod not in self.pods:
            self._attempt(task)
        elif not self._is_waited_for(task):
            self._end(task)
        if all(each.end for each in self._tasks):
            self.state = "FAILED" if task.state == "FAILED" else "SUCCEEDED"

    def _is_waited_for(self, task: _Task) -> bool:
        """Return whether a task is long enough for somebody to kill its pod."""
        task.looks += 1
        long = task.component == "training" and self.parameters.get("epochs", 0) in ("40", 40)
        return long and not self.lost and task.looks < 1000

    def _attempt(self, task: _Task) -> None:
        number = next(self._numbers)
        name = f"{self.workflow}-metadata-0-2-retry-system-container-impl-{number}"
        pod = copy.deepcopy(recorded("pod-training-running.json"))
        pod["metadata"] |= {"name": name, "uid": f"{self.run_id}-{number}"}
        pod["metadata"]["labels"] |= self._labels() | {
            "app.kubernetes.io/component": task.component,
        }
        pod["metadata"]["annotations"] |= {
            "workflows.argoproj.io/node-id": f"{self.workflow}-{number}",
            "workflows.argoproj.io/node-name": f"{self.workflow}(0).{task.path}(0).executor"
            f"({task.attempts})",
        }
        self.pods[name], task.pod = pod, name
        again = _GOES_ON if task.attempts else ""
        self.logs[name] = again + _LOG.get(task.component, "done\n")
        task.attempts += 1

    def _driver(self, task: _Task) -> None:
        number = next(self._numbers)
        name = f"{self.workflow}-system-container-driver-{number}"
        node = f"{self.workflow}(0).{task.path}-driver(0)"
        self.pods[name] = {
            "metadata": {
                "name": name,
                "labels": self._labels(),
                "annotations": {"workflows.argoproj.io/node-name": node},
            },
            "spec": {"containers": [{"name": "main", "image": "kfp-driver"}]},
            "status": {"phase": "Succeeded"},
        }
        self.logs[name] = ""

    def _labels(self) -> dict[str, str]:
        return {
            "pipeline/runid": self.run_id,
            "workflows.argoproj.io/workflow": self.workflow,
        }

    def _end(self, task: _Task) -> None:
        failed = task.component == "refusal"
        task.end, task.state = self._now, "FAILED" if failed else "SUCCEEDED"
        *_, last = self.pods
        self.pods[last]["status"]["phase"] = "Failed" if failed else "Succeeded"
        if task.is_kept and not failed:
            self.cache.add(task.key)

    def lose(self, pod: str) -> None:
        """Have a pod deleted, as somebody asked."""
        node = self._node(self.pods.pop(pod))
        self._lost_nodes[node["id"]] = {**node, "phase": "Error", "message": "pod deleted"}
        self.lost.append(pod)

    def retry(self) -> None:
        """Go on with a run that failed, as Kubeflow does on request: what is done stays done."""
        task = next(each for each in self._tasks if each.state == "FAILED")
        task.state, task.end, self.state = "RUNNING", None, "RUNNING"
        self._lost_nodes.clear()
        self._attempt(task)

    def _node(self, pod: dict[str, Any]) -> dict[str, Any]:
        annotations = pod["metadata"]["annotations"]
        name = annotations["workflows.argoproj.io/node-name"]
        return {
            "id": annotations["workflows.argoproj.io/node-id"],
            "name": name,
            "displayName": name.rpartition(".")[2],
            "type": "Pod",
            "phase": pod["status"]["phase"],
        }

    def answer(self, experiment_id: str) -> dict[str, Any]:
        """Return the run as Kubeflow tells it."""
        details = [
            self._detail(name, state, start, end) | {"task_id": f"{number}-{name}"}
            for number, task in enumerate(self._tasks)
            if task.start
            for name, state, start, end in (
                (f"{task.name}-driver", "SUCCEEDED", task.start - STEP, task.start),
                (f"{task.name}-driver(0)", "SUCCEEDED", task.start - STEP, task.start),
                (task.name, task.state, task.start, task.end),
                (f"{task.name}(0)", task.state, task.start, task.end),
                ("executor", "SKIPPED" if task.is_cached else task.state, task.start, task.end),
            )
        ]
        return {
            "experiment_id": experiment_id,
            "run_id": self.run_id,
            "display_name": self.display_name,
            "storage_state": "AVAILABLE",
            "state": self.state,
            "run_details": {"task_details": details},
        }

    def _detail(
        self, name: str, state: str, start: datetime, end: datetime | None
    ) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "display_name": name,
            "state": state,
            "start_time": _stamp(start),
            "end_time": _stamp(end) if end else NOT_YET,
        }

    def workflows(self) -> dict[str, Any]:
        """Return Argo's workflow of the run, as Kubernetes lists it."""
        nodes = {} if self.argo_tries_again else dict(self._lost_nodes)
        for pod in self.pods.values():
            if "workflows.argoproj.io/node-id" in pod["metadata"]["annotations"]:
                node = self._node(pod)
                nodes[node["id"]] = node
        workflow = {
            "metadata": {"name": self.workflow, "labels": self._labels()},
            "status": {"phase": self.state.title(), "nodes": nodes},
        }
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowList",
            "metadata": {},
            "items": [workflow],
        }


def _stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
