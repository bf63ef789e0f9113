"""The factor on the loss that keeps gradients within float16."""

from __future__ import annotations

from dataclasses import dataclass

GROWTH_STEPS = 2000


@dataclass
class LossScale:
    """Halved if a gradient overflows, doubled after 2000 steps in a row without overflow.

    These are the numbers of TensorFlow and Keras. An overflowed step is repeated with the lower
    factor, so that no data is lost.
    """

    factor: float = 2.0**15
    good_steps: int = 0
    """Steps without overflow since the factor last changed."""

    def shrink(self) -> bool:
        """Record an overflow; return whether a lower factor is left to try."""
        self.good_steps = 0
        if self.factor <= 1:
            return False
        self.factor /= 2
        return True

    def grow(self) -> None:
        """Record a step without overflow."""
        self.good_steps += 1
        if self.good_steps == GROWTH_STEPS:
            self.factor, self.good_steps = self.factor * 2, 0
