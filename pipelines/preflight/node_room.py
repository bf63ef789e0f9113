"""Checks for training on several nodes: room for all of them at once, and shared state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from stt_bootstrap.pipelines.package import package_nodes
from stt_bootstrap.pipelines.preflight.capacity import (
    covers,
    free_on,
    obstacles,
    quantities,
    shown,
    shown_all,
)
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Findings, failed, ok, skipped, warning
from stt_bootstrap.pipelines.preflight.plan import Plan
from stt_bootstrap.pipelines.preflight.steps import Step, quantity
from stt_model.base import redact
from stt_model.storage import is_stored


def check_run_state(plan: Plan, cluster: Cluster) -> Findings:
    """The folder for the state of training outlives its pod, and all nodes reach it."""
    uri, nodes = plan.run_state_uri, package_nodes(plan.package)
    remedy = "give --run_state_uri as the s3:// URI of a folder"
    if is_stored(uri):
        yield ok(redact(uri))
    elif nodes > 1:
        what = f"{redact(uri)} is a path inside each pod" if uri else "none is given"
        yield failed(f"{what}: {nodes} nodes need a folder that all of them reach", remedy)
    elif uri:
        yield warning(f"{redact(uri)} is a path: without a volume, it is lost with the pod", remedy)
    else:
        yield skipped("no --run_state_uri was given: a training that loses its pod starts over")


def check_node_room(plan: Plan, cluster: Cluster) -> Findings:
    """All nodes of a TrainJob, which wait for each other, have room at the same time."""
    count = package_nodes(plan.package)
    if count == 1:
        yield ok("the package trains on one node")
        return
    step = _node(plan)
    asked, machines = step.asked, cluster.ask(cluster.core.list_node).items
    open_to = [each for each in machines if not obstacles(each, plan, step)]
    ever = sum(_fitting(quantities(each.status.allocatable), asked) for each in open_to)
    now = {each.metadata.name: _fitting(free_on(cluster, each), asked) for each in open_to}
    change = (
        "request less (training_cpu, training_memory), compile with fewer --nodes, or add nodes"
    )
    text = f"{count} nodes of {shown_all(asked)} each"
    holding = ", ".join(f"{n} on {name}" for name, n in now.items() if n)
    if ever < count:
        yield failed(
            f"{text}: the cluster has room for {ever} if nothing else runs there",
            f"{change}; an autoscaler may",
        )
    elif sum(now.values()) < count:
        found = f"room for {sum(now.values())} now{f', {holding}' if holding else ''}"
        yield warning(f"{text}: {found}", f"the first nodes will wait for the others; {change}")
    elif sum(1 for each in now.values() if each) < count:
        yield warning(
            f"{text}: there is room, {holding}, but not on {count} machines",
            "several on one machine share its processors: one larger node is as fast",
        )
    else:
        yield ok(f"{text}: {holding}")
    yield from _check_quotas(count, asked, cluster)


def _node(plan: Plan) -> Step:
    """Return what one node requests, by the component's parameters."""
    asked = {
        "cpu": quantity("training_cpu", plan.training_cpu),
        "memory": quantity("training_memory", plan.training_memory),
    }
    if plan.gpu_type:
        asked[plan.gpu_type] = quantity("gpu_count", plan.gpu_count)
    return Step(("node",), asked, ("training_cpu", "training_memory"), is_placed=True)


def _fitting(offered: Mapping[str, Decimal], asked: Mapping[str, Decimal]) -> int:
    """Return how many such requests fit."""
    if not covers(offered, asked):
        return 0
    return min(int(offered[name] // amount) for name, amount in asked.items() if amount)


def _check_quotas(count: int, asked: Mapping[str, Decimal], cluster: Cluster) -> Findings:
    quotas = cluster.ask(cluster.core.list_namespaced_resource_quota, cluster.namespace).items
    for quota in quotas:
        for name, needed, left, hard in _lacking(count, asked, quota):
            text = (
                f"quota {quota.metadata.name}: {name} {shown(name, needed)} for {count} nodes,"
                f" {shown(name, left)} of {shown(name, hard)} are left"
            )
            yield (
                failed(text, "raise the quota, or request less")
                if hard < needed
                else warning(text, "the nodes will wait; raise the quota, or request less")
            )


def _lacking(
    count: int, asked: Mapping[str, Decimal], quota: Any
) -> Iterator[tuple[str, Decimal, Decimal, Decimal]]:
    """Yield resources that a quota does not leave: name, needed, left, and the quota."""
    hard, used = quantities(quota.status.hard), quantities(quota.status.used)
    for resource, amount in {**asked, "pods": Decimal(1)}.items():
        for name in (resource, f"requests.{resource}", f"limits.{resource}"):
            if name in hard:
                left = hard[name] - used.get(name, Decimal(0))
                if left < amount * count:
                    yield name, amount * count, left, hard[name]
