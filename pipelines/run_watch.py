"""Follow a run on a cluster: which task runs or waits, how it ends, and why."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import kfp_server_api as api
import tenacity

from stt_bootstrap.pipelines.kubeflow import TIMEOUT, Kubeflow, KubeflowError, explained
from stt_bootstrap.pipelines.pod_watch import PodWatch
from stt_bootstrap.pipelines.run_pods import title_of
from stt_bootstrap.pipelines.run_report import RunReport

FINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
POLL_SECONDS = 5.0
_MORE_LOOKS = 4
"""Waits after the end, since the states of tasks can lag behind the state of the run."""
_PATIENCE = tenacity.stop_after_delay(15 * 60)  # seconds without a server
_WAIT = tenacity.wait_exponential(max=60)  # seconds


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    state: str
    """One of FINAL_STATES."""
    failed: tuple[str, ...]
    """Titles of the tasks that failed, or whose driver did."""
    reasons: Mapping[str, str]
    """The known reasons, by title."""
    message: str
    """Kubeflow's own message, often empty."""
    lost: tuple[str, ...]
    """Titles of the tasks that failed because their pods were lost, if nothing else failed."""

    @property
    def succeeded(self) -> bool:
        """Whether it ended without a failure."""
        return self.state == "SUCCEEDED"

    @property
    def explanation(self) -> str:
        """What failed and why, in one line."""
        titles = dict.fromkeys((*self.failed, *self.reasons))
        told = [
            f"{title}: {self.reasons[title]}" if title in self.reasons else title
            for title in titles
        ]
        if self.lost and not self.reasons:
            told = [f"{title}: its pod was lost" for title in self.lost]
        return "; ".join(told) or self.message or "see the run's page"


class RunWatch:
    """Reports the progress of the tasks of one run, until it ends."""

    def __init__(
        self,
        kubeflow: Kubeflow,
        run_id: str,
        tasks: Mapping[str, str],
        *,
        report: RunReport,
        pods: PodWatch,
    ) -> None:
        """Watch the ``tasks``, titles by names in the package, and the pods behind them."""
        self._runs = api.RunServiceApi(kubeflow.client)
        self._run_id = run_id
        # Kubeflow shows a task by either, depending on its version.
        self._titles = {**tasks, **{title: title for title in tasks.values()}}
        self._report = report
        self._pods = pods
        # By the task's ID: the trainings of a sweep share a name.
        self._states: dict[str, str] = {}
        self._shown: dict[str, str] = {}

    def wait(self) -> RunResult:
        """Wait for the end of the run, even if the server is unreachable for some minutes.

        Raises KubeflowError if it stays unreachable, or refuses.
        """
        while True:
            run = self._look()
            if run.state in FINAL_STATES:
                return self._result(self._look_again(run))
            time.sleep(POLL_SECONDS)

    def retry(self) -> None:
        """Have Kubeflow retry the failed tasks of the run; finished ones are kept.

        Raises KubeflowError.
        """
        with explained(f"retrying run {self._run_id}"):
            self._runs.run_service_retry_run(self._run_id, _request_timeout=TIMEOUT)
        self._states = {key: s for key, s in self._states.items() if s == "SUCCEEDED"}
        self._pods.reasons.clear()

    def _look_again(self, run: Any) -> Any:
        """Look until every task that was running has ended, but not for long."""
        for _ in range(_MORE_LOOKS):
            time.sleep(POLL_SECONDS)
            run = self._look()
            if "RUNNING" not in self._states.values():
                break
        return run

    def _look(self) -> Any:
        run = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=_PATIENCE,
            wait=_WAIT,
            before_sleep=self._say_again,
            reraise=True,
        )(self._ask)
        self._pods.look(self._run_id)
        self._say_changes((run.run_details and run.run_details.task_details) or [])
        return run

    def _say_again(self, attempt: tenacity.RetryCallState) -> None:
        if attempt.outcome:
            self._report.note(f"{attempt.outcome.exception()}; trying again")

    def _ask(self) -> Any:
        with explained(f"reading run {self._run_id}"):
            return self._runs.run_service_get_run(self._run_id, _request_timeout=TIMEOUT)

    def _say_changes(self, details: list[Any]) -> None:
        for detail in sorted(details, key=lambda each: (each.start_time is None, each.start_time)):
            title = self._title(detail)
            key = str(detail.task_id or title)
            if title and detail.state != self._states.get(key):
                self._states[key] = detail.state
                self._shown[key] = title
                self._say(title, detail)

    def _say(self, title: str, detail: Any) -> None:
        seconds = _seconds(detail.start_time, detail.end_time)
        verdict = {
            # Kubeflow calls a task running while its pod still waits to start.
            "RUNNING": "starting" if self._pods.sees else "running",
            "SUCCEEDED": f"done in {seconds:.0f} s",
            "FAILED": f"failed after {seconds:.0f} s",
            "CANCELED": "canceled",
        }.get(detail.state)
        if detail.state == "RUNNING" and title in self._pods.running:
            verdict = None
        if verdict:
            self._report.note(
                f"{title}: {verdict}",
                "task",
                task=title,
                name=detail.display_name,
                state=detail.state,
                seconds=seconds,
            )

    def _title(self, detail: Any) -> str | None:
        """Return the title of a task; None for tasks that are not shown."""
        name = re.sub(r"\(\d+\)$", "", detail.display_name or "")
        if name == detail.display_name and name in self._titles:
            return self._titles[name]
        # If a driver failed, its task never appears.
        if name == detail.display_name and name.endswith("-driver") and detail.state == "FAILED":
            return title_of(name, self._titles)
        return None

    def _result(self, run: Any) -> RunResult:
        failed = dict.fromkeys(
            self._shown[key] for key, state in self._states.items() if state == "FAILED"
        )
        message = " ".join(str((run.error and run.error.message) or "").split())
        lost = self._pods.lost_tasks(self._run_id) if run.state == "FAILED" else ()
        return RunResult(run.state, tuple(failed), dict(self._pods.reasons), message, lost)


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, KubeflowError):
        return False
    return error.status is None or error.status == 429 or error.status >= 500


def _seconds(start: datetime | None, end: datetime | None) -> float:
    # An unknown time may be given as 1970.
    return max(0.0, (end - start).total_seconds()) if start and end else 0.0
