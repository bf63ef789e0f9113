"""Checks of capacity: nodes, quotas, limits, and the volume of the cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from stt_bootstrap.pipelines.preflight.access import APPLY
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Finding, Findings, failed, ok, warning
from stt_bootstrap.pipelines.preflight.plan import Plan
from stt_bootstrap.pipelines.preflight.steps import Step

GIB = 2**30
_DONE = {"Succeeded", "Failed"}
_KEEPING_OUT = {"NoSchedule", "NoExecute"}


def check_nodes(plan: Plan, cluster: Cluster) -> Findings:
    """For each step, some node has the resources, admits the pod, and has them free."""
    nodes = cluster.ask(cluster.core.list_node).items
    free = {node.metadata.name: free_on(cluster, node) for node in nodes}
    good = True
    for step in plan.steps():
        trouble = _trouble(step, plan, nodes, free)
        if trouble:
            good = False
            yield trouble
    if good:
        for step in plan.steps():
            names = [name for name, left in free.items() if covers(left, step.asked)]
            yield ok(f"{step.name}: {shown_all(step.asked)} free on {', '.join(names)}")


def _trouble(
    step: Step, plan: Plan, nodes: list[Any], free: Mapping[str, Mapping[str, Decimal]]
) -> Finding | None:
    """Return why no node can run a step, or None if one can."""
    asked, change = step.asked, " or ".join(step.parameters) or "the package"
    large = [node for node in nodes if covers(quantities(node.status.allocatable), asked)]
    open_to = [node for node in large if not obstacles(node, plan, step)]
    if not large:
        kind = plan.gpu_type if step.is_placed and plan.gpu_type else "enough"
        return failed(
            f"{step.name}: none of {len(nodes)} nodes offers {shown_all(asked)}; at most "
            f"{_most(nodes, asked)}",
            f"add a node with {kind} (an autoscaler may), or change {change}",
        )
    if not open_to:
        reasons = "; ".join(
            f"{node.metadata.name}: {', '.join(obstacles(node, plan, step))}" for node in large
        )
        return failed(
            f"{step.name}: nodes offer {shown_all(asked)}, but do not admit the pod: {reasons}",
            "change the parameters node_selector and tolerations, or the nodes' labels and taints"
            if step.is_placed
            else "change the nodes' taints",
        )
    if not any(covers(free[node.metadata.name], asked) for node in open_to):
        left = _most_free([free[node.metadata.name] for node in open_to], asked)
        return _no_room(step, left, change)
    return None


def _no_room(step: Step, left: str, change: str) -> Finding:
    """Return the finding that other pods use what a step requests."""
    return warning(
        f"{step.name}: nodes offer {shown_all(step.asked)}, but other pods use it now; at most"
        f" {left} are free",
        f"the step will wait until these pods end; request less ({change}), or add a node",
    )


def free_on(cluster: Cluster, node: Any) -> dict[str, Decimal]:
    """Return the resources of a node that its pods leave free."""
    free = quantities(node.status.allocatable)
    pods = cluster.ask(
        cluster.core.list_pod_for_all_namespaces,
        field_selector=f"spec.nodeName={node.metadata.name}",
    ).items
    for pod in pods:
        if pod.status.phase not in _DONE:
            for container in pod.spec.containers:
                for name, quantity in quantities(container.resources.requests).items():
                    free[name] = free.get(name, Decimal(0)) - quantity
    return free


def obstacles(node: Any, plan: Plan, step: Step) -> list[str]:
    """Return the reasons why a node does not admit a step's pod."""
    labels = node.metadata.labels or {}
    selector = plan.node_selector if step.is_placed else {}
    tolerations = plan.tolerations if step.is_placed else ()
    found = [
        f"label {key} is {labels.get(key)!r}, not {value!r}"
        for key, value in selector.items()
        if labels.get(key) != value
    ]
    found += [
        f"taint {taint.key}={taint.value or ''}:{taint.effect}"
        for taint in node.spec.taints or ()
        if taint.effect in _KEEPING_OUT and not any(_tolerates(t, taint) for t in tolerations)
    ]
    conditions = node.status.conditions or ()
    if not any(each.type == "Ready" and each.status == "True" for each in conditions):
        found.append("it is not ready")
    return found


def _tolerates(toleration: Mapping[str, Any], taint: Any) -> bool:
    if toleration.get("effect") not in (None, "", taint.effect):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key", "") in ("", taint.key)
    return bool(
        toleration.get("key") == taint.key and toleration.get("value", "") == (taint.value or "")
    )


def check_quota(plan: Plan, cluster: Cluster) -> Findings:
    """The namespace's quotas leave enough for the largest steps."""
    asked = {"pods": Decimal(1), **_largest(plan)}
    quotas = cluster.ask(cluster.core.list_namespaced_resource_quota, cluster.namespace).items
    good = True
    for quota in quotas:
        hard, used = quantities(quota.status.hard), quantities(quota.status.used)
        for resource, amount in asked.items():
            for name in (resource, f"requests.{resource}", f"limits.{resource}"):
                left = hard.get(name, amount) - used.get(name, Decimal(0))
                if name not in hard or left >= amount:
                    continue
                good = False
                text = (
                    f"quota {quota.metadata.name}: {name} {shown(name, amount)} is requested, "
                    f"{shown(name, left)} of {shown(name, hard[name])} are left"
                )
                if hard[name] < amount:
                    yield failed(text, "raise the quota, or request less")
                else:
                    yield warning(text, "the task will wait; raise the quota, or request less")
    if good:
        yield ok(f"{len(quotas)} quotas leave {shown_all(asked)}" if quotas else "no quota")


def _largest(plan: Plan) -> dict[str, Decimal]:
    """Return the largest request of any step for each resource."""
    most: dict[str, Decimal] = {}
    for step in plan.steps():
        for name, amount in step.asked.items():
            most[name] = max(amount, most.get(name, amount))
    return most


def check_limits(plan: Plan, cluster: Cluster) -> Findings:
    """The namespace's limit ranges allow containers as large as the largest steps."""
    asked = _largest(plan)
    good = True
    for limits in cluster.ask(cluster.core.list_namespaced_limit_range, cluster.namespace).items:
        for limit in limits.spec.limits:
            largest = quantities(limit.max) if limit.type in ("Container", "Pod") else {}
            for name, amount in asked.items():
                if name in largest and amount > largest[name]:
                    good = False
                    yield failed(
                        f"limit range {limits.metadata.name}: {name} {shown(name, amount)} is "
                        f"requested, at most {shown(name, largest[name])} is allowed",
                        "raise its max, or request less",
                    )
    if good:
        yield ok(f"containers may have {shown_all(asked)}")


def check_cache(plan: Plan, cluster: Cluster) -> Findings:
    """The volume of the cache exists, or will be created for the first pod."""
    name = plan.cache_claim
    claim = cluster.find(cluster.core.read_namespaced_persistent_volume_claim, name)
    if claim is None:
        yield warning(f"no volume claim {name}: each pod fetches clips for itself", APPLY)
    elif claim.status.phase == "Bound":
        yield ok(f"{name} is bound, {claim.status.capacity['storage']}")
    elif claim.status.phase == "Pending" and _waits_for_a_pod(claim, cluster):
        yield ok(f"{name} will be bound for the first pod")
    else:
        yield failed(
            f"{name} is {claim.status.phase}",
            f"kubectl -n {cluster.namespace} describe pvc {name} says why; often there is no "
            "default storage class",
        )


def cache_bytes(plan: Plan, cluster: Cluster) -> int:
    """Return the size of the cache's volume, or the requested size; 0 without a volume."""
    claim = cluster.find(cluster.core.read_namespaced_persistent_volume_claim, plan.cache_claim)
    if claim is None:
        return 0
    size = (claim.status.capacity or claim.spec.resources.requests)["storage"]
    return int(parse_quantity(size))


def _waits_for_a_pod(claim: Any, cluster: Cluster) -> bool:
    classes = cluster.ask(cluster.storage.list_storage_class).items
    default = "storageclass.kubernetes.io/is-default-class"
    wanted = claim.spec.storage_class_name
    return any(
        each.volume_binding_mode == "WaitForFirstConsumer"
        for each in classes
        if (
            each.metadata.name == wanted
            if wanted
            else (each.metadata.annotations or {}).get(default) == "true"
        )
    )


def quantities(resources: Mapping[str, str] | None) -> dict[str, Decimal]:
    """Return Kubernetes quantities as numbers."""
    return {name: parse_quantity(text) for name, text in (resources or {}).items()}


def covers(offered: Mapping[str, Decimal], asked: Mapping[str, Decimal]) -> bool:
    """Return whether there is enough of each resource."""
    return all(offered.get(name, Decimal(0)) >= amount for name, amount in asked.items())


def _most(nodes: Iterable[Any], asked: Mapping[str, Decimal]) -> str:
    """Return the most that any node offers of each resource."""
    return _most_free([quantities(node.status.allocatable) for node in nodes], asked)


def _most_free(offers: Sequence[Mapping[str, Decimal]], asked: Mapping[str, Decimal]) -> str:
    return shown_all(
        {name: max((o.get(name, Decimal(0)) for o in offers), default=Decimal(0)) for name in asked}
    )


def shown_all(resources: Mapping[str, Decimal]) -> str:
    """Return quantities for people."""
    return ", ".join(f"{name} {shown(name, amount)}" for name, amount in resources.items())


def shown(name: str, amount: Decimal) -> str:
    """Return a quantity for people."""
    if name.endswith("memory"):
        return f"{amount / GIB:.4g}Gi"
    return f"{amount.normalize():f}"
