"""Runs every check, one after the other, and brings all findings together."""

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
    """Return the findings of every check; what cannot be looked at is a finding too.

    Raises:
        PreflightError: a plan that asks for what no cluster understands.
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
            yield _named(check, skipped("the store cannot be looked into"))
        else:
            yield from _run(check, given)


def _run(check: Callable[..., Findings], *args: object) -> Iterator[Finding]:
    """Yield a check's findings under its name; an answer that ends it is its last one."""
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
            f"you may not look: {message(error)}", "ask for that right, or whoever has it to look"
        )
    if error.status == 401:
        return failed(f"who you are is not known: {message(error)}", "log in to the cluster again")
    return failed(f"the Kubernetes API answers {message(error)}", "run it again later")


def _named(check: Callable[..., Findings], finding: Finding) -> Finding:
    name = check.__name__.removeprefix("check_").replace("_", " ")
    return dataclasses.replace(finding, check=name)
