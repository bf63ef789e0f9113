"""Create a TrainJob or find the one that is running, follow it, and delete it at the end."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import urllib3
from kubernetes import client, config

from stt_bootstrap.components.distributed_training.node_pods import NodePods
from stt_bootstrap.components.distributed_training.train_job import (
    GROUP,
    PLURAL,
    QUEUE_LABEL,
    VERSION,
    Owner,
    TrainJobError,
)
from stt_model.base import StoppedError, one_line, parse_json

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TICK = 2.0  # seconds between looks at the job
_PATIENCE = 600.0  # seconds to wait for an API that does not answer, and for a deletion
_LONG = 60.0  # seconds without a pod before that is reported
_NOT_INSTALLED = (
    "the cluster has no TrainJobs: install Kubeflow Trainer 2.2 or newer, or compile the pipeline"
    " without --nodes"
)


class TrainJobs:
    """The TrainJobs of a namespace."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._objects = client.CustomObjectsApi(api)
        self.core = client.CoreV1Api(api)
        self.namespace = namespace

    @classmethod
    def around_this_pod(cls) -> TrainJobs:
        """Return those of this pod's namespace; TrainJobError outside of a pod."""
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)
            namespace = NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        except (config.ConfigException, OSError) as error:
            raise TrainJobError(
                f"training on several nodes must start in a pod of a cluster: {error}"
            ) from error
        return cls(client.ApiClient(configuration), namespace)

    def queue_of(self, pod: Owner) -> str:
        """Return the LocalQueue of Kueue that a pod waited in; empty for none."""
        found = self._ask(self.core.read_namespaced_pod, pod.name, self.namespace)
        return (found.metadata.labels or {}).get(QUEUE_LABEL, "") if found else ""

    def create(self, body: Mapping[str, Any]) -> bool:
        """Create a job; return False if one of this name exists."""
        try:
            self._objects.create_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURAL, body
            )
        except client.ApiException as error:
            if error.status == 409:
                return False
            raise self._refused("create", error) from error
        return True

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a job; None if there is none."""
        found = self._ask(self._objects.get_namespaced_custom_object, *self._place(name))
        return cast("dict[str, Any] | None", found)

    def give_to(self, name: str, owner: Mapping[str, Any]) -> None:
        """Make another pod the owner of a job."""
        body = {"metadata": {"ownerReferences": [owner]}}
        self._ask(self._objects.patch_namespaced_custom_object, *self._place(name), body)

    def delete(self, name: str) -> None:
        """Delete a job and its pods, if it exists."""
        self._ask(
            self._objects.delete_namespaced_custom_object,
            *self._place(name),
            propagation_policy="Background",
        )

    def _place(self, name: str) -> tuple[str, ...]:
        return GROUP, VERSION, self.namespace, PLURAL, name

    def _ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except client.ApiException as error:
            if error.status == 404:
                return None
            if error.status in (401, 403):
                verb = call.__name__.partition("_")[0]
                raise self._refused(verb, error) from error
            raise

    def _refused(self, verb: str, error: client.ApiException) -> TrainJobError:
        if error.status == 404:
            return TrainJobError(_NOT_INSTALLED)
        said = one_line(_message(error))
        if error.status in (401, 403):
            return TrainJobError(
                f"may not {verb} in the namespace {self.namespace}: {said}; apply"
                " manifests/overlays/nodes, which allows it to the run's service account"
            )
        return TrainJobError(f"cannot {verb} the TrainJob: {said}")


def train_on_nodes(
    jobs: TrainJobs,
    body: Mapping[str, Any],
    *,
    tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    tick: float = _TICK,
) -> None:
    """Run a TrainJob, whose pods save their state; it is deleted when this returns or raises.

    Raises:
        StoppedError: on SIGTERM.
        TrainJobError: the job cannot be created, or it failed.
    """
    name = body["metadata"]["name"]
    with _termination_noted() as stop:
        try:
            _begin(jobs, body, tell, tick)
        except urllib3.exceptions.HTTPError as error:
            raise TrainJobError(
                f"{name}: the API of Kubernetes does not answer: {error}"
            ) from error
        try:
            _follow(jobs, name, stop, tell, tick)
        finally:
            _delete(jobs, name, tell)


def _begin(
    jobs: TrainJobs, body: Mapping[str, Any], tell: Callable[[str], None], tick: float
) -> None:
    name, nodes = body["metadata"]["name"], body["spec"]["trainer"]["numNodes"]
    until = time.monotonic() + _PATIENCE
    while not jobs.create(body):
        found = jobs.get(name)
        if found is None:
            continue
        is_going = "deletionTimestamp" in found["metadata"]
        if not is_going and _condition(found, "Failed") is None:
            # It belongs to a lost pod, which this pod replaces.
            jobs.give_to(name, body["metadata"]["ownerReferences"][0])
            tell(f"{name}: continuing the job that is running")
            return
        if not is_going:
            jobs.delete(name)
        if time.monotonic() > until:
            raise TrainJobError(f"{name}: an earlier job of this name is still there; delete it")
        time.sleep(tick)
    tell(f"{name}: created, for {nodes} nodes")


def _follow(
    jobs: TrainJobs,
    name: str,
    stop: threading.Event,
    tell: Callable[[str], None],
    tick: float,
) -> None:
    pods = NodePods(jobs.core, jobs.namespace, name, tell)
    started = answered = time.monotonic()
    is_told = False
    while not stop.is_set():
        try:
            has_pods = pods.look()
            job = jobs.get(name)
            answered = time.monotonic()
        except (urllib3.exceptions.HTTPError, client.ApiException) as error:
            _mind_silence(error, answered, tell)
            stop.wait(tick)
            continue
        if job is None:
            raise TrainJobError(f"{name}: deleted by somebody else")
        if _condition(job, "Complete"):
            pods.look()
            pods.stop()
            return
        if failed := _condition(job, "Failed"):
            pods.look()
            raise TrainJobError(pods.first_failure() or f"{name}: {failed.get('message', '')}")
        if not (has_pods or is_told) and time.monotonic() - started > _LONG:
            is_told = True
            tell(f"{name}: waiting: no pods yet; {_why_not(job)}")
        stop.wait(tick)
    raise StoppedError(
        f"{name}: stopped by SIGTERM, and the job with it; its state is in run_state_uri: start"
        " again with the same arguments to resume"
    )


def _why_not(job: Mapping[str, Any]) -> str:
    suspended = _condition(job, "Suspended")
    if suspended or job["spec"].get("suspend"):
        return "the job is suspended, as by Kueue until there is room"
    return "check that the controllers of Trainer and JobSet run, and the quota"


def _mind_silence(error: Exception, answered: float, tell: Callable[[str], None]) -> None:
    status = getattr(error, "status", None)
    if status is not None and status < 500 and status != 429:
        said = one_line(_message(error))
        raise TrainJobError(
            f"may not read the pods of the job: {said}; apply manifests/overlays/nodes, which"
            " allows it to the run's service account"
        ) from error
    if time.monotonic() - answered > _PATIENCE:
        raise TrainJobError(
            f"the API of Kubernetes has not answered for {_PATIENCE:.0f} s: {error}"
        )
    tell(f"the API of Kubernetes does not answer ({one_line(_message(error))}): trying again")


def _delete(jobs: TrainJobs, name: str, tell: Callable[[str], None]) -> None:
    try:
        jobs.delete(name)
    except (urllib3.exceptions.HTTPError, client.ApiException, TrainJobError) as error:
        tell(
            f"warning: {name}: cannot be deleted ({one_line(_message(error))}); Kubernetes deletes"
            " it with this pod"
        )


def _condition(job: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    for each in job.get("status", {}).get("conditions", []):
        if each["type"] == kind and each["status"] == "True":
            return cast("Mapping[str, Any]", each)
    return None


def _message(error: Exception) -> str:
    if body := getattr(error, "body", None):
        try:
            return str(parse_json(body)["message"])
        except (ValueError, KeyError, TypeError):
            return str(getattr(error, "reason", error))
    return str(error)


@contextmanager
def _termination_noted() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets during the block."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread can handle signals.
        yield stop
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)
