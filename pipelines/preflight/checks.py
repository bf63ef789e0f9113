"""Run all checks in order, and collect their findings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import urllib3
from kubernetes.client import ApiException

from stt_bootstrap.pipelines.preflight import (
    access,
    artifacts,
    capacity,
    node_room,
    nodes,
    queues,
    retries,
    sources,
)
from stt_bootstrap.pipelines.preflight.cluster import Cluster, message
from stt_bootstrap.pipelines.preflight.findings import (
    Finding,
    Findings,
    Status,
    failed,
    skipped,
    warning,
)
from stt_bootstrap.pipelines.preflight.plan import Plan
from stt_model.base import BootstrapError
from stt_model.storage import StoreError

OF_THE_CLUSTER = (
    access.check_namespace,
    access.check_own_permissions,
    access.check_service_account,
    access.check_runner_permissions,
    access.check_secret,
    access.check_config_map,
    retries.check_retries,
    artifacts.check_artifacts,
    access.check_images,
    capacity.check_nodes,
    capacity.check_quota,
    capacity.check_limits,
    capacity.check_cache,
    queues.check_queue,
    nodes.check_training_runtime,
    nodes.check_nodes_permissions,
    node_room.check_node_room,
    node_room.check_run_state,
)
OF_THE_STORE = (
    sources.check_dataset,
    sources.check_checkpoint,
    sources.check_further_sources,
    sources.check_sizes,
)


def preflight(plan: Plan, cluster: Cluster) -> list[Finding]:
    """Return the findings of all checks; what cannot be checked is a finding too.

    Raises:
        PreflightError: the plan holds an invalid quantity.
    """
    plan.steps()
    plan.training_memory_bytes()
    findings = list(_run(access.check_version, plan, cluster))
    if any(finding.status is Status.FAILED for finding in findings):
        return findings
    for check in OF_THE_CLUSTER:
        findings += _run(check, plan, cluster)
    findings += _check_sources(sources.Sources(plan, cluster))
    return findings


def _check_sources(given: sources.Sources) -> Iterator[Finding]:
    store = list(_run(sources.check_store, given))
    yield from store
    is_closed = store[0].status in (Status.FAILED, Status.WARNING)
    for check in OF_THE_STORE:
        if is_closed and given.stored:
            yield _named(check, skipped("the store cannot be read"))
        else:
            yield from _run(check, given)


def _run(check: Callable[..., Findings], *args: object) -> Iterator[Finding]:
    """Yield a check's findings under its name; an error that ends it is the last finding."""
    try:
        for finding in check(*args):
            yield _named(check, finding)
    except ApiException as error:
        yield _named(check, _refused(error))
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        yield _named(
            check,
            failed(
                f"the Kubernetes API cannot be reached: {reason}",
                "check KUBECONFIG, --context, and the network or VPN",
            ),
        )
    except StoreError as error:
        yield _named(check, sources.missing(error))
    except BootstrapError as error:
        yield _named(check, failed(str(error), "correct it"))


def _refused(error: ApiException) -> Finding:
    if error.status == 403:
        return warning(
            f"you may not read it: {message(error)}", "ask for that permission, or ask an admin"
        )
    if error.status == 401:
        return failed(f"not logged in: {message(error)}", "log in to the cluster again")
    return failed(f"the Kubernetes API answers {message(error)}", "try again later")


def _named(check: Callable[..., Findings], finding: Finding) -> Finding:
    name = check.__name__.removeprefix("check_").replace("_", " ")
    return dataclasses.replace(finding, check=name)
