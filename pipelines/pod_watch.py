"""Report on the pods of a run: which wait and why, which run, which failed and why."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import urllib3

from stt_bootstrap.pipelines.lost_pods import lost_tasks
from stt_bootstrap.pipelines.pod_logs import PodFailures
from stt_bootstrap.pipelines.pod_waits import waits
from stt_bootstrap.pipelines.run_pods import (
    LOOK_ERRORS,
    RunPods,
    is_driver,
    logs_command,
    pod_title,
    pods_command,
    reason_of,
)
from stt_bootstrap.pipelines.run_report import RunReport

_BLIND_SECONDS = 60.0
"""Pause after the cluster did not answer."""


class PodWatch:
    """Reports each change once.

    Attributes:
        reasons: why tasks failed, by title: the last one of each.
        running: the titles of the tasks whose container was seen running.
        sees: whether the pods could be looked at last time.
    """

    def __init__(
        self, pods: RunPods, titles: Mapping[str, str], report: RunReport, *, follow: bool = False
    ) -> None:
        """``titles`` are those of tasks by name; ``follow`` also shows the logs of failed pods."""
        self.reasons: dict[str, str] = {}
        self.running: set[str] = set()
        self.sees = True
        self._pods = pods
        self._titles = titles
        self._report = report
        self._follow = follow
        self._failures = PodFailures(pods, titles)
        self._told: set[tuple[str, ...]] = set()
        self._blind_until = 0.0

    def look(self, run_id: str) -> None:
        """Report what is new. That the cluster cannot be read is reported once, not raised."""
        self.sees = False
        if time.monotonic() < self._blind_until:
            return
        try:
            found = self._pods.pods(run_id)
            self._look_at_failures(found)
            self._look_at_phases(found)
            self.sees = True
            self._look_at_waits(run_id, found)
        except LOOK_ERRORS as error:
            self._tell_blindness(error, run_id)

    def lost_tasks(self, run_id: str) -> tuple[str, ...]:
        """Return the tasks whose pods were lost, if the run failed for no other reason."""
        try:
            return lost_tasks(self._pods, run_id, self._titles)
        except LOOK_ERRORS as error:
            self._tell_blindness(error, run_id)
            return ()

    def _look_at_waits(self, run_id: str, found: list[Any]) -> None:
        for wait in waits(self._pods, run_id, found, self._titles):
            if wait.key not in self._told:
                self._told.add(wait.key)
                self._report.note(
                    f"{wait.title}: waiting ({wait.reason}): {wait.message}",
                    "waiting",
                    task=wait.title,
                    pod=wait.pod,
                    reason=wait.reason,
                    message=wait.message,
                )

    def _look_at_phases(self, found: list[Any]) -> None:
        for pod in found:
            name = pod.metadata.name
            if pod.status.phase == "Running" and not is_driver(pod) and (name,) not in self._told:
                self._told.add((name,))
                title = pod_title(pod, self._titles)
                self.running.add(title)
                self._report.note(f"{title}: running", "running", task=title, pod=name)

    def _look_at_failures(self, found: list[Any]) -> None:
        for failure in self._failures.new(found):
            self.reasons[failure.title] = failure.reason
            self._report.note(
                f"{failure.title}: a pod failed: {failure.reason}",
                "pod_failed",
                task=failure.title,
                pod=failure.pod,
                reason=failure.reason,
                log=failure.lines,
            )
            if self._follow:
                for line in failure.lines:
                    self._report.note(f"{failure.title} | {line}")

    def _tell_blindness(self, error: Exception, run_id: str) -> None:
        reason = reason_of(error)
        if isinstance(error, urllib3.exceptions.HTTPError):
            # Each attempt takes long to time out, and meanwhile the run is not followed.
            self._blind_until = time.monotonic() + _BLIND_SECONDS
        if ("", reason) not in self._told:
            self._told.add(("", reason))
            command = logs_command if self._follow else pods_command
            self._report.note(
                f"the pods cannot be read ({reason}); to see why one waits or failed: "
                f"{command(self._pods.namespace, run_id)}",
                "no_pods",
                reason=reason,
            )
