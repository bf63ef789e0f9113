"""Check that the runs may read the keys to the store in which Kubeflow keeps artifacts."""

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
    """Launchers may read the keys to Kubeflow's own store; otherwise the first step fails."""
    name = _secret_name(cluster)
    if not name:
        yield ok(f"{_CONFIG_MAP} takes the keys from the pods' environment")
        return
    may = runner_may(plan, cluster, "", "secrets", name, "get")
    # If the user may not read them, that is reported like any other refusal.
    is_there = cluster.find(cluster.core.read_namespaced_secret, name) is not None
    if not may:
        yield failed(
            f"{plan.service_account} may not get secrets {name}: the first step would end with "
            f"'secrets \"{name}\" is forbidden'",
            f"{APPLY}: its role grants it",
        )
    if not is_there:
        yield failed(
            f"no secret {name}, with the keys to the store of Kubeflow's artifacts",
            f"install Kubeflow Pipelines, which creates it, or name another in {_CONFIG_MAP}",
        )
    if may and is_there:
        yield ok(f"{plan.service_account} may get secrets {name}")


def _secret_name(cluster: Cluster) -> str:
    """Return the name of the secret that the launcher reads; "" for none."""
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
