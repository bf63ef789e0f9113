"""What a run would need from a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stt_bootstrap.pipelines import cluster
from stt_bootstrap.pipelines.package import PACKAGE, package_images, package_parameters
from stt_bootstrap.pipelines.preflight.steps import (
    PreflightError,
    Step,
    package_steps,
    quantity,
)

__all__ = ["Plan", "PreflightError"]


@dataclass(frozen=True)
class Plan:
    """What is checked: names of objects in the namespace, and parameters of the pipeline."""

    dataset_uri: str = ""
    checkpoint_uri: str = ""
    alphabet_uri: str = ""
    scorer_uri: str = ""
    unlabelled_uri: str = ""
    run_state_uri: str = ""
    export_uri: str = ""
    training_cpu: str = "8"
    training_memory: str = "32Gi"
    gpu_type: str = ""
    """Resource name such as ``nvidia.com/gpu``; empty for none."""
    gpu_count: str = "1"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    service_account: str = cluster.SERVICE_ACCOUNT
    secret: str = cluster.STORE_SECRET
    config_map: str = cluster.STORE_CONFIG_MAP
    cache_claim: str = "stt-bootstrap-cache"
    store_endpoint: str = ""
    """Address of the store as seen from here, if the cluster's address is not reachable here."""
    package: Path = PACKAGE
    sizes: Mapping[str, str] = field(default_factory=dict)
    """The package's other parameters for resources of steps, by name."""
    kubeflow_namespace: str = "kubeflow"
    """Namespace of Kubeflow Pipelines itself."""

    @property
    def uris(self) -> dict[str, str]:
        """The URIs that are read or written, by parameter; without empty ones."""
        read = ("dataset_uri", "checkpoint_uri", "alphabet_uri", "scorer_uri", "unlabelled_uri")
        names = (*read, "run_state_uri", "export_uri")
        return {name: uri for name in names if (uri := getattr(self, name))}

    def steps(self) -> list[Step]:
        """Return the resources that the steps of the package request, the largest first.

        Raises:
            PreflightError: an invalid quantity.
        """
        return package_steps(self.package, self._value)

    def training_memory_bytes(self) -> int:
        """Return the memory limit of training in bytes.

        Raises:
            PreflightError: as ``steps``.
        """
        return int(quantity("training_memory", self.training_memory))

    def images(self) -> list[str]:
        """Return the images of the package's steps."""
        return package_images(self.package)

    def _value(self, parameter: str) -> str:
        """Return the value of a parameter of the pipeline."""
        value = self.sizes.get(parameter, getattr(self, parameter, None))
        if value is None:
            value = package_parameters(self.package)[parameter].default
        return str(value)
