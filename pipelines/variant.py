"""What a package is compiled with that no run can change.

Choices of the package, not parameters of the run: they put other components into the graph, and a
condition on a parameter would put one more level around each branch, and a pod for each driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from stt_model.base import BootstrapError, redact


class VariantError(BootstrapError):
    """A package that cannot be compiled as asked."""


@dataclass(frozen=True)
class Variant:
    """What is other than in the packages of the project."""

    nodes: int = 1
    """How many nodes training is spread over."""
    model_registry: str = ""
    """Address of the Model Registry that a last step registers the export in; empty for none."""

    def check(self) -> None:
        """Raise VariantError unless there can be such a package."""
        if self.nodes < 1:
            raise VariantError(f"--nodes {self.nodes}: expected a number of nodes, at least 1")
        if self.model_registry and not self.model_registry.startswith(("http://", "https://")):
            raise VariantError(
                f"--model_registry {redact(self.model_registry)}: expected the http:// or https://"
                " address of a Model Registry"
            )


PLAIN = Variant()
_CURRENT: ContextVar[Variant] = ContextVar("variant", default=PLAIN)


@contextmanager
def defining(variant: Variant) -> Iterator[None]:
    """Have pipelines that are defined in the block be of this variant. Raises VariantError."""
    variant.check()
    token = _CURRENT.set(variant)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_variant() -> Variant:
    """Return what the pipeline that is being defined is to be."""
    return _CURRENT.get()
