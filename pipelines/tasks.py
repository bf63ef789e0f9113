"""Tasks whose inputs come from the pipeline's values of the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent


def add_task(component: BaseComponent, values: Mapping[str, Any], **given: Any) -> dsl.PipelineTask:
    """Run a component with the ``given`` inputs, and the others from ``values`` by name."""
    inputs = component.component_spec.inputs or {}
    taken = {name: values[name] for name in inputs if name in values and name not in given}
    return component(**taken, **given)
