"""Pictures that are embedded in a Markdown report."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(height: float) -> tuple[Figure, Axes]:
    """Return a figure as wide as a report, ``height`` inches high, and its axes."""
    # No pyplot: its global state is not thread-safe, and it looks for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def embed(figure: Figure, title: str) -> str:
    """Return a figure as Markdown that needs no other file."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=90)
    return f"![{title}](data:image/png;base64,{base64.b64encode(data.getvalue()).decode()})"
