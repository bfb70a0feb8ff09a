"""Matplotlib figures without pyplot: nothing global is opened, and nothing is left behind."""

from __future__ import annotations

import io
from typing import Any

from pyig.errors import InputTypeError, missing


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of this size in inches, which a notebook shows without ``%matplotlib``."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing("matplotlib", "a picture of an explanation", "plots") from error

    class Picture(Figure):
        """A figure that is an image to a notebook, also where pyplot was never imported."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", bbox_inches="tight")
            return buffer.getvalue()

    return Picture(figsize=(width, height), layout="constrained")


def figure_of(ax: Any) -> Any:
    """Return the figure that the given axes belong to."""
    figure = getattr(ax, "figure", None)
    if figure is None or not hasattr(ax, "barh"):
        raise InputTypeError(f"expected ax to be matplotlib Axes; got {type(ax).__name__}")
    return figure


def bare(ax: Any, *keep: str) -> None:
    """Take the frame away but for the named sides."""
    for side, spine in ax.spines.items():
        spine.set_visible(side in keep)
