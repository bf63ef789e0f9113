"""What a run would ask of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from kubernetes.utils.quantity import parse_quantity

from pipelines import cluster
from pipelines.package import PACKAGE
from stt_model.base import BootstrapError

# The one in C is ten times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PreflightError(BootstrapError):
    """A cluster on which a run would fail, or that cannot be looked at."""


@dataclass(frozen=True)
class Plan:
    """What is looked for: names of objects in the namespace, and parameters of the pipeline."""

    dataset_uri: str = ""
    checkpoint_uri: str = ""
    alphabet_uri: str = ""
    scorer_uri: str = ""
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
    """Where the store is reached from here, if the cluster's own name for it leads nowhere here."""
    package: Path = PACKAGE

    @property
    def uris(self) -> dict[str, str]:
        """What is read, by the parameter's name; without those that are empty."""
        names = ("dataset_uri", "checkpoint_uri", "alphabet_uri", "scorer_uri")
        return {name: uri for name in names if (uri := getattr(self, name))}

    def asked(self) -> dict[str, Decimal]:
        """Return what the training's pod asks for, by resource: its limits are its requests.

        Raises:
            PreflightError: a quantity that Kubernetes would not understand.
        """
        asked = {
            "cpu": _quantity("training_cpu", self.training_cpu),
            "memory": _quantity("training_memory", self.training_memory),
        }
        if self.gpu_type:
            count = _quantity("gpu_count", self.gpu_count)
            if count < 1 or count % 1:
                raise PreflightError(f"gpu_count: expected 1, 2, …, found {self.gpu_count!r}")
            asked[self.gpu_type] = count
        return asked

    def images(self) -> list[str]:
        """Return the images of the package's steps."""
        # The second document, if there is one, says what the tasks get on a cluster.
        text = self.package.read_text(encoding="utf-8")
        pipeline = next(yaml.load_all(text, Loader=_LOADER))
        executors = pipeline["deploymentSpec"]["executors"].values()
        return sorted({executor["container"]["image"] for executor in executors})


def _quantity(name: str, text: str) -> Decimal:
    try:
        quantity: Decimal = parse_quantity(text)
    except ValueError as error:
        raise PreflightError(
            f"{name}: expected a quantity such as 8, 7500m or 32Gi, found {text!r}"
        ) from error
    return quantity
