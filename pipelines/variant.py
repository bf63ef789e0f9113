"""Choices that are compiled into a package.

They are not parameters of the run, because they put other components into the graph: a condition on
a parameter would add a level to each branch, and a pod for its driver.
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
    """The choices; the defaults are those of the project's packages."""

    nodes: int = 1
    """Number of nodes that training uses."""
    model_registry: str = ""
    """Address of the Model Registry in which a last step registers the export; empty for none."""

    def check(self) -> None:
        """Raise VariantError for an invalid choice."""
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
    """Use this variant for the pipelines that the block defines. Raises VariantError."""
    variant.check()
    token = _CURRENT.set(variant)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_variant() -> Variant:
    """Return the variant of the pipeline that is being defined."""
    return _CURRENT.get()
