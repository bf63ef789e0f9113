"""The pods of a TrainJob: why they wait, their logs, how they ended."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import urllib3
from kubernetes import client

from stt_bootstrap.components.distributed_training.train_job import NODE

JOB_LABEL = "jobset.sigs.k8s.io/jobset-name"
_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
_TAIL = 20  # lines
_PAUSE = 1.0  # seconds between attempts to read a log


class NodePods:
    """Reads the pods of a job on request, and reports changes.

    The log of the first node is passed on as it comes; of the other logs the end is kept.
    """

    def __init__(
        self, core: client.CoreV1Api, namespace: str, job: str, tell: Callable[[str], None]
    ) -> None:
        self._core = core
        self._namespace = namespace
        self._job = job
        self._tell = tell
        self._logs: dict[str, _Log] = {}
        self._told: dict[int, str] = {}
        self._failures: dict[str, tuple[datetime, str]] = {}

    def look(self) -> bool:
        """Report changes; return whether there are any pods."""
        pods = self._core.list_namespaced_pod(
            self._namespace, label_selector=f"{JOB_LABEL}={self._job}"
        ).items
        for pod in sorted(pods, key=_index):
            self._mind_log(pod)
            state = _state(pod)
            if self._told.get(_index(pod)) != state:
                self._told[_index(pod)] = state
                self._tell(f"node {_index(pod)}: {state}")
            if ended := _terminated(pod):
                at = ended.finished_at or datetime.now(timezone.utc)
                if ended.exit_code:
                    self._failures.setdefault(pod.metadata.uid, (at, self._reason(pod, ended)))
        return bool(pods)

    def first_failure(self) -> str:
        """Return why the first failed pod failed; the others fail as a consequence."""
        for log in self._logs.values():
            log.join()
        return min(self._failures.values())[1] if self._failures else ""

    def stop(self) -> None:
        """Wait until the logs have been passed on."""
        for log in self._logs.values():
            log.join()

    def _mind_log(self, pod: Any) -> None:
        name, uid = pod.metadata.name, pod.metadata.uid
        has_begun = _terminated(pod) or _running(pod)
        if has_begun and uid not in self._logs:
            tell = self._tell if _index(pod) == 0 else None
            self._logs[uid] = _Log(self._core, self._namespace, name, tell)
        if _terminated(pod):
            self._logs[uid].pod_has_ended.set()

    def _reason(self, pod: Any, ended: Any) -> str:
        node = f"node {_index(pod)}"
        if ended.reason == "OOMKilled":
            limits = next(c for c in pod.spec.containers if c.name == NODE).resources.limits
            return f"{node}: killed: out of memory (its limit is {limits['memory']})"
        log = self._logs[pod.metadata.uid]
        log.join()
        said = [line for line in log.tail if line.startswith("error: ")] or list(log.tail)[-1:]
        return f"{node}: {said[-1].removeprefix('error: ') if said else f'exit {ended.exit_code}'}"


class _Log:
    """Reads the log of a pod in its own thread, until the pod has ended."""

    def __init__(
        self,
        core: client.CoreV1Api,
        namespace: str,
        name: str,
        tell: Callable[[str], None] | None,
    ) -> None:
        self._core, self._namespace, self._name, self._tell = core, namespace, name, tell
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self.pod_has_ended = threading.Event()
        self._last = ""
        """Time of the last line that was read, in the API's format."""
        self._thread = threading.Thread(target=self._read_all, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the log of an ended pod is read, but not forever."""
        if self.pod_has_ended.is_set():
            self._thread.join(10)

    def _read_all(self) -> None:
        while True:
            was_over = self.pod_has_ended.is_set()
            started = time.monotonic()
            try:
                for line in self._lines():
                    self._take(line)
            except client.ApiException as error:
                if error.status == 404:
                    return
            except urllib3.exceptions.HTTPError:
                pass  # The connection broke: the next attempt continues after the last line.
            if was_over:
                return
            if time.monotonic() - started < _PAUSE:
                self.pod_has_ended.wait(_PAUSE)

    def _lines(self) -> Iterator[str]:
        since = {"since_seconds": _seconds_since(self._last)} if self._last else {}
        response = self._core.read_namespaced_pod_log(
            self._name,
            self._namespace,
            container=NODE,
            follow=True,
            timestamps=True,
            _preload_content=False,
            _request_timeout=(10, None),
            **since,
        )
        try:
            rest = b""
            for chunk in response.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if rest:
                yield rest.decode(errors="replace")
        finally:
            response.release_conn()

    def _take(self, line: str) -> None:
        stamp, _, text = line.partition(" ")
        if stamp <= self._last:
            return
        self._last = stamp
        self.tail.append(text)
        if self._tell:
            self._tell(text)


def _seconds_since(stamp: str) -> int:
    # The API writes nine digits, of which Python 3.10 reads six.
    moment = datetime.fromisoformat(stamp[:19]).replace(tzinfo=timezone.utc)
    return max(1, int((datetime.now(timezone.utc) - moment).total_seconds()) + 2)


def _index(pod: Any) -> int:
    return int((pod.metadata.labels or {}).get(_INDEX_LABEL, 0))


def _container(pod: Any) -> Any:
    statuses = pod.status.container_statuses or []
    return next((each.state for each in statuses if each.name == NODE), None)


def _running(pod: Any) -> Any:
    state = _container(pod)
    return state and state.running


def _terminated(pod: Any) -> Any:
    state = _container(pod)
    return state and state.terminated


def _state(pod: Any) -> str:
    if ended := _terminated(pod):
        return f"failed (exit {ended.exit_code})" if ended.exit_code else "done"
    if _running(pod):
        return f"running on {pod.spec.node_name}"
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"waiting ({condition.reason}): {condition.message}"
    state = _container(pod)
    if state and state.waiting and state.waiting.message:
        return f"waiting ({state.waiting.reason}): {state.waiting.message}"
    return "starting"
