"""What every reader of a deployed model returns."""

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
    """What was found in a file instead of what its reader expects, without the file's name."""


@dataclass(frozen=True)
class StoredMatrix:
    """A matrix as it lies in the file: ``values`` times ``scale``.

    ``scale`` is None where the file has the very numbers.
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
    """One variable of a checkpoint, of matrices that lie above each other in it."""

    parts: Sequence[StoredMatrix]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""
        first, *others = (part.values.shape for part in self.parts)
        return (first[0] + sum(shape[0] for shape in others), *first[1:])

    @property
    def steps(self) -> list[float]:
        """The distance between two neighbouring values of each quantised part."""
        return [part.scale for part in self.parts if part.scale is not None]

    def array(self) -> NDArray[np.float32]:
        """Return the values, of its own memory."""
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
    """None where the file does not say what its classes stand for."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Flags of the training that the file tells: audio settings, beam width, language."""

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
    """Return a variable of one array that lies in the checkpoint's order."""
    return StoredVariable((StoredMatrix(stored, scale),))
