"""The reasons why pods of a run failed, in one line each, and the end of their logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stt_bootstrap.pipelines.run_pods import (
    CONTAINER,
    LOOK_ERRORS,
    RunPods,
    one_line,
    pod_title,
    reason_of,
)

_LONGEST = 700
"""Maximum characters of a reason."""

# Kubernetes' reasons for ending a pod itself.
_LOST_REASONS = {
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "NodeShutdown",
    "Preempting",
    "Shutdown",
    "Terminated",
    "UnexpectedAdmissionError",
}
_OWN_ERROR = re.compile(r"stt_model(?:\.\w+)+Error: (.+)")
_ANY_ERROR = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt)(?:: .+)?")
# Google's logger writes level, date, time, thread and place before a message; F means fatal.
_RECORD = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]+:\d+\] (.*)")
_ARGO = re.compile(r"time=\S+ level=")
_DRIVER = re.compile(r"KFP driver: driver\.\w+\(.*?\) failed: ", re.DOTALL)
# A message without a reason.
_EMPTY_FATAL = re.compile(r"failed to execute component: exit status \d+")


@dataclass(frozen=True)
class Failure:
    """A pod that failed."""

    title: str
    """The task's title."""
    pod: str
    reason: str
    """One line."""
    lines: tuple[str, ...]
    """The end of its log."""


class PodFailures:
    """Finds the failed pods of a run, each once."""

    def __init__(self, pods: RunPods, titles: Mapping[str, str]) -> None:
        self._pods = pods
        self._titles = titles
        self._seen: set[str] = set()

    def new(self, found: Iterable[Any]) -> Iterator[Failure]:
        """Yield the failures among the pods ``found`` that earlier calls did not yield."""
        for pod in found:
            name = pod.metadata.name
            if pod.status.phase != "Failed" or name in self._seen:
                continue
            self._seen.add(name)
            try:
                lines, trouble = self._pods.log(name), ""
            except LOOK_ERRORS as error:
                lines, trouble = [], f" (its log cannot be read: {reason_of(error)})"
            reason = failure_reason(pod, lines) + trouble
            yield Failure(pod_title(pod, self._titles), name, reason, tuple(lines))


def is_lost(pod: Any) -> bool:
    """Return whether a failed pod was evicted, preempted, or lost with its node."""
    disrupted = any(
        each.type == "DisruptionTarget" and each.status == "True"
        for each in pod.status.conditions or ()
    )
    return disrupted or pod.status.reason in _LOST_REASONS


def failure_reason(pod: Any, lines: Sequence[str]) -> str:
    """Return in one line why a pod failed, from its status and the last ``lines`` of its log."""
    if is_lost(pod):
        return _cut(f"{pod.status.reason or 'disrupted'}: {one_line(pod.status.message)}")
    ended = _ended(pod)
    if ended and ended.reason == "OOMKilled":
        limit = _memory_limit(pod)
        return f"killed: out of memory{f' (its limit is {limit})' if limit else ''}"
    if said := _last_error(lines):
        return _cut(said)
    if pod.status.message:
        return _cut(f"{pod.status.reason or 'failed'}: {one_line(pod.status.message)}")
    if ended:
        said = one_line(ended.message) or next((each for each in reversed(lines) if each), "")
        return _cut(f"exit code {ended.exit_code}{f': {said}' if said else ''}")
    return "no reason given"


def _last_error(lines: Sequence[str]) -> str:
    """Return this project's error, another exception, or a fatal line of launcher or driver."""
    for pattern in (_OWN_ERROR, _ANY_ERROR):
        for line in reversed(lines):
            if found := pattern.fullmatch(line):
                return found[1] if pattern.groups else line
    for index in reversed(range(len(lines))):
        if lines[index].startswith("F") and (found := _RECORD.fullmatch(lines[index])):
            said = one_line(" ".join((found[1], *_rest(lines[index + 1 :]))))
            return "" if _EMPTY_FATAL.fullmatch(said) else _DRIVER.sub("", said)
    return ""


def _rest(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines up to the next log record."""
    for line in lines:
        if _RECORD.match(line) or _ARGO.match(line):
            return
        yield line


def _ended(pod: Any) -> Any:
    for container in pod.status.container_statuses or ():
        if container.name == CONTAINER and container.state:
            return container.state.terminated
    return None


def _memory_limit(pod: Any) -> str:
    for container in pod.spec.containers:
        if container.name == CONTAINER and container.resources and container.resources.limits:
            return str(container.resources.limits.get("memory", ""))
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
