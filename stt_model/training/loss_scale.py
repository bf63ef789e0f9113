"""The factor on the loss that keeps gradients within float16."""

from __future__ import annotations

from dataclasses import dataclass

GROWTH_STEPS = 2000


@dataclass
class LossScale:
    """Halved where a gradient overflows, doubled after 2000 steps in a row without.

    These are the numbers of TensorFlow and Keras. Where a step that overflowed is taken again with
    the lower factor, no data is lost.
    """

    factor: float = 2.0**15
    good_steps: int = 0
    """In a row, since the factor last changed."""

    def shrink(self) -> bool:
        """Take in that a gradient overflowed; return whether a lower factor is left to try."""
        self.good_steps = 0
        if self.factor <= 1:
            return False
        self.factor /= 2
        return True

    def grow(self) -> None:
        """Take in that a gradient did not overflow."""
        self.good_steps += 1
        if self.good_steps == GROWTH_STEPS:
            self.factor, self.good_steps = self.factor * 2, 0
