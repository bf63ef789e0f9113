"""How many nodes training is spread over, while a package is compiled.

A choice of the package, not a parameter of the run: the component is another one, and a condition
on a parameter would put one more level around each branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from stt_model.base import BootstrapError

_NODES: ContextVar[int] = ContextVar("nodes", default=1)


class NodesError(BootstrapError):
    """A number of nodes that nothing can be spread over."""


@contextmanager
def spread_over(nodes: int) -> Iterator[None]:
    """Have pipelines that are defined in the block train on so many nodes. Raises NodesError."""
    if nodes < 1:
        raise NodesError(f"--nodes {nodes}: expected a number of nodes, at least 1")
    token = _NODES.set(nodes)
    try:
        yield
    finally:
        _NODES.reset(token)


def nodes_to_spread_over() -> int:
    """Return how many nodes training is to use; 1 unless ``spread_over`` says otherwise."""
    return _NODES.get()
