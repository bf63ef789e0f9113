"""Check that a run's account may read the keys to where Kubeflow keeps artifacts."""

from __future__ import annotations

from typing import Any

import yaml

from stt_bootstrap.pipelines.preflight.access import APPLY, runner_may
from stt_bootstrap.pipelines.preflight.cluster import Cluster
from stt_bootstrap.pipelines.preflight.findings import Findings, failed, ok
from stt_bootstrap.pipelines.preflight.plan import Plan

DEFAULT_SECRET = "mlpipeline-minio-artifact"
_CONFIG_MAP = "kfp-launcher"


def check_artifacts(plan: Plan, cluster: Cluster) -> Findings:
    """Launchers find the keys to Kubeflow's own store, without which the first step fails."""
    name = _secret_name(cluster)
    if not name:
        yield ok(f"{_CONFIG_MAP} takes the keys from the pods' surroundings")
        return
    may = runner_may(plan, cluster, "", "secrets", name, "get")
    # Whoever asks may not be allowed to look: that is told as any other refusal.
    is_there = cluster.find(cluster.core.read_namespaced_secret, name) is not None
    if not may:
        yield failed(
            f"{plan.service_account} may not get secrets {name}: the first step would end with "
            f"'secrets \"{name}\" is forbidden'",
            f"{APPLY}: its role grants it",
        )
    if not is_there:
        yield failed(
            f"no secret {name}, with the keys to where Kubeflow keeps artifacts",
            f"install Kubeflow Pipelines, which makes it, or name another in {_CONFIG_MAP}",
        )
    if may and is_there:
        yield ok(f"{plan.service_account} may get secrets {name}")


def _secret_name(cluster: Cluster) -> str:
    """Return which secret the launcher reads; "" for none."""
    values = cluster.config_values(_CONFIG_MAP)
    scheme = (values.get("defaultPipelineRoot") or "minio://").partition("://")[0]
    try:
        providers: Any = yaml.safe_load(values.get("providers") or "") or {}
        credentials = providers[scheme]["default"]["credentials"]
    except (yaml.YAMLError, KeyError, TypeError):
        return DEFAULT_SECRET
    if credentials.get("fromEnv"):
        return ""
    return str((credentials.get("secretRef") or {}).get("secretName") or DEFAULT_SECRET)
