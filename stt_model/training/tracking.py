"""Send a run's epochs to an MLflow server, if the environment names one, without risk to the run.

Kubeflow Pipelines 2.17 sets ``MLFLOW_TRACKING_URI`` and ``MLFLOW_RUN_ID`` in its pods if a server
is configured. MLflow's own package would add some forty dependencies for four requests, so these
use its REST interface (https://mlflow.org/docs/latest/rest-api.html).
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from stt_model.base import redact

if TYPE_CHECKING:
    from stt_model.training.state import Epoch

log = logging.getLogger(__name__)

URI = "MLFLOW_TRACKING_URI"
TIMEOUT = 10
"""Timeout of a request in seconds; after a failed one no more are sent."""
LONGEST_VALUE = 500
"""Characters of a parameter's value that every version of the server accepts."""
ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Tracker:
    """A run on an MLflow server; without a server, or after a failure, it does nothing."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Read the environment; nothing is sent yet."""
        self._environ = environ
        self._uri = environ.get(URI, "").rstrip("/")
        self._is_on = self._uri.startswith(("http://", "https://"))
        if self._uri and not self._is_on:
            log.warning("%s: only http:// and https:// servers get the epochs", redact(self._uri))
        self._run_id = environ.get("MLFLOW_RUN_ID", "")
        self._is_own_run = not self._run_id

    def begin(self, settings: Mapping[str, object]) -> None:
        """Send the settings; create a run if the environment names none."""
        parameters = [
            {"key": name, "value": str(value)[:LONGEST_VALUE]} for name, value in settings.items()
        ]
        if self._is_on and not self._run_id:
            self._run_id = self._make_run()
        self._send("runs/log-batch", run_id=self._run_id, params=parameters)

    def add(self, epoch: Epoch) -> None:
        """Send the figures of an epoch."""
        figures = {
            "train_loss": epoch.train_loss,
            "dev_loss": epoch.dev_loss,
            "dev_wer": epoch.dev_wer,
            "dev_cer": epoch.dev_cer,
            "learning_rate": epoch.learning_rate,
            "audio_seconds_per_second": epoch.audio_seconds_per_second,
        }
        now = int(time.time() * 1000)
        metrics = [
            {"key": name, "value": value, "timestamp": now, "step": epoch.number}
            for name, value in figures.items()
            if value is not None and math.isfinite(value)
        ]
        self._send("runs/log-batch", run_id=self._run_id, metrics=metrics)

    def end(self) -> None:
        """Mark the run as finished, if it was created here."""
        if self._is_own_run and self._run_id:
            now = int(time.time() * 1000)
            self._send("runs/update", run_id=self._run_id, status="FINISHED", end_time=now)

    def _make_run(self) -> str:
        experiment = self._environ.get("MLFLOW_EXPERIMENT_ID") or self._experiment()
        made = self._send(
            "runs/create", experiment_id=experiment, start_time=int(time.time() * 1000)
        )
        return str(made.get("run", {}).get("info", {}).get("run_id", ""))

    def _experiment(self) -> str:
        name = self._environ.get("MLFLOW_EXPERIMENT_NAME") or "stt-bootstrap"
        filtered = f"name = '{name}'"
        found = self._send("experiments/search", filter=filtered, max_results=1)
        if experiments := found.get("experiments"):
            return str(experiments[0]["experiment_id"])
        return str(self._send("experiments/create", name=name).get("experiment_id", ""))

    def _send(self, what: str, **body: Any) -> dict[str, Any]:
        """Post to the server and return its answer; {} if there is none."""
        if not self._is_on:
            return {}
        try:
            answer = requests.post(
                f"{self._uri}/api/2.0/mlflow/{what}",
                json=body,
                headers=self._headers(),
                auth=self._login(),
                timeout=TIMEOUT,
                # A redirect must not receive the login.
                allow_redirects=False,
            )
            if answer.status_code != 200:
                raise ValueError(f"{answer.status_code} {answer.text[:200]}")
            content = answer.json()
            if not isinstance(content, dict):
                raise ValueError(f"expected an object, found {content!r:.200}")
        except (requests.RequestException, ValueError, OSError) as error:
            self._is_on = False
            said = redact(" ".join(str(error).split()))
            log.warning(
                "%s: the server does not accept the epochs, so no more are sent: %s",
                redact(self._uri),
                said,
            )
            return {}
        return content

    def _headers(self) -> dict[str, str]:
        headers = {}
        token = self._environ.get("MLFLOW_TRACKING_TOKEN", "")
        if self._environ.get("MLFLOW_TRACKING_AUTH", "").startswith("kubernetes"):
            # Read each time: the cluster rotates it while the pod runs.
            token = token or ACCOUNT_TOKEN.read_text(encoding="utf-8").strip()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if workspace := self._environ.get("MLFLOW_WORKSPACE"):
            headers["X-MLFLOW-WORKSPACE"] = workspace
        return headers

    def _login(self) -> tuple[str, str] | None:
        user = self._environ.get("MLFLOW_TRACKING_USERNAME", "")
        return (user, self._environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
