"""Follow a run on a cluster: which task runs, how it ends, and what failed pods printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import kfp_server_api as api
import tenacity

from pipelines.kubeflow import TIMEOUT, Kubeflow, KubeflowError, explained

if TYPE_CHECKING:
    from pipelines.pod_logs import PodLogs

FINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
POLL_SECONDS = 5.0
_PATIENCE = tenacity.stop_after_delay(15 * 60)  # seconds that a server may be away
_WAIT = tenacity.wait_exponential(max=60)  # seconds


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    state: str
    """One of FINAL_STATES."""
    failed: tuple[str, ...]
    """Titles of the tasks that failed."""
    message: str
    """What Kubeflow says of it, often nothing."""

    @property
    def succeeded(self) -> bool:
        """Whether it came to its end without a failure."""
        return self.state == "SUCCEEDED"


class RunWatch:
    """Says what becomes of the tasks of one run, until it ends."""

    def __init__(
        self,
        kubeflow: Kubeflow,
        run_id: str,
        tasks: Mapping[str, str],
        *,
        say: Callable[[str], None],
        logs: PodLogs | None = None,
    ) -> None:
        """Watch the ``tasks``, titles by names in the package; ``say`` takes one line at a time."""
        self._runs = api.RunServiceApi(kubeflow.client)
        self._run_id = run_id
        # Kubeflow shows a task by either, depending on its version.
        self._titles = {**tasks, **{title: title for title in tasks.values()}}
        self._say = say
        self._logs = logs
        self._states: dict[str, str] = {}

    def wait(self) -> RunResult:
        """Wait for the end of the run; a server that is away for minutes is waited for too.

        Raises KubeflowError where it stays away, or refuses.
        """
        while True:
            run = self._look()
            self._say_changes((run.run_details and run.run_details.task_details) or [])
            if self._logs:
                for line in self._logs.of_failed_pods(self._run_id):
                    self._say(line)
            if run.state in FINAL_STATES:
                return self._result(run)
            time.sleep(POLL_SECONDS)

    def _look(self) -> Any:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=_PATIENCE,
            wait=_WAIT,
            before_sleep=self._say_again,
            reraise=True,
        )(self._ask)

    def _say_again(self, attempt: tenacity.RetryCallState) -> None:
        if attempt.outcome:
            self._say(f"{attempt.outcome.exception()}; asking again")

    def _ask(self) -> Any:
        with explained(f"looking at run {self._run_id}"):
            return self._runs.run_service_get_run(self._run_id, _request_timeout=TIMEOUT)

    def _say_changes(self, details: list[Any]) -> None:
        for detail in sorted(details, key=lambda each: (each.start_time is None, each.start_time)):
            title = self._titles.get(detail.display_name)
            if title and detail.state != self._states.get(title):
                self._states[title] = detail.state
                if verdict := _verdict(detail):
                    self._say(f"{title}: {verdict}")

    def _result(self, run: Any) -> RunResult:
        failed = tuple(title for title, state in self._states.items() if state == "FAILED")
        message = " ".join(str((run.error and run.error.message) or "").split())
        return RunResult(run.state, failed, message)


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, KubeflowError):
        return False
    return error.status is None or error.status == 429 or error.status >= 500


def _verdict(detail: Any) -> str | None:
    seconds = _seconds(detail.start_time, detail.end_time)
    return {
        "RUNNING": "running",
        "SUCCEEDED": f"done in {seconds:.0f} s",
        "FAILED": f"failed after {seconds:.0f} s",
        "CANCELED": "canceled",
    }.get(detail.state)


def _seconds(start: datetime | None, end: datetime | None) -> float:
    # A time that is not known yet may be that of 1970.
    return max(0.0, (end - start).total_seconds()) if start and end else 0.0
