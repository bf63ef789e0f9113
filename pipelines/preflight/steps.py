"""The resources that each step of a compiled pipeline requests: its limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from stt_bootstrap.pipelines.package import read_pipeline
from stt_model.base import BootstrapError

# A value that is one of the pipeline's parameters, at any depth of DAGs.
_PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['(?:\w+--)*(\w+)'\]\}\}")


class PreflightError(BootstrapError):
    """A run would fail on the cluster, or the cluster cannot be read."""


@dataclass(frozen=True)
class Step:
    """Steps with the same requests."""

    titles: tuple[str, ...]
    asked: Mapping[str, Decimal]
    """Quantity by resource, such as cpu, memory, pods and nvidia.com/gpu."""
    parameters: tuple[str, ...]
    """Parameters of the pipeline that set these quantities."""
    is_placed: bool
    """Whether the parameters node_selector and tolerations apply."""

    @property
    def name(self) -> str:
        """The titles in one line."""
        return ", ".join(self.titles)


def package_steps(package: Path, value: Callable[[str], str]) -> list[Step]:
    """Return the steps of a package, grouped by their requests, the largest first.

    ``value`` returns the value of a parameter of the pipeline. Raises PreflightError for an invalid
    quantity.
    """
    pipeline = read_pipeline(package)
    titles = _titles(pipeline)
    alike: dict[tuple[object, ...], Step] = {}
    for label, executor in pipeline["deploymentSpec"]["executors"].items():
        resources = executor["container"].get("resources", {})
        asked, parameters = _asked(resources, value)
        placed = "accelerator" in resources
        key = (tuple(sorted(asked.items())), placed, parameters)
        before = alike[key].titles if key in alike else ()
        together = tuple(dict.fromkeys((*before, *titles.get(label, (label,)))))
        alike[key] = Step(together, asked, parameters, placed)
    return sorted(alike.values(), key=lambda step: step.asked.get("memory", 0), reverse=True)


def _asked(
    resources: Mapping[str, Any], value: Callable[[str], str]
) -> tuple[dict[str, Decimal], tuple[str, ...]]:
    parameters: list[str] = []

    def resolve(text: object) -> str:
        found = _PARAMETER.fullmatch(str(text))
        if not found:
            return str(text)
        parameters.append(found[1])
        return value(found[1])

    asked = {}
    for name in ("cpu", "memory"):
        if text := resources.get(f"resource{name.capitalize()}Limit"):
            resolved = resolve(text)
            asked[name] = quantity(parameters[-1] if parameters else name, resolved)
    if accelerator := resources.get("accelerator"):
        kind, count = resolve(accelerator["resourceType"]), resolve(accelerator["resourceCount"])
        if kind:
            asked[kind] = _whole(parameters[-1] if parameters else "gpu_count", count)
    return asked, tuple(dict.fromkeys(parameters))


def _titles(pipeline: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the titles of the tasks that an executor runs, by its label."""
    components = pipeline["components"]
    return {
        label: tuple(dict.fromkeys(title for each, title in _tasks(pipeline) if each == component))
        for component, content in components.items()
        if (label := content.get("executorLabel"))
    }


def _tasks(pipeline: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for component in (pipeline["root"], *pipeline["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            yield task["componentRef"]["name"], task["taskInfo"]["name"]


def quantity(name: str, text: str) -> Decimal:
    """Return a Kubernetes quantity as a number; PreflightError, with ``name``, if invalid."""
    try:
        parsed: Decimal = parse_quantity(text)
    except ValueError as error:
        raise PreflightError(
            f"{name}: expected a quantity such as 8, 7500m or 32Gi, found {text!r}"
        ) from error
    return parsed


def _whole(name: str, text: str) -> Decimal:
    count = quantity(name, text)
    if count < 1 or count % 1:
        raise PreflightError(f"{name}: expected 1, 2, …, found {text!r}")
    return count
