"""Check what retries a failed step: the package, or Argo's defaults."""

from __future__ import annotations

from typing import Any

import yaml

from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Findings, ok, warning
from stt_bootstrap.pipelines.preflight.plan import Plan

CONFIG_MAP = "workflow-controller-configmap"
_EXIT_CODES = "a step that ends with an error is retried as the package says"
_NO_EXIT_CODES = "a step that ends with an error is not retried, whatever the package says"
_NOT_LOST = (
    "a pod that is lost (deleted, evicted, its node gone) is not retried by the cluster: "
    "`submit --retries N` does that while it waits, as does Retry on the run's page"
)


def check_retries(plan: Plan, cluster: Cluster) -> Findings:
    """Argo's defaults do not replace the retries of the package."""
    place = f"{plan.kubeflow_namespace}/{CONFIG_MAP}"
    found = cluster.find(
        cluster.core.read_namespaced_config_map, CONFIG_MAP, plan.kubeflow_namespace
    )
    if found is None:
        yield warning(
            f"no config map {place}, which sets what is retried",
            "give --kubeflow_namespace, the namespace of Kubeflow Pipelines itself",
        )
        return
    strategy = _strategy(found.data or {})
    if strategy is None:
        yield warning(
            f"{place} is not valid YAML, so it is not known what is retried",
            "correct its workflowDefaults",
        )
        return
    policy = str(strategy.get("retryPolicy") or "OnFailure") if strategy else ""
    limit = strategy.get("limit", "any number of")
    told = f"{place} has retryPolicy {policy}, limit {limit}"
    if not policy:
        yield ok(f"{place} has no default retries: {_EXIT_CODES}; {_NOT_LOST}")
    elif policy == "OnError":
        yield ok(f"{told}: a pod that is lost is retried {limit} times; {_NO_EXIT_CODES}")
    elif policy == "Always":
        yield warning(
            f"{told}: a failed step makes Argo retry the whole groups of steps around it",
            "set it to OnError, or remove templateDefaults.retryStrategy",
        )
    elif policy == "OnTransientError":
        yield ok(f"{told}: only errors that Argo takes for temporary are retried; {_NO_EXIT_CODES}")
    else:
        yield ok(f"{told}: {_EXIT_CODES}; {_NOT_LOST}")


def _strategy(data: dict[str, str]) -> dict[str, Any] | None:
    """Return the default retry strategy; {} for none, None if it cannot be read."""
    try:
        content: Any = yaml.safe_load(data.get("workflowDefaults") or "") or {}
        # An old format has everything below one key.
        if not content and "config" in data:
            content = (yaml.safe_load(data["config"]) or {}).get("workflowDefaults") or {}
        defaults = (content.get("spec") or {}).get("templateDefaults") or {}
        return dict(defaults.get("retryStrategy") or {})
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        return None
