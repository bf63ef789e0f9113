"""The result of every reader of deployed models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_model.checkpoint.geometry import Geometry, find_geometry
from stt_model.text import Alphabet


class UnreadableError(Exception):
    """What was found in a file instead of the expected content, without the file's name."""


@dataclass(frozen=True)
class StoredMatrix:
    """A matrix as it is in the file: ``values`` times ``scale``.

    ``scale`` is None if the file holds the numbers themselves.
    """

    values: NDArray[Any]
    scale: float | None = None

    def write_to(self, target: NDArray[np.float32]) -> None:
        """Fill an array of the same shape."""
        if self.scale is None:
            target[...] = self.values
        else:
            np.multiply(self.values, np.float32(self.scale), out=target, dtype=np.float32)


@dataclass(frozen=True)
class StoredVariable:
    """One variable of a checkpoint, made of vertically stacked matrices."""

    parts: Sequence[StoredMatrix]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole variable."""
        first, *others = (part.values.shape for part in self.parts)
        return (first[0] + sum(shape[0] for shape in others), *first[1:])

    @property
    def steps(self) -> list[float]:
        """The step between neighbouring values of each quantised part."""
        return [part.scale for part in self.parts if part.scale is not None]

    def array(self) -> NDArray[np.float32]:
        """Return the values as a copy."""
        values = np.empty(self.shape, np.float32)
        row = 0
        for part in self.parts:
            rows = part.values.shape[0]
            part.write_to(values[row : row + rows])
            row += rows
        return values


@dataclass(frozen=True)
class DeployedModel:
    """A deployed model that is the network of a checkpoint; its weights stay in the file."""

    path: Path
    format: str
    variables: Mapping[str, StoredVariable]
    alphabet: Alphabet | None = None
    """None if the file does not hold the labels."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Training flags in the file: audio settings, beam width, language."""

    @property
    def geometry(self) -> Geometry:
        """The sizes of the network.

        Raises:
            CheckpointError: the shapes do not fit each other.
        """
        found = {
            name: (np.dtype(np.float32), variable.shape)
            for name, variable in self.variables.items()
        }
        return find_geometry(found, str(self.path))

    @property
    def quantised(self) -> bool:
        """Whether any weight was stored in 8 bits."""
        return any(variable.steps for variable in self.variables.values())

    def weights(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield the weights one by one, in the checkpoint's names and order."""
        for name in self.geometry.shapes():
            yield name, self.variables[name].array()


def as_rows(stored: NDArray[Any], scale: float | None = None) -> StoredVariable:
    """Return a variable of one array that is in the checkpoint's order."""
    return StoredVariable((StoredMatrix(stored, scale),))
